import { Ear, speak } from '@trunkline/app-sandbox'
import { newId } from '@trunkline/core'
import { ledger } from '@trunkline/db'
import { SoundReader, wavBytes, wavPcm } from '@trunkline/media'
import OpenAI, { APIError, toFile } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Business, Json } from './business.ts'
import { openTown, type Town } from './town.ts'

const SAID = 'Hello there. My order number is A-1001. Could you look it up, please?'
const RATE_HZ = 24_000
const sounds = new SoundReader({ threads: 1 })

let town: Town
let business: Business
let client: OpenAI
const clientOf = (apiUrl: string, { key }: Business) => new OpenAI({ apiKey: key, baseURL: `${apiUrl}/v1`, maxRetries: 0 })
const elevenlabs = () => ({ ELEVENLABS_API_KEY: 'sandbox', ELEVENLABS_BASE_URL: `${town.sandbox.url}/elevenlabs` })

beforeAll(async () => {
  town = await openTown()
  business = await town.business()
  client = clientOf(town.apiUrl, business)
})
afterEach(() => {
  town.sandbox.faults.clear()
  Object.assign(town.sandbox.speech.pace, { firstSoundMs: 10, perChunkMs: 0 })
})
afterAll(async () => {
  await sounds.close()
  await town?.close()
})

const wav = (text = SAID, rateHz: 16_000 | 24_000 = RATE_HZ) => Buffer.from(wavBytes(speak(text, { sampleRateHz: rateHz }).pcm, rateHz))
const recording = (text?: string) => toFile(wav(text), 'said.wav', { type: 'audio/wav' })

function heardIn(pcm: Int16Array, rateHz: number): string {
  const words: string[] = []
  const ear = new Ear(rateHz, ({ text }) => void (text !== null && words.push(text)))
  ear.push(pcm)
  ear.push(new Int16Array(rateHz))
  return words.join(' ')
}
const bytesOf = async (answer: { arrayBuffer(): Promise<ArrayBuffer> }) => new Uint8Array(await answer.arrayBuffer())

async function refused(doing: Promise<unknown>): Promise<APIError> {
  const error: unknown = await doing.then(() => 'was not refused', (reason: unknown) => reason)
  if (!(error instanceof APIError)) throw new Error(`No answer of the API: ${String(error)}`)
  return error
}

type Spent = { micros: string; of: string; quantity: number }
const SPENT = "SELECT amount_micros::text AS micros, details->'lines'->0->>'of' AS of, (details->'lines'->0->>'quantity')::int AS quantity FROM transfers WHERE tenant_id = $1 AND kind = 'settle' AND memo = 'audio' ORDER BY id"
const spent = (tenantId = business.tenantId) => town.rows<Spent>(SPENT, [tenantId])
const OPEN_HOLDS = "SELECT id FROM holds WHERE tenant_id = $1 AND state = 'held'"
const openHolds = (tenantId: string) => town.rows<{ id: string }>(OPEN_HOLDS, [tenantId])

