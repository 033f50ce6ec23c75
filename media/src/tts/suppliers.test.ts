import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { startSandbox, type FaultInput, type Sandbox } from '@trunkline/app-sandbox'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Ear } from '../../../apps/sandbox/src/speech/ear.ts'
import { ACCESS_KEY_ID, SECRET_ACCESS_KEY } from '../../../apps/sandbox/src/speech/polly/signature.ts'
import type { SampleRateHz } from '../frame.ts'
import type { SpeechUsage } from '../stt/contract.ts'
import type { TtsEngine, TtsEvent, TtsOptions, TtsStream } from './contract.ts'
import type { Deadlines } from './part.ts'
import { elevenlabsVoice } from './elevenlabs/index.ts'
import { googleVoice } from './google/index.ts'
import { joinPcm, synthesise } from './one-shot.ts'
import { openaiVoice } from './openai/index.ts'
import { pollyVoice } from './polly/index.ts'

let sandbox: Sandbox
beforeAll(async () => void (sandbox = await startSandbox({ speechPace: { firstSoundMs: 0 } })))
afterEach(() => {
  sandbox.reset()
  Object.assign(sandbox.speech.pace, { firstSoundMs: 0, chunkMs: 100, perChunkMs: 0 })
})
afterAll(() => sandbox.close())

type Supplier = { name: string; target: string; voice: string; streams: boolean; measured: boolean; billed: number; speedMin: number; build: (bad: boolean, deadlines?: Partial<Deadlines>, baseUrl?: string) => TtsEngine }
const suppliers: Supplier[] = [
  { name: 'openai', target: 'openai.audio.speech', voice: 'alloy', streams: true, measured: false, billed: 1, speedMin: 0.5, build: (bad, deadlines, baseUrl = sandbox.url) => openaiVoice({ baseUrl: `${baseUrl}/v1`, apiKey: bad ? 'invalid-secret' : 'good', deadlines }) },
  { name: 'elevenlabs', target: 'elevenlabs.stream', voice: 'sbxRachel0000000001x', streams: true, measured: true, billed: 1, speedMin: 0.7, build: (bad, deadlines, baseUrl = sandbox.url) => elevenlabsVoice({ baseUrl: `${baseUrl}/elevenlabs`, apiKey: bad ? 'invalid-secret' : 'good', deadlines }) },
  { name: 'google', target: 'google.synthesize', voice: 'en-US-Neural2-C', streams: false, measured: true, billed: 1, speedMin: 0.5, build: (bad, deadlines, baseUrl = sandbox.url) => googleVoice({ baseUrl: `${baseUrl}/google`, credentials: bad ? { accessToken: async () => 'invalid-secret' } : { apiKey: 'good' }, deadlines }) },
  { name: 'polly', target: 'polly.speech', voice: 'Joanna', streams: true, measured: true, billed: 2, speedMin: 1, build: (bad, deadlines, baseUrl = sandbox.url) => pollyVoice({ region: 'eu-central-1', endpoint: `${baseUrl}/polly`, credentials: { accessKeyId: bad ? 'AKIAINVALIDSECRET' : ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY }, deadlines }) },
]

const options = (voice: string, more: Partial<TtsOptions> = {}): TtsOptions => ({ voice, speed: 1, language: 'en', sampleRateHz: 16_000, signal: new AbortController().signal, ...more })
const fault = (target: string, action: FaultInput['action'], match: FaultInput['match'] = {}) => sandbox.faults.add({ target, action, match })

/** The sandbox's ear understands its own voices, after resampling too. */
function hear(pcm: Int16Array, rate: SampleRateHz): string {
  const words: string[] = []
  const ear = new Ear(rate, ({ text }) => words.push(text ?? '?'))
  ear.push(pcm)
  ear.flush()
  return words.join(' ')
}

