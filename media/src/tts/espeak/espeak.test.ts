import { afterAll, describe, expect, it } from 'vitest'
import type { TtsEvent, TtsOptions, TtsStream } from '../contract.ts'
import { synthesise } from '../one-shot.ts'
import { EspeakPool, espeakEngine, rateOf } from './index.ts'

const pool = new EspeakPool()
const engine = espeakEngine({ pool })
afterAll(() => pool.close())

const options = (more: Partial<TtsOptions> = {}): TtsOptions => ({ voice: 'en-us', speed: 1, language: 'en', sampleRateHz: 16_000, signal: new AbortController().signal, ...more })
const loudness = (pcm: Int16Array): number => Math.sqrt(pcm.reduce((sum, sample) => sum + sample * sample, 0) / pcm.length)

async function until<Type extends TtsEvent['type']>(stream: TtsStream, type: Type): Promise<Extract<TtsEvent, { type: Type }>> {
  for await (const event of stream.events) if (event.type === type) return event as Extract<TtsEvent, { type: Type }>
  throw new Error(`The stream ended without ${type}`)
}

describe('the embedded voice', () => {
  it('speaks at the rate that was asked for, and says when each word is spoken', async () => {
    const text = 'Hello there, this is a test of the voice.'
    const { pcm, spans, usage } = await synthesise(engine, text, options())
    expect(loudness(pcm)).toBeGreaterThan(500)
    expect(spans.map(({ charStart, charEnd }) => text.slice(charStart, charEnd)).join(' ')).toBe(text)
    expect(spans.length).toBeGreaterThan(6)
    expect(spans[0]!.startMs).toBe(0)
    for (const [index, span] of spans.entries()) {
      expect(span.endMs).toBeGreaterThan(span.startMs)
      expect(span.startMs).toBeGreaterThanOrEqual(spans[index - 1]?.endMs ?? 0)
    }
    const totalMs = pcm.length / 16
    expect(spans.at(-1)!.endMs).toBeLessThanOrEqual(totalMs + 1)
    expect(spans.at(-1)!.endMs).toBeGreaterThan(totalMs - 700)
    expect(usage).toMatchObject({ kind: 'tts', engine: 'espeak', outcome: 'ok', characters: text.length })
    // Two pieces, and our pause between them, which nobody made.
    expect(totalMs - usage.audioMs).toBeGreaterThan(100)
    expect(totalMs - usage.audioMs).toBeLessThan(130)
  })

  it('the pauses are where the words are not', async () => {
    const text = 'One. Two.'
    const { pcm, spans } = await synthesise(engine, text, options({ sampleRateHz: 8_000 }))
    const between = pcm.subarray((spans[0]!.endMs + 40) * 8, (spans[1]!.startMs - 10) * 8)
    const word = pcm.subarray(spans[1]!.startMs * 8, spans[1]!.endMs * 8)
    expect(between.length).toBeGreaterThan(400)
    expect(loudness(between)).toBeLessThan(loudness(word) / 10)
  })

  it.each([[8_000], [16_000], [24_000], [48_000]] as const)('lasts equally long at %i Hz', async (sampleRateHz) => {
    const { pcm } = await synthesise(engine, 'Good morning, how are you?', options({ sampleRateHz }))
    const reference = await synthesise(engine, 'Good morning, how are you?', options({ sampleRateHz: 16_000 }))
    expect(pcm.length / sampleRateHz).toBeCloseTo(reference.pcm.length / 16_000, 3)
  })

  it('speaks slower and faster, in limits', async () => {
    const lengths = await Promise.all([0.5, 1, 2].map(async (speed) => (await synthesise(engine, 'One two three four five six seven.', options({ speed }))).pcm.length))
    expect(lengths[0]! / lengths[1]!).toBeGreaterThan(1.6)
    expect(lengths[1]! / lengths[2]!).toBeGreaterThan(1.6)
    expect([rateOf(0.1), rateOf(9)]).toEqual([80, 450])
  })

  it('has another tone with another pitch, and other voices', async () => {
    const low = await synthesise(espeakEngine({ pool, pitch: 10 }), 'Hello.', options())
    const high = await synthesise(espeakEngine({ pool, pitch: 90 }), 'Hello.', options())
    const other = await synthesise(engine, 'Hello.', options({ voice: 'en-us+f3' }))
    expect(Buffer.from(low.pcm.buffer).equals(Buffer.from(high.pcm.buffer))).toBe(false)
    expect(Buffer.from(other.pcm.buffer).equals(Buffer.from(high.pcm.buffer))).toBe(false)
  })

  it('knows many languages', async () => {
    const voices = await engine.voices(new AbortController().signal)
    expect(voices.length).toBeGreaterThan(100)
    expect(voices).toContainEqual({ id: 'de', name: 'German', language: 'de', gender: null })
    for (const [language, text] of [['de-AT', 'Grüß Gott, Ihre Bestellung ist da.'], ['ru', 'Привет, как дела?'], ['cmn', '你好，世界。']] as const) {
      const { pcm, spans } = await synthesise(engine, text, options({ voice: '', language }))
      expect(loudness(pcm)).toBeGreaterThan(300)
      expect(spans.length).toBeGreaterThan(0)
    }
  })

  it('a voice that does not exist is refused', async () => {
    await expect(synthesise(engine, 'Hello.', options({ voice: 'xx-nobody' }))).rejects.toMatchObject({ failure: { code: 'unsupported' } })
    expect((await synthesise(engine, 'Hello.', options())).pcm.length).toBeGreaterThan(1_000)
  })

  it('reads nobody\'s SSML or phoneme codes', async () => {
    const { spans } = await synthesise(engine, 'a <break time="9s"/> b [[x]] 5 < 6 c', options())
    expect(spans.at(-1)!.endMs).toBeLessThan(6_000)
    expect(spans.at(-1)).toMatchObject({ charEnd: 36 })
  })

  it('times stay exact behind characters outside the basic plane and numbers', async () => {
    const text = 'Take 🙂 42 of 𝔘nits, dear.'
    const { spans } = await synthesise(engine, text, options())
    const said = spans.map(({ charStart, charEnd }) => text.slice(charStart, charEnd))
    expect(said).toContain('42')
    expect(said.at(-1)).toBe('dear.')
  })

  it('first sound leaves while the rest is still being written', async () => {
    const stream = engine.speak(options())
    stream.write('This is the first part of it, ')
    stream.write('and')
    const { pcm } = await until(stream, 'audio')
    expect(pcm.length).toBeGreaterThan(0)
    expect(stream.close()).toMatchObject({ outcome: 'aborted' })
  })
})

