import { speak, startSandbox } from '@trunkline/app-sandbox'
import type { Sandbox } from '@trunkline/app-sandbox'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { SampleRateHz } from '../frame.ts'
import { ManualClock } from '../playout/testing.ts'
import { compatibleStt } from './compatible/index.ts'
import type { SpeechUsage, SttEngine, SttEvent, SttOptions, SttStream } from './contract.ts'
import { deepgramStt } from './deepgram/index.ts'
import type { SttSettings } from './engine.ts'
import { googleStt } from './google/index.ts'
import { openaiStt } from './openai/index.ts'

let sandbox: Sandbox
const usages: SpeechUsage[] = []

beforeAll(async () => {
  sandbox = await startSandbox({ speechPace: { finalMs: 0 } })
})
afterEach(() => {
  sandbox.reset()
  usages.length = 0
})
afterAll(() => sandbox.close())

const SAID = 'Hello there, my number is 42.'
type Make = (key: string, settings?: SttSettings) => SttEngine
const withUsage = (settings: SttSettings = {}): SttSettings => ({ onUsage: (usage) => usages.push(usage), ...settings })
const engines: [name: string, target: string, recordings: string, make: Make][] = [
  ['openai', 'openai.audio.transcriptions', 'openai.audio.transcriptions', (apiKey, settings) => openaiStt({ apiKey, baseUrl: `${sandbox.url}/v1` }, withUsage(settings))],
  ['openai whisper-1', 'openai.audio.transcriptions', 'openai.audio.transcriptions', (apiKey, settings) => openaiStt({ apiKey, model: 'whisper-1', baseUrl: `${sandbox.url}/v1` }, withUsage(settings))],
  ['compatible', 'compatible.audio.transcriptions', 'compatible.audio.transcriptions', (apiKey, settings) => compatibleStt({ apiKey, model: 'any/whisper', baseUrl: `${sandbox.url}/compatible/v1` }, withUsage(settings))],
  ['deepgram', 'deepgram.listen', 'deepgram.recording', (apiKey, settings) => deepgramStt({ apiKey, baseUrl: `${sandbox.url}/deepgram` }, withUsage(settings))],
  ['google', 'google.recognize', 'google.recognize', (apiKey, settings) => googleStt({ credentials: { apiKey }, baseUrl: `${sandbox.url}/google` }, withUsage(settings))],
]

const options = (more: Partial<SttOptions> = {}): SttOptions => ({ sampleRateHz: 16_000, language: 'en', keyterms: [], signal: new AbortController().signal, ...more })
const sound = (text: string, rate: SampleRateHz = 16_000) => speak(text, { sampleRateHz: rate }).pcm
function pushAll(stream: SttStream, pcm: Int16Array, frame = 320): void {
  for (let at = 0; at < pcm.length; at += frame) stream.push(pcm.subarray(at, at + frame))
}
async function until(stream: SttStream, last: SttEvent['type']): Promise<SttEvent[]> {
  const events: SttEvent[] = []
  for await (const event of stream.events) {
    events.push(event)
    if (event.type === last) break
  }
  return events
}
const textOf = (events: readonly SttEvent[]): string => events.flatMap((event) => (event.type === 'final' ? [event.text] : [])).join(' ')