async function listen(stream: TtsStream): Promise<{ events: TtsEvent[]; failure: Extract<TtsEvent, { type: 'failed' }>['failure'] | null; usage: SpeechUsage }> {
  const events: TtsEvent[] = []
  for await (const event of stream.events) events.push(event)
  const last = events.at(-1)
  return { events, failure: last?.type === 'failed' ? last.failure : null, usage: stream.close() }
}
const soundOf = (events: readonly TtsEvent[]) => joinPcm(events.flatMap((event) => (event.type === 'audio' ? [event.pcm] : [])))

const TEXT = 'Hello there, my name is Ann. Grüße an 3 friends & more!'

describe.each(suppliers)('$name', ({ name, target, voice, measured, billed, speedMin, build }) => {
  it.each([8_000, 16_000, 24_000, 48_000] as const)('is understood at %i Hz', async (sampleRateHz) => {
    const { pcm } = await synthesise(build(false), TEXT, options(voice, { sampleRateHz }))
    expect(hear(pcm, sampleRateHz)).toBe(TEXT.replace(' 3 ', name === 'elevenlabs' ? ' three ' : ' 3 '))
  })

  it('tells when each word is spoken, in characters of what was written', async () => {
    const text = 'Take **these** words: write to ann@example.com today. Then call us.'
    const { events, usage } = await listen(speakAll(build(false), text, options(voice)))
    const told = events.filter((event) => event.type === 'spans')
    expect(told.every(({ estimated }) => estimated === !measured)).toBe(true)
    const spans = told.flatMap(({ spans }) => spans)
    const words = spans.map(({ charStart, charEnd }) => text.slice(charStart, charEnd).replaceAll(/[*.:]+$|^[*]+/gu, ''))
    expect(words).toEqual(['Take', 'these', 'words', 'write', 'to', 'ann@example.com', 'today', 'Then', 'call', 'us'])
    // The time of a word is where its sound is.
    if (measured) for (const index of [0, 1, 7, 9]) expect(hear(soundOf(events).subarray(Math.max(0, spans[index]!.startMs - 5) * 16, (spans[index]!.endMs + 45) * 16), 16_000)).toContain(words[index])
    for (const [index, { startMs }] of spans.entries()) expect(startMs).toBeGreaterThanOrEqual(spans[index - 1]?.startMs ?? 0)
    expect(usage.outcome).toBe('ok')
  })

  it('pieces leave as soon as they can be spoken, one after another on the wire, and are metered', async () => {
    const stream = build(false).speak(options(voice))
    for (const token of ['Good', ' morning', ', ', 'how', ' are', ' you', ' today', '? ', 'I', ' am', ' fine', '.']) stream.write(token)
    stream.end()
    const { events, usage } = await listen(stream)
    expect(hear(soundOf(events), 16_000)).toBe('Good morning, how are you today? I am fine.')
    const asked = sandbox.journal.query({ target }).map(({ text }) => text?.replaceAll(/<[^>]*>/gu, '').trim())
    expect([...new Set(asked)]).toEqual(['Good morning,', 'how are you today?', 'I am fine.'])
    expect(usage).toMatchObject({ kind: 'tts', engine: name, characters: billed * 'Good morning, how are you today? I am fine.'.length, audioMs: Math.round(soundOf(events).length / 16), outcome: 'ok' })
    expect(usage.firstResultMs).toBeLessThanOrEqual(usage.latencyMs)
    if (name !== 'google') expect(usage.requestId).toEqual(expect.any(String))
  })

  it('speaks faster and slower', async () => {
    const [slow, fast] = await Promise.all([0.5, 2].map(async (speed) => (await synthesise(build(false), 'One two three four.', options(voice, { speed }))).pcm.length))
    // Polly's sandbox passes over the tag that carries it; that it was sent is what can be seen there.
    if (name === 'polly') expect(sandbox.journal.query({ target }).some(({ text }) => text?.includes('<prosody rate="200%">'))).toBe(true)
    else expect(slow! / fast!).toBeCloseTo((speedMin === 0.7 ? 1.2 : 2) / speedMin, 0)
  })

  it('lists its voices', async () => {
    const voices = await build(false).voices(new AbortController().signal)
    expect(voices.length).toBeGreaterThan(2)
    expect(voices.map(({ id }) => id)).toContain(voice)
  })

  it.each([
    ['a flood', { status: 429, retryAfter: 3 }, { code: 'rate_limited', retryAfterMs: 3_000 }],
    ['its own trouble', { status: 503 }, { code: 'unavailable' }],
    ['a server that drops us', { reset: true }, { code: 'cut' }],
    ['a proxy\'s page instead of sound', { garbage: true }, { code: 'unavailable' }],
  ] as const)('%s is told in our words', async (_, action, expected) => {
    fault(target, action)
    const { failure, usage } = await listen(speakAll(build(false), 'Hello there.', options(voice)))
    expect(failure).toMatchObject(expected)
    expect(usage).toMatchObject({ outcome: 'failed', audioMs: 0, firstResultMs: null })
  })

  it('a bad key is told as such, and not repeated', async () => {
    const { failure } = await listen(speakAll(build(true), 'Hello there.', options(voice)))
    expect(failure!.code).toBe('credentials')
    expect(JSON.stringify(failure)).not.toMatch(/secret/i)
  })

  it('a server that is not there is told', async () => {
    const { failure } = await listen(speakAll(build(false, {}, await closedPort()), 'Hello there.', options(voice)))
    expect(failure!.code).toBe('unavailable')
  })

  it('one that never answers is a timeout', async () => {
    fault(target, { hang: true })
    const { failure } = await listen(speakAll(build(false, { openMs: 150 }), 'Hello there.', options(voice)))
    expect(failure!.code).toBe('timeout')
  })

  it('the next sentence is asked for while the first is still coming, and a failure there comes after the first sentence', async () => {
    fault(target, { status: 500 }, { contains: 'second' })
    const { failure, events } = await listen(speakAll(build(false), 'This is the first sentence of two. And this is the second sentence.', options(voice)))
    expect(hear(soundOf(events), 16_000)).toBe('This is the first sentence of two.')
    expect(failure!.code).toBe('unavailable')
  })

  it('called off, it stops in the same tick and the request is given up', async () => {
    Object.assign(sandbox.speech.pace, { perChunkMs: 20 })
    const stop = new AbortController()
    const stream = build(false).speak(options(voice, { signal: stop.signal }))
    stream.write('This is a rather long sentence that somebody is going to interrupt. And one more. And one more.')
    stream.end()
    let after = 0
    for await (const event of stream.events) {
      if (stop.signal.aborted) after++
      else if (event.type === 'audio') stop.abort()
    }
    expect(after).toBe(0)
    expect(stream.close()).toMatchObject({ outcome: 'aborted' })
    expect(stream.close()).toEqual(stream.close())
  })
})

