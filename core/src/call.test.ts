import { describe, expect, it } from 'vitest'
import { settingsOfCall, VoiceSettings, wordSpans } from './call.ts'

const settings = VoiceSettings.parse({ carrier: 'twilio', greeting: 'Good morning.', max_duration_seconds: 600 })

describe('settings of one call', () => {
  it("are its number's, unless the call says otherwise", () => {
    expect(settingsOfCall(settings, {})).toEqual(settings)
    expect(settingsOfCall(settings, { greeting: 'Your bike is ready.', max_duration_seconds: 60 })).toEqual({ ...settings, greeting: 'Your bike is ready.', max_duration_seconds: 60 })
  })

  it('may say nothing where the number greets, and know no other words', () => {
    expect(settingsOfCall(settings, { greeting: null }).greeting).toBeNull()
    expect(settingsOfCall(settings, { concurrency_limit: 9_999, barge_in: false })).toEqual(settings)
  })
})

describe('words of a text', () => {
  it('are found one after the other, whatever their case; what the text does not hold is left out', () => {
    const at = (text: string) => ({ text, startMs: 1, endMs: 2, confidence: null })
    const spans = wordSpans('No, no: nine.', [at('no'), at('NO'), at('9'), at('nine')])
    expect(spans.map(({ charStart, charEnd }) => 'No, no: nine.'.slice(charStart, charEnd))).toEqual(['No', 'no', 'nine'])
    expect(spans[1]!.charStart).toBeGreaterThan(spans[0]!.charStart)
  })

  it('lie where they are, also behind letters whose small form is longer', () => {
    const text = 'İstanbul İzmir Ankara'
    const spans = wordSpans(text, text.split(' ').map((word) => ({ text: word, startMs: 1, endMs: 2, confidence: null })))
    expect(spans.map(({ charStart, charEnd }) => text.slice(charStart, charEnd))).toEqual(['İstanbul', 'İzmir', 'Ankara'])
  })
})
