import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TtsEvent, TtsOptions } from './contract.ts'
import { ttsEngine, type EngineSettings } from './engine.ts'
import { NO_PAUSES, type Piece, type Said, type VoicePart } from './part.ts'
import { joinPcm } from './one-shot.ts'

const RATE = 8_000
const options = (more: Partial<TtsOptions> = {}): TtsOptions => ({ voice: 'v', speed: 1, language: 'en', sampleRateHz: RATE, signal: new AbortController().signal, ...more })
const sound = (ms: number): Said => ({ type: 'audio', pcm: new Int16Array((RATE * ms) / 1_000).fill(1_000) })
const open: Said = { type: 'open', requestId: 'r1' }

/** A part that says ten milliseconds per character, and when it said each word. */
async function* plainly({ text }: Piece): AsyncGenerator<Said> {
  yield open
  yield sound(10 * text.length)
  yield { type: 'spans', spans: [...text.matchAll(/\S+/gu)].map((match) => ({ charStart: match.index, charEnd: match.index + match[0].length, startMs: 10 * match.index, endMs: 10 * (match.index + match[0].length) })) }
}

function part(say: VoicePart['say'] = plainly, more: Partial<VoicePart> = {}): VoicePart & { asked: string[] } {
  const asked: string[] = []
  const spoken: VoicePart['say'] = (piece, options, signal) => {
    asked.push(piece.text)
    return say(piece, options, signal)
  }
  return { id: 'double', model: 'm', maxChars: 300, ahead: 1, spokenForm: { contacts: true, numbers: false }, deadlines: { openMs: 1_000, firstAudioMs: 1_000, stallMs: 1_000 }, pauses: NO_PAUSES, sampleRateHz: () => RATE, voices: async () => [], failure: () => ({ code: 'cut', message: 'broke', requestId: null }), ...more, say: spoken, asked }
}

async function listen(voice: VoicePart, text: string, settings: Partial<EngineSettings> = {}) {
  const stream = ttsEngine(voice, settings).speak(options())
  stream.write(text)
  stream.end()
  const events: TtsEvent[] = []
  for await (const event of stream.events) events.push(event)
  return { events, last: events.at(-1)!, usage: stream.close(), spans: events.flatMap((event) => (event.type === 'spans' ? event.spans : [])), ms: joinPcm(events.flatMap((event) => (event.type === 'audio' ? [event.pcm] : []))).length / 8 }
}