describe('a file is written down, with the official client', { timeout: 30_000 }, () => {
  it('as JSON, and is charged by its length with the engine that heard it', async () => {
    const before = (await spent()).length
    const answer = await client.audio.transcriptions.create({ file: await recording(), model: 'gpt-4o-transcribe' })
    expect(answer).toMatchObject({ text: SAID, usage: { type: 'duration' } })
    const durationMs = (speak(SAID, { sampleRateHz: RATE_HZ }).pcm.length / RATE_HZ) * 1_000
    const charge = (await spent())[before]!
    expect(charge).toMatchObject({ of: 'openai/gpt-4o-transcribe' })
    expect(Math.abs(charge.quantity - durationMs)).toBeLessThan(5)
    expect(BigInt(charge.micros)).toBe((BigInt(charge.quantity) * 6_000n + 59_999n) / 60_000n)
    expect(await openHolds(business.tenantId)).toEqual([])
  })

  it('with times of words, which the model that has them is asked for', async () => {
    const answer = await client.audio.transcriptions.create({ file: await recording(), model: 'whisper-1', language: 'en', response_format: 'verbose_json', timestamp_granularities: ['word', 'segment'] })
    expect(answer.text).toBe(SAID)
    expect(answer.words!.length).toBe(SAID.split(' ').length)
    expect(answer.segments!.map(({ text }) => text).join(' ').split(' ').length).toBe(answer.words!.length)
    for (const [at, { start, end }] of answer.words!.entries()) {
      expect(end).toBeGreaterThan(start)
      expect(start).toBeGreaterThanOrEqual(answer.words![at - 1]?.end ?? 0)
    }
    expect(answer.words!.at(-1)!.end).toBeLessThanOrEqual(answer.duration + 0.01)
  })

  it('as text, and as subtitles', async () => {
    const ask = async (response_format: 'text' | 'srt' | 'vtt') => client.audio.transcriptions.create({ file: await recording('Hello there.'), model: 'whisper-1', response_format })
    expect(await ask('text')).toBe('Hello there.\n')
    expect(await ask('srt')).toMatch(/^1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\nHello there\n$/)
    expect(await ask('vtt')).toMatch(/^WEBVTT\n\n00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}\nHello there\n$/)
  })

  it('as a stream of events', async () => {
    const events: Json[] = []
    for await (const event of await client.audio.transcriptions.create({ file: await recording(), model: 'gpt-4o-transcribe', stream: true })) events.push(event)
    expect(events.filter(({ type }) => type === 'transcript.text.delta').map(({ delta }) => delta).join('')).toBe(SAID)
    expect(events.at(-1)).toMatchObject({ type: 'transcript.text.done', text: SAID })
  })

  it('a stream tells of a failure, since its status has gone out', async () => {
    town.sandbox.faults.add({ target: 'openai.audio.transcriptions', action: { status: 500 } })
    const events = client.audio.transcriptions.create({ file: await recording(), model: 'gpt-4o-transcribe', stream: true }).then(async (stream) => {
      for await (const _ of stream);
    })
    expect(await refused(events)).toMatchObject({ error: { code: 'upstream_failed' } })
    expect(await openHolds(business.tenantId)).toEqual([])
  })

  it('a failed recogniser is an error of its own, and costs nothing', async () => {
    const before = (await spent()).length
    town.sandbox.faults.add({ target: 'openai.audio.transcriptions', action: { status: 401 } })
    expect(await refused(client.audio.transcriptions.create({ file: await recording(), model: 'whisper-1' }))).toMatchObject({ status: 502, code: 'upstream_rejected' })
    expect((await spent()).length).toBe(before)
    expect(await openHolds(business.tenantId)).toEqual([])
  })

  it('a client that goes away while it waits: the work ends, and its credit is free again', async () => {
    Object.assign(town.sandbox.speech.pace, { finalMs: 60_000 })
    try {
      const stop = new AbortController()
      const asked = town.sandbox.journal.count({ target: 'openai.audio.transcriptions' })
      const answer = client.audio.transcriptions.create({ file: await recording(), model: 'whisper-1' }, { signal: stop.signal })
      await town.sandbox.waitForCount(({ target }) => target === 'openai.audio.transcriptions', asked + 1)
      expect(await openHolds(business.tenantId)).toHaveLength(1)
      stop.abort()
      await expect(answer).rejects.toThrow()
      await town.until(OPEN_HOLDS, [business.tenantId], (rows) => rows.length === 0)
    } finally {
      Object.assign(town.sandbox.speech.pace, { finalMs: 0 })
    }
  })

  it.each([
    ['a letter', () => toFile(Buffer.from('Dear Sir or Madam'), 'letter.wav'), { model: 'whisper-1' }, 400, 'body.file'],
    ['an empty file', () => toFile(Buffer.alloc(0), 'said.wav'), { model: 'whisper-1' }, 400, 'body.file'],
    ['a file of more than 25 MB', () => toFile(Buffer.alloc(25 * 1024 * 1024 + 1), 'said.wav'), { model: 'whisper-1' }, 413, 'body.file'],
    ['more than 25 minutes', () => toFile(wavBytes(new Int16Array(8_000 * 1_501), 8_000), 'said.wav'), { model: 'whisper-1' }, 413, 'body.file'],
    ['a model of nobody', () => recording(), { model: 'ears-9000' }, 400, 'body.model'],
    ['an engine that is not set up', () => recording(), { model: 'google' }, 400, 'body.model'],
    ['a format of nobody', () => recording(), { model: 'whisper-1', response_format: 'pdf' }, 400, 'body.response_format'],
    ['times in plain JSON', () => recording(), { model: 'whisper-1', timestamp_granularities: ['word'] }, 400, 'body.timestamp_granularities'],
    ['a field that nobody knows', () => recording(), { model: 'whisper-1', colour: 'blue' }, 400, 'body.colour'],
    ['a language that is none', () => recording(), { model: 'whisper-1', language: 'klingon!' }, 400, 'body.language'],
  ])('%s is refused, and the error says where', async (_, file, fields, status, param) => {
    const asked = town.sandbox.journal.count({ target: 'openai.audio.transcriptions' })
    expect(await refused(client.audio.transcriptions.create({ file: await file(), ...fields } as never))).toMatchObject({ status, param })
    expect(town.sandbox.journal.count({ target: 'openai.audio.transcriptions' })).toBe(asked)
  })

  it('JSON is no form', async () => {
    expect((await business.call('POST', '/v1/audio/transcriptions', { model: 'whisper-1' })).body.error).toMatchObject({ code: 'unsupported_media_type', param: 'headers.content-type' })
  })
})