describe.each(engines)('%s', (name, target, recordings, make) => {
  it('hears what was said, in events of the contract, and is measured once', async () => {
    const stream = make('k').open(options())
    pushAll(stream, sound(SAID))
    stream.finish()
    const events = await until(stream, 'finished')
    expect(textOf(events)).toBe(SAID)
    expect(events.at(-1)).toEqual({ type: 'finished' })
    const final = events.find((event) => event.type === 'final')!
    expect(final.confidence).toBeGreaterThan(0.6)
    expect(final.endMs).toBeGreaterThan(final.startMs)
    const usage = stream.close()
    expect(usage).toMatchObject({ kind: 'stt', outcome: 'ok', audioMs: expect.closeTo(sound(SAID).length / 16, -1) as number, firstResultMs: expect.any(Number) as number })
    expect(stream.close()).toEqual(usage)
    expect(usages).toEqual([usage])
  })

  it('goes on after finish, times counted from the first sample', async () => {
    const stream = make('k').open(options())
    pushAll(stream, sound('one two'))
    stream.finish()
    expect(textOf(await until(stream, 'finished'))).toBe('one two')
    pushAll(stream, new Int16Array(16_000))
    pushAll(stream, sound('three'))
    stream.finish()
    const events = await until(stream, 'finished')
    expect(textOf(events)).toBe('three')
    const final = events.find((event) => event.type === 'final')!
    expect(final.endMs).toBeGreaterThan(1_000 + sound('one two').length / 16)
    if (final.words.length > 0) expect(final.words[0]!.startMs).toBeGreaterThan(1_000 + sound('one two').length / 16 - 100)
    stream.close()
  })

  it('finishes silence without a word', async () => {
    const stream = make('k').open(options())
    pushAll(stream, new Int16Array(8_000))
    stream.finish()
    expect(await until(stream, 'finished')).toEqual([{ type: 'finished' }])
    stream.close()
  })

  it('hears a whole recording', async () => {
    const heard = await make('k').transcribe(sound(SAID, 8_000), options({ sampleRateHz: 8_000, keyterms: ['Trunkline'] }))
    expect(heard).toMatchObject({ text: SAID, durationMs: expect.closeTo(sound(SAID, 8_000).length / 8, 0) as number, usage: { outcome: 'ok' } })
    expect(usages).toEqual([heard.usage])
  })

  it.each([[401, 'credentials'], [429, 'rate_limited'], [503, 'unavailable'], [400, 'bad_request']] as const)('a refusal with %i is %s, live and recorded, and is measured', async (status, code) => {
    sandbox.faults.add({ target, action: { status, retryAfter: 2 } })
    if (recordings !== target) sandbox.faults.add({ target: recordings, action: { status, retryAfter: 2 } })
    const stream = make('k').open(options())
    pushAll(stream, sound('yes'))
    stream.finish()
    expect((await until(stream, 'failed')).at(-1)).toMatchObject({ type: 'failed', failure: { code, ...(status === 429 ? { retryAfterMs: 2_000 } : {}) } })
    expect(stream.close().outcome).toBe('failed')
    await expect(make('k').transcribe(sound('yes'), options())).rejects.toMatchObject({ failure: { code } })
    expect(usages.map(({ outcome }) => outcome)).toEqual(['failed', 'failed'])
  })

  it('a bad key fails without showing it', async () => {
    const stream = make('invalid-secret-key').open(options())
    pushAll(stream, sound('yes'))
    stream.finish()
    const failed = (await until(stream, 'failed')).at(-1)!
    expect(failed).toMatchObject({ failure: { code: name === 'google' ? 'bad_request' : 'credentials' } })
    expect(JSON.stringify(failed)).not.toMatch(/secret/)
  })

  it('a supplier that hangs is given up on', async () => {
    sandbox.faults.add({ target, action: { hang: true } })
    const stream = make('k', { deadlines: { openMs: 60, finalMs: 120 } }).open(options())
    pushAll(stream, sound('yes'))
    stream.finish()
    expect((await until(stream, 'failed')).at(-1)).toMatchObject({ failure: { code: 'timeout' } })
    stream.close()
  })

  it('a broken connection and garbage are failures', async () => {
    for (const action of [{ reset: true }, { garbage: true }]) {
      sandbox.faults.clear()
      sandbox.faults.add({ target, action })
      const stream = make('k').open(options())
      pushAll(stream, sound('yes'))
      stream.finish()
      expect((await until(stream, 'failed')).at(-1)).toMatchObject({ type: 'failed', failure: { code: expect.stringMatching(/^(cut|unavailable|timeout)$/) as string } })
      stream.close()
    }
  })

  it('ends at once when called off, and tells no failure', async () => {
    const abort = new AbortController()
    const stream = make('k').open(options({ signal: abort.signal }))
    pushAll(stream, sound(SAID))
    stream.finish()
    abort.abort()
    expect(await until(stream, 'failed')).toEqual([])
    expect(stream.close().outcome).toBe('aborted')
    await expect(make('k').transcribe(sound('yes'), options({ signal: abort.signal }))).rejects.toThrow(/./)
    expect(usages.map(({ outcome }) => outcome)).toEqual(['aborted', 'aborted'])
  })
})