describe('the wrapper around every voice', () => {
  it('spans are in order, inside the sound, and name the written words, whatever was written', async () => {
    const written = fc.array(fc.oneof(fc.lorem({ maxCount: 4 }), fc.constantFrom('**bold** ', 'a@b.de ', '+49 170 1234567 ', '42% ', '😀 ', '\n- ', 'Dr. ', '. ', '! ')), { maxLength: 12 }).map((parts) => parts.join(''))
    await fc.assert(
      fc.asyncProperty(written, fc.boolean(), async (text, measured) => {
        const { spans, last, ms, usage } = await listen(part(measured ? plainly : async function* (piece) {
          for await (const said of plainly(piece)) if (said.type !== 'spans') yield said
        }), text)
        expect(last).toEqual({ type: 'done' })
        let [charAt, msAt] = [0, 0]
        for (const { charStart, charEnd, startMs, endMs } of spans) {
          expect(charStart).toBeGreaterThanOrEqual(charAt)
          expect(charEnd).toBeGreaterThan(charStart)
          expect(startMs).toBeGreaterThanOrEqual(msAt - 1e-6)
          expect(endMs).toBeLessThanOrEqual(ms + 1e-6)
          ;[charAt, msAt] = [charStart, startMs]
        }
        expect(charAt).toBeLessThanOrEqual(text.length)
        expect(usage.audioMs).toBe(Math.round(ms))
      }),
      { numRuns: 60 },
    )
  })

  it('text in which nothing can be said asks nobody and is done', async () => {
    const voice = part()
    expect((await listen(voice, ' 😀 ... **  ** \n---\n')).events).toEqual([{ type: 'done' }])
    expect(voice.asked).toEqual([])
  })

  it('asks for no more while much waits to be heard, and goes on when it was', async () => {
    const voice = part()
    const text = Array.from({ length: 20 }, (_, index) => `This is sentence number ${String(index).padStart(2, '0')}. `).join('')
    const stream = ttsEngine(voice, { maxWaitingMs: 600 }).speak(options())
    stream.write(text)
    stream.end()
    const reader = stream.events[Symbol.asyncIterator]()
    await reader.next()
    await new Promise((resolve) => setImmediate(resolve))
    expect(voice.asked.length).toBeLessThan(6)
    let last: TtsEvent | undefined
    for (let step = await reader.next(); !step.done; step = await reader.next()) last = step.value
    expect(last).toEqual({ type: 'done' })
    expect(voice.asked).toHaveLength(20)
    expect(stream.close()).toMatchObject({ outcome: 'ok', characters: text.length })
  })

  it('a reader that goes away is billed for what was asked, not for what was written', async () => {
    const voice = part()
    const stream = ttsEngine(voice, { maxWaitingMs: 100 }).speak(options())
    stream.write('This is the first sentence. This is the second sentence. This is the third sentence. This is the fourth one.')
    stream.end()
    for await (const event of stream.events) if (event.type === 'audio') break
    const usage = stream.close()
    expect(usage.outcome).toBe('aborted')
    expect(usage.characters).toBe(voice.asked.join('').length)
    expect(voice.asked.length).toBeLessThan(4)
  })

  it('sound without end is stopped', async () => {
    const { last } = await listen(part(async function* () {
      yield open
      for (;;) yield sound(1_000)
    }), 'Hello there, friend.')
    expect(last).toMatchObject({ type: 'failed', failure: { code: 'unavailable', requestId: 'r1' } })
  })

  it('a supplier that ends without a sound is a failure', async () => {
    const { last, usage } = await listen(part(async function* () {
      yield open
    }), 'Hello.')
    expect(last).toMatchObject({ type: 'failed', failure: { code: 'silent', requestId: 'r1' } })
    expect(usage).toMatchObject({ outcome: 'failed', requestId: 'r1' })
  })

  it('what a supplier throws is told in our words, behind what was heard', async () => {
    const { last, ms } = await listen(part(async function* () {
      yield open
      yield sound(100)
      throw new Error('their own words')
    }), 'Hello.')
    expect(last).toEqual({ type: 'failed', failure: { code: 'cut', message: 'broke', requestId: 'r1' } })
    expect(ms).toBe(100)
  })

  it('one that does not listen to the signal is left alone, and holds nobody up', async () => {
    const stop = new AbortController()
    const stream = ttsEngine(part(async function* () {
      yield open
      await new Promise(() => undefined)
    })).speak(options({ signal: stop.signal }))
    stream.write('Hello.')
    const reading = (async () => {
      for await (const event of stream.events) expect(event).toBeUndefined()
    })()
    stop.abort()
    await reading
    expect(stream.close().outcome).toBe('aborted')
  })

  it('a stream that is open and idle waits without a deadline for its text', async () => {
    const voice = part(plainly, { deadlines: { openMs: 10, firstAudioMs: 10, stallMs: 10 } })
    const stream = ttsEngine(voice).speak(options())
    await new Promise((resolve) => setTimeout(resolve, 50))
    stream.write('Hello.')
    stream.end()
    let last: TtsEvent | undefined
    for await (const event of stream.events) last = event
    expect(last).toEqual({ type: 'done' })
  })

  it('pauses stand between pieces, not before the first nor behind the last, and shift the times', async () => {
    const { ms, spans } = await listen(part(plainly, { pauses: { sentenceMs: 300, clauseMs: 100 } }), 'This is the first sentence of all. This is the second sentence.')
    expect(ms).toBe(10 * 63 + 300)
    expect(spans.find(({ charStart }) => charStart === 35)!.startMs).toBe(350 + 300)
  })
})