async function closedPort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `http://127.0.0.1:${port}`
}

function speakAll(engine: TtsEngine, text: string, options: TtsOptions): TtsStream {
  const stream = engine.speak(options)
  stream.write(text)
  stream.end()
  return stream
}

describe.each(suppliers.filter(({ streams }) => streams))('$name, which streams', ({ target, voice, billed, build }) => {
  it('one that answers and says nothing is silent', async () => {
    fault(target, { stallStreamAfterEvents: 0 })
    const { failure } = await listen(speakAll(build(false, { firstAudioMs: 150 }), 'Hello there.', options(voice)))
    expect(failure!.code).toBe('silent')
  })

  it('one that falls silent in the middle of a word is a failure, and what was heard was heard', async () => {
    fault(target, { stallStreamAfterEvents: 3 })
    const { failure, events, usage } = await listen(speakAll(build(false, { stallMs: 150 }), 'This is a sentence of several words.', options(voice)))
    expect(failure!.code).toBe('silent')
    expect(soundOf(events).length / 16).toBeGreaterThan(150)
    expect(usage).toMatchObject({ outcome: 'failed', characters: billed * 36 })
  })

  it('a connection that breaks in the middle is cut', async () => {
    fault(target, { cutStreamAfterEvents: 3 })
    const { failure } = await listen(speakAll(build(false), 'This is a sentence of several words.', options(voice)))
    expect(failure!.code).toBe('cut')
  })
})