describe('calling it off', () => {
  it('nothing comes after the signal, in the same tick', async () => {
    const stop = new AbortController()
    const stream = engine.speak(options({ signal: stop.signal }))
    stream.write('This is a long sentence that is going to be called off. And another one behind it.')
    stream.end()
    const seen: TtsEvent[] = []
    let stoppedAt = -1
    for await (const event of stream.events) {
      seen.push(event)
      if (stoppedAt < 0) {
        stop.abort()
        stoppedAt = seen.length
      }
    }
    expect(seen.length).toBe(stoppedAt)
    expect(stream.close()).toMatchObject({ outcome: 'aborted' })
  })

  it('a signal that fired before leaves nothing', async () => {
    const stream = engine.speak(options({ signal: AbortSignal.abort() }))
    stream.write('Hello.')
    stream.end()
    for await (const event of stream.events) expect(event).toBeUndefined()
    expect(stream.close()).toMatchObject({ outcome: 'aborted', characters: 0, audioMs: 0, firstResultMs: null })
  })

  it('a neighbour in the same process is not disturbed', async () => {
    const alone = await synthesise(engine, 'I stay on the line.', options())
    const stop = new AbortController()
    const noisy = Array.from({ length: 5 }, () => synthesise(engine, 'Somebody else who goes away again very soon.', options({ signal: stop.signal })))
    const kept = synthesise(engine, 'I stay on the line.', options())
    stop.abort()
    for (const one of noisy) await expect(one).rejects.toThrow(/abort/i)
    // Not the same samples: espeak's noises are never the same twice, and its lengths differ by some of them.
    expect(Math.abs((await kept).pcm.length - alone.pcm.length)).toBeLessThan(800)
    expect((await kept).spans.map(({ charStart, charEnd }) => [charStart, charEnd])).toEqual(alone.spans.map(({ charStart, charEnd }) => [charStart, charEnd]))
  })
})

describe('a process that dies', () => {
  it('is replaced, and a text that nobody has heard yet is said all the same', async () => {
    const own = new EspeakPool()
    const engine = espeakEngine({ pool: own })
    await own.warm()
    const [pid] = own.pids
    const said = synthesise(engine, 'I am still here.', options())
    process.kill(pid!, 'SIGKILL')
    expect((await said).pcm.length).toBeGreaterThan(1_000)
    expect(own.pids).not.toContain(pid)
    own.close()
  })

  it('that hangs is ended at its deadline', async () => {
    const own = new EspeakPool({ deadlineMs: 1_000 })
    await own.warm()
    const [pid] = own.pids
    process.kill(pid!, 'SIGSTOP')
    const { pcm } = await synthesise(espeakEngine({ pool: own }), 'Wake up.', options())
    expect(pcm.length).toBeGreaterThan(1_000)
    expect(own.pids).not.toContain(pid)
    own.close()
  })

  it('several share the work, and a closed pool says so', async () => {
    const own = new EspeakPool({ size: 2 })
    const engine = espeakEngine({ pool: own })
    await Promise.all(['one', 'two', 'three', 'four'].map((word) => synthesise(engine, `Number ${word}.`, options())))
    expect(own.pids).toHaveLength(2)
    own.close()
    await expect(synthesise(engine, 'Hello.', options())).rejects.toMatchObject({ failure: { code: 'unavailable' } })
  })
})