describe('a text is spoken, with the official client', { timeout: 30_000 }, () => {
  it.each(['wav', 'pcm'] as const)('as %s: word for word, charged by its characters', async (response_format) => {
    const before = (await spent()).length
    const answer = await client.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: SAID, response_format })
    expect(answer.headers.get('content-type')).toBe(response_format === 'wav' ? 'audio/wav' : 'audio/pcm')
    const bytes = await bytesOf(answer)
    const pcm = response_format === 'wav' ? wavPcm(bytes)!.pcm : new Int16Array(bytes.buffer)
    expect(heardIn(pcm, RATE_HZ)).toBe(SAID)
    expect((await spent())[before]).toMatchObject({ of: 'openai/gpt-4o-mini-tts', quantity: expect.closeTo(SAID.length, -1) })
    expect(await openHolds(business.tenantId)).toEqual([])
  })

  it.each([
    ['mp3', undefined, 'audio/mpeg'],
    ['opus', 'opus', 'audio/ogg'],
    ['aac', 'aac', 'audio/aac'],
  ] as const)('as %s, which is a file of that kind and as long as the sound', async (kind, response_format, type) => {
    const answer = await client.audio.speech.create({ model: 'tts-1', voice: 'nova', input: SAID, ...(response_format ? { response_format } : {}) })
    expect(answer.headers.get('content-type')).toBe(type)
    const file = await sounds.decode(await bytesOf(answer), 60_000, AbortSignal.timeout(20_000))
    expect(file.codec).toBe(kind)
    const wanted = (speak(SAID, { sampleRateHz: RATE_HZ }).pcm.length / RATE_HZ) * 1_000
    expect(Math.abs(file.durationMs - wanted)).toBeLessThan(300)
  })

  it('as aac, which is understood again as an upload', async () => {
    const spoken = await bytesOf(await client.audio.speech.create({ model: 'tts-1', voice: 'nova', input: SAID, response_format: 'aac' }))
    const { text } = await client.audio.transcriptions.create({ file: await toFile(spoken, 'said.m4a', { type: 'audio/mp4' }), model: 'gpt-4o-transcribe' })
    expect(text).toBe(SAID)
  })

  it('as events', async () => {
    const answer = await client.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: SAID, response_format: 'pcm', stream_format: 'sse' })
    const events = (await answer.text()).split('\n\n').filter(Boolean).map((event) => JSON.parse(event.replace(/^data: /, '')))
    const bytes = Buffer.concat(events.filter(({ type }) => type === 'speech.audio.delta').map(({ audio }) => Buffer.from(audio, 'base64')))
    expect(heardIn(new Int16Array(Uint8Array.from(bytes).buffer), RATE_HZ)).toBe(SAID)
    expect(events.at(-1)).toMatchObject({ type: 'speech.audio.done', usage: { total_tokens: expect.any(Number) } })
  })

  it('the model, the voice, the speed and the instructions reach the supplier', async () => {
    await bytesOf(await client.audio.speech.create({ model: 'tts-1-hd', voice: { id: 'onyx' }, input: 'We open at nine.', speed: 1.5, instructions: 'Warm and slow.', response_format: 'pcm' }))
    const { body } = await town.sandbox.waitFor(({ target, text }) => target === 'openai.audio.speech' && text === 'We open at nine.')
    expect(body).toMatchObject({ model: 'tts-1-hd', voice: 'onyx', speed: 1.5, instructions: 'Warm and slow.' })
  })

  it('a supplier that is down: the embedded voice speaks, and costs nothing', async () => {
    const before = (await spent()).length
    town.sandbox.faults.add({ target: 'openai.audio.speech', action: { status: 500 } })
    const { pcm } = wavPcm(await bytesOf(await client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'We open at nine.', response_format: 'wav' })))!
    expect(pcm.length).toBeGreaterThan(RATE_HZ / 2)
    expect((await spent()).length).toBe(before)
    expect(await openHolds(business.tenantId)).toEqual([])
  })

  it('the first bytes come early; a client that goes away ends the work, and what was spoken is charged', async () => {
    const before = (await spent()).length
    const long = Array.from({ length: 40 }, (_, at) => `Sentence number ${at} of a very long story.`).join(' ')
    Object.assign(town.sandbox.speech.pace, { perChunkMs: 5 })
    const answer = await client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: long, response_format: 'pcm' })
    const reader = answer.body!.getReader()
    expect((await reader.read()).value!.length).toBeGreaterThan(0)
    await reader.cancel()
    const [charge] = (await town.until<Spent>(SPENT, [business.tenantId], (rows) => rows.length > before)).slice(before)
    expect(charge!.quantity).toBeGreaterThan(0)
    expect(charge!.quantity).toBeLessThan(long.length)
    expect(await openHolds(business.tenantId)).toEqual([])
  })

  it.each([
    ['flac', { response_format: 'flac' }, 'body.response_format'],
    ['a speed that not all voices have', { speed: 4 }, 'body.speed'],
    ['a voice of nobody', { voice: 'darth' }, 'body.voice'],
    ['a model of nobody', { model: 'mouth-9000' }, 'body.model'],
    ['an engine that is not set up', { model: 'polly' }, 'body.model'],
    ['too long a text', { input: 'a'.repeat(4_097) }, 'body.input'],
    ['no text', { input: '   ' }, 'body.input'],
    ['nothing that can be spoken', { input: '!!!' }, 'body.input'],
    ['a field that nobody knows', { colour: 'blue' }, 'body.colour'],
  ])('%s is refused, and the error says where', async (_, fields, param) => {
    expect(await refused(client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'Hello.', ...fields } as never))).toMatchObject({ status: 400, param })
    expect(await openHolds(business.tenantId)).toEqual([])
  })
})