describe('what only one of them does', () => {
  it('OpenAI: an empty account is no flood', async () => {
    fault('openai.audio.speech', { status: 429, errorCode: 'insufficient_quota' })
    const { failure } = await listen(speakAll(suppliers[0]!.build(false), 'Hello.', options('alloy')))
    expect(failure).toMatchObject({ code: 'credentials' })
  })

  it('OpenAI: a server of one\'s own has its own name and voices', async () => {
    const engine = openaiVoice({ id: 'house', baseUrl: `${sandbox.url}/compatible/v1`, apiKey: 'k', model: 'kokoro', voices: [{ id: 'af', name: 'af', language: 'en', gender: 'female' }] })
    const { pcm, usage } = await synthesise(engine, 'Hello.', options('af'))
    expect(hear(pcm, 16_000)).toBe('Hello.')
    expect(usage).toMatchObject({ engine: 'house', model: 'kokoro' })
    expect(await engine.voices(new AbortController().signal)).toHaveLength(1)
  })

  it('ElevenLabs: the melody is carried over, the language is told', async () => {
    await listen(speakAll(suppliers[1]!.build(false), 'This is the first sentence. This is the second one.', options('sbxRachel0000000001x', { language: 'de-AT' })))
    // Both are under way at once.
    const [first, second] = sandbox.journal.query({ target: 'elevenlabs.stream' }).toSorted((a, b) => Number(b.text?.includes('first')) - Number(a.text?.includes('first')))
    expect([first!.body, second!.body]).toMatchObject([{ language_code: 'de' }, { language_code: 'de', previous_text: 'This is the first sentence. ' }])
  })

  it('ElevenLabs: a garbled line is a failure, not a crash', async () => {
    fault('elevenlabs.stream', { garbleStreamAfterEvents: 1 })
    const { failure } = await listen(speakAll(suppliers[1]!.build(false), 'This is the first sentence.', options('sbxRachel0000000001x')))
    expect(failure!.code).toBe('unavailable')
  })

  it('Google: a key that it calls bad input is a matter of credentials; voices without marks get plain text', async () => {
    sandbox.faults.add({ target: 'google.synthesize', times: 1, action: { status: 400, body: { error: { code: 400, status: 'INVALID_ARGUMENT', message: 'no', details: [{ reason: 'API_KEY_INVALID' }] } } } })
    const engine = suppliers[2]!.build(false)
    expect((await listen(speakAll(engine, 'Hello.', options('en-US-Neural2-C')))).failure).toMatchObject({ code: 'credentials' })
    const { events } = await listen(speakAll(engine, 'Hello & good bye.', options('en-US-Chirp3-HD-Kore')))
    expect(events.find((event) => event.type === 'spans')).toMatchObject({ estimated: true })
    expect(sandbox.journal.query({ target: 'google.synthesize' }).at(-1)).toMatchObject({ text: 'Hello & good bye.' })
  })

  it('Polly: without times of words there is one request, and half the bill', async () => {
    const engine = pollyVoice({ region: 'eu-central-1', endpoint: `${sandbox.url}/polly`, credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY }, wordTimes: false })
    const { events, usage } = await listen(speakAll(engine, 'Hello there.', options('Joanna')))
    expect(events.find((event) => event.type === 'spans')).toMatchObject({ estimated: true })
    expect(usage.characters).toBe(12)
    expect(sandbox.journal.query({ target: 'polly.speech' })).toHaveLength(1)
  })
})
