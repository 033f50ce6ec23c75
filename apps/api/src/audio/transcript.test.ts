import { describe, expect, it } from 'vitest'
import { cuesOf, srtOf, verboseOf, vttOf, type Heard } from './transcript.ts'

const word = (text: string, startMs: number, endMs: number, confidence: number | null = null) => ({ text, startMs, endMs, confidence })
const heard = (over: Partial<Heard> = {}): Heard => ({ text: 'Hi.', words: [], language: 'en', durationMs: 2_000, ...over })

describe('what was heard, as subtitles', () => {
  it('ends a cue with a sentence, at a pause, and after six seconds', () => {
    const words = [word('One.', 0, 400), word('Two', 500, 900), word('three', 2_000, 2_400), ...Array.from({ length: 8 }, (_, at) => word(`w${at}`, 2_500 + at * 1_000, 3_400 + at * 1_000))]
    expect(cuesOf(heard({ words })).map(({ text }) => text)).toEqual(['One.', 'Two', 'three w0 w1 w2 w3 w4', 'w5 w6 w7'])
  })

  it('without times of words is one cue of the whole file; of silence there is none', () => {
    expect(cuesOf(heard())).toEqual([{ text: 'Hi.', startMs: 0, endMs: 2_000, confidence: null }])
    expect(srtOf(heard({ text: '' }))).toBe('')
    expect(vttOf(heard({ text: '' }))).toBe('WEBVTT\n')
  })

  it('counts hours, and writes SubRip and WebVTT each its own way', () => {
    const words = [word('Tom', 3_723_004, 3_723_500), word('&', 3_723_600, 3_723_700), word('<Jerry>.', 3_723_800, 3_724_999.6)]
    expect(srtOf(heard({ words }))).toBe('1\n01:02:03,004 --> 01:02:05,000\nTom & <Jerry>.\n')
    expect(vttOf(heard({ words }))).toBe('WEBVTT\n\n01:02:03.004 --> 01:02:05.000\nTom &amp; &lt;Jerry&gt;.\n')
  })
})

describe("OpenAI's verbose JSON", () => {
  const words = [word('Hello', 100, 400, 0.5), word('there.', 450, 900, 0.5), word('Bye.', 1_000, 1_400)]

  it('has what was asked for, in seconds', () => {
    const full = verboseOf(heard({ words, text: 'Hello there. Bye.' }), { granularities: ['word', 'segment'], temperature: 0.2 })
    expect(full).toMatchObject({ task: 'transcribe', language: 'en', duration: 2, usage: { type: 'duration', seconds: 2 }, words: [{ word: 'Hello', start: 0.1, end: 0.4 }, { word: 'there.' }, { word: 'Bye.' }] })
    expect(full.segments).toMatchObject([{ id: 0, text: 'Hello there.', start: 0.1, end: 0.9, avg_logprob: Math.log(0.5), temperature: 0.2 }, { id: 1, text: 'Bye.', avg_logprob: 0 }])
    expect(verboseOf(heard({ words }), { granularities: ['word'], temperature: 0 })).not.toHaveProperty('segments')
  })
})