describe('without credit', { timeout: 30_000 }, () => {
  it('no engine is asked', async () => {
    const poor = await town.business('Poor Shop')
    const [wallet] = await town.rows<{ micros: string }>("SELECT balance_micros::text AS micros FROM accounts WHERE tenant_id = $1 AND kind = 'available'", [poor.tenantId])
    await town.db.system('ledger', (tx) => ledger.holdMany(tx, [{ tenantId: poor.tenantId, holdId: newId(), turnId: null, amountMicros: BigInt(wallet!.micros), idempotencyKey: 'everything', expiresAtMs: Date.now() + 600_000 }]))
    const asked = () => town.sandbox.journal.count({ target: 'openai.audio.speech' }) + town.sandbox.journal.count({ target: 'openai.audio.transcriptions' })
    const before = asked()
    const theirs = clientOf(town.apiUrl, poor)
    expect(await refused(theirs.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'Hello.' }))).toMatchObject({ status: 402, code: 'insufficient_credit' })
    expect(await refused(theirs.audio.transcriptions.create({ model: 'whisper-1', file: await recording() }))).toMatchObject({ status: 402, code: 'insufficient_credit' })
    expect(asked()).toBe(before)
  })
})

describe('voices', { timeout: 30_000 }, () => {
  it('of all engines, in pages, by language and by engine', async () => {
    const all = (await business.ok('GET', '/v1/tts/voices?limit=1000')).data as Json[]
    expect(all[0]).toEqual({ engine: 'openai', id: 'alloy', name: 'alloy', languages: ['mul'], gender: null, speed: { min: 0.5, max: 2 } })
    expect(new Set(all.map(({ engine }) => engine))).toEqual(new Set(['openai', 'espeak']))
    const pages: Json[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: Json = await business.ok('GET', `/v1/tts/voices?limit=50${cursor && `&cursor=${cursor}`}`)
      pages.push(...page.data)
      cursor = page.next_cursor
    }
    expect(pages).toEqual(all)
    const german = (await business.ok('GET', '/v1/tts/voices?limit=1000&language=de&engine=espeak')).data as Json[]
    expect(german.map(({ id }) => id)).toContain('de')
    expect(german.every(({ engine, languages }) => engine === 'espeak' && /^(de|mul)/.test(languages[0]))).toBe(true)
  })
})