describe('recordings of live speech', () => {
  it('are cut where it is quiet when they grow too long, and no word is lost', async () => {
    const words = Array.from({ length: 24 }, (_, index) => `word${index}.`)
    const engine = compatibleStt({ apiKey: null, model: 'm', baseUrl: `${sandbox.url}/compatible/v1`, maxSegmentMs: 4_000 })
    const stream = engine.open(options())
    pushAll(stream, sound(words.join(' ')))
    stream.finish()
    const events = await until(stream, 'finished')
    expect(events.filter(({ type }) => type === 'final').length).toBeGreaterThan(2)
    expect(textOf(events).split(' ')).toEqual(words)
    stream.close()
  })

  it('leave silence out: it is paid for, and words are invented for it', async () => {
    const stream = engines[0]![3]('k').open(options())
    pushAll(stream, new Int16Array(16_000 * 20))
    pushAll(stream, sound('hello'))
    stream.finish()
    await until(stream, 'finished')
    const { body } = sandbox.journal.query({ target: 'openai.audio.transcriptions' })[0]!
    expect((body as { audio_ms: number }).audio_ms).toBeLessThan(1_000)
    stream.close()
  })

  it('of gpt-4o-transcribe tell partials while the text streams', async () => {
    const stream = engines[0]![3]('k').open(options())
    pushAll(stream, sound('one two three'))
    stream.finish()
    expect((await until(stream, 'finished')).filter(({ type }) => type === 'partial').map((event) => 'text' in event && event.text)).toEqual(['one', 'one two', 'one two three'])
    stream.close()
  })
})

describe('deepgram, live', () => {
  it('tells partials, and holds the speaker for done by itself', async () => {
    const stream = engines[3]![3]('k').open(options({ language: null, keyterms: ['Trunkline'] }))
    pushAll(stream, sound('one two'))
    pushAll(stream, new Int16Array(16_000))
    const events = await until(stream, 'final')
    expect(events.map((event) => 'text' in event && event.text)).toEqual(['one', 'one two', 'one two'])
    expect(events.at(-1)).toMatchObject({ endOfTurn: true, language: 'en' })
    expect(sandbox.journal.query({ target: 'deepgram.listen' })[0]!.body).toMatchObject({ language: 'multi', keyterm: 'Trunkline', sample_rate: '16000' })
    stream.close()
    await sandbox.waitFor((entry) => entry.target === 'deepgram.closed' && entry.text === 'one two')
  })

  it('may be fed mu-law', async () => {
    const stream = deepgramStt({ apiKey: 'k', baseUrl: `${sandbox.url}/deepgram`, encoding: 'mulaw' }).open(options({ sampleRateHz: 8_000 }))
    pushAll(stream, sound(SAID, 8_000), 160)
    stream.finish()
    expect(textOf(await until(stream, 'finished'))).toBe(SAID)
    stream.close()
  })

  it('connected, fed and silent is a failure', async () => {
    sandbox.faults.add({ target: 'deepgram.listen', action: { stallStreamAfterEvents: 0 } })
    const clock = new ManualClock()
    const stream = deepgramStt({ apiKey: 'k', baseUrl: `${sandbox.url}/deepgram` }, withUsage({ clock })).open(options())
    const events: SttEvent[] = []
    const heard = until(stream, 'failed').then((all) => events.push(...all))
    // Frames come as in a call until the failure does; how many it takes depends on when the socket opened.
    while (events.length === 0) {
      pushAll(stream, sound('hello'))
      clock.stall(500)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await heard
    expect(events.at(-1)).toMatchObject({ failure: { code: 'silent' } })
    stream.close()
  })

  it('is cut or talks nonsense in mid-stream: a failure, with the words before it kept', async () => {
    for (const [action, code] of [[{ cutStreamAfterEvents: 2 }, 'cut'], [{ garbleStreamAfterEvents: 2 }, 'unavailable']] as const) {
      sandbox.faults.clear()
      sandbox.faults.add({ target: 'deepgram.listen', action })
      const stream = engines[3]![3]('k').open(options())
      pushAll(stream, sound('one two three four'))
      const events = await until(stream, 'failed')
      expect(events.filter(({ type }) => type === 'partial')).toHaveLength(2)
      expect(events.at(-1)).toMatchObject({ failure: { code } })
      stream.close()
    }
  })

  it('is kept alive in long silences, and left alone while it is fed', async () => {
    const clock = new ManualClock()
    const stream = deepgramStt({ apiKey: 'k', baseUrl: `${sandbox.url}/deepgram` }, { clock }).open(options())
    pushAll(stream, sound('one'))
    stream.finish()
    await until(stream, 'finished')
    const kept = (count: number) => sandbox.waitForCount(({ target, kind }) => target === 'deepgram.control' && kind === 'KeepAlive', count)
    clock.pass(5_000)
    await kept(1)
    clock.pass(4_000)
    await kept(2)
    stream.push(sound('two'))
    clock.pass(3_000)
    stream.finish()
    expect(textOf(await until(stream, 'finished'))).toBe('two')
    expect(await kept(2)).toHaveLength(2)
    stream.close()
    clock.pass(60_000)
    expect(clock.waiting).toBe(0)
  })
})