describe('an installation without a key', { timeout: 60_000 }, () => {
  it('speaks all the same, and says what it needs to hear', async () => {
    const bare = await openTown({ settings: { OPENAI_API_KEY: '' } })
    try {
      const owner = await bare.business()
      const theirs = clientOf(bare.apiUrl, owner)
      const file = await sounds.decode(await bytesOf(await theirs.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'We open at nine.' })), 60_000, AbortSignal.timeout(20_000))
      expect(file.durationMs).toBeGreaterThan(500)
      const german = await bytesOf(await theirs.audio.speech.create({ model: 'espeak', voice: 'de', input: 'Wir öffnen um neun.', response_format: 'pcm' }))
      expect(german.length).toBeGreaterThan(RATE_HZ)
      const error = await refused(theirs.audio.transcriptions.create({ file: await recording(), model: 'whisper-1' }))
      expect(error).toMatchObject({ status: 409, code: 'invalid_state' })
      for (const name of ['DEEPGRAM_API_KEY', 'OPENAI_API_KEY', 'WHISPER_DIR']) expect(error.message).toContain(name)
    } finally {
      await bare.close()
    }
  })
})

describe('an installation with several engines', { timeout: 60_000 }, () => {
  it("a voice's engine speaks, whatever the model is called; an engine's name chooses it", async () => {
    const rich = await openTown({ settings: { ...elevenlabs(), DEEPGRAM_API_KEY: 'sandbox', DEEPGRAM_BASE_URL: `${town.sandbox.url}/deepgram` } })
    try {
      const owner = await rich.business()
      const theirs = clientOf(rich.apiUrl, owner)
      const [voice] = (await owner.ok('GET', '/v1/tts/voices?engine=elevenlabs')).data as Json[]
      expect(voice.speed).toEqual({ min: 0.7, max: 1.2 })
      const { pcm } = wavPcm(await bytesOf(await theirs.audio.speech.create({ model: 'tts-1', voice: voice.id, input: SAID, response_format: 'wav' })))!
      expect(heardIn(pcm, RATE_HZ)).toBe(SAID)
      const said = await theirs.audio.transcriptions.create({ file: await recording(), model: 'deepgram', response_format: 'verbose_json', timestamp_granularities: ['word'] })
      expect(said.words!.length).toBe(SAID.split(' ').length)
      const charges = await rich.rows<Spent>(SPENT, [owner.tenantId])
      expect(charges.map(({ of }) => of)).toEqual([expect.stringMatching(/^elevenlabs\//), 'deepgram/nova-3'])
    } finally {
      await rich.close()
    }
  })
})
