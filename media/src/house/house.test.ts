import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ACCESS_KEY_ID, Ear, SECRET_ACCESS_KEY, speak, startSandbox, type Sandbox } from '@trunkline/app-sandbox'
import { silentLogger, systemClock } from '@trunkline/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { SpeechUsage } from '../stt/contract.ts'
import { synthesise } from '../tts/one-shot.ts'
import { openSpeechHouse, speechEnv, speechSettings, type SpeechHouse, type SpeechHouseSettings } from './index.ts'
import { ownVoice } from './own-voice.ts'

const RATE_HZ = 24_000
const SAID = 'We open at nine.'
let sandbox: Sandbox
let folder: string
const open: SpeechHouse[] = []

beforeAll(async () => {
  sandbox = await startSandbox()
  folder = await mkdtemp(join(tmpdir(), 'trunkline-house-'))
})
afterEach(async () => {
  sandbox.reset()
  await Promise.all(open.splice(0).map((house) => house.close()))
})
afterAll(async () => {
  await sandbox.close()
  await rm(folder, { recursive: true, force: true })
})

async function house(settings: SpeechHouseSettings): Promise<SpeechHouse> {
  const made = await openSpeechHouse({ vad: 'energy', ...settings }, { clock: systemClock, log: silentLogger })
  open.push(made)
  return made
}
const openai = () => ({ apiKey: 'sandbox', baseUrl: `${sandbox.url}/v1` })
const elevenlabs = () => ({ apiKey: 'sandbox', baseUrl: `${sandbox.url}/elevenlabs` })
const deepgram = () => ({ apiKey: 'sandbox', baseUrl: `${sandbox.url}/deepgram` })
const options = { voice: '', speed: 1, language: null, sampleRateHz: RATE_HZ, signal: AbortSignal.timeout(20_000) } as const
const hearing = { sampleRateHz: RATE_HZ, language: 'en', keyterms: [], signal: AbortSignal.timeout(20_000) } as const

function heardIn(pcm: Int16Array): string {
  const words: string[] = []
  const ear = new Ear(RATE_HZ, ({ text }) => void (text !== null && words.push(text)))
  ear.push(pcm)
  ear.push(new Int16Array(RATE_HZ))
  return words.join(' ')
}

describe('a house of speech', { timeout: 20_000 }, () => {
  it('without any key: nobody hears, espeak speaks', async () => {
    const bare = await house({})
    expect(bare.engines()).toEqual({ stt: [], tts: [{ engine: 'espeak', model: 'espeak-ng' }] })
    expect(bare.stt()).toBeNull()
    expect((await synthesise(bare.tts(), SAID, options)).pcm.length).toBeGreaterThan(RATE_HZ / 2)
  })

  it("asks in its own order, and in a number's; who is not set up is passed over", async () => {
    const rich = await house({ openai: openai(), deepgram: deepgram(), elevenlabs: elevenlabs() })
    expect(rich.engines()).toMatchObject({ stt: [{ engine: 'deepgram' }, { engine: 'openai' }], tts: [{ engine: 'openai' }, { engine: 'elevenlabs' }, { engine: 'espeak' }] })
    const used: SpeechUsage[] = []
    const pcm = speak(SAID, { sampleRateHz: RATE_HZ }).pcm
    expect((await rich.stt([], { onUsage: (usage) => used.push(usage) })!.transcribe(pcm, hearing)).text).toBe(SAID)
    expect((await rich.stt(['google', 'openai'], { onUsage: (usage) => used.push(usage) })!.transcribe(pcm, hearing)).text).toBe(SAID)
    expect(rich.stt(['google', 'whisper'])).toBeNull()
    expect(used.map(({ engine }) => engine)).toEqual(['deepgram', 'openai'])
  })

  it('an order of the operator leaves out who is not in it', async () => {
    const some = await house({ openai: openai(), deepgram: deepgram(), elevenlabs: elevenlabs(), sttOrder: ['openai', 'whisper'], ttsOrder: ['elevenlabs'] })
    expect(some.engines()).toMatchObject({ stt: [{ engine: 'openai' }], tts: [{ engine: 'elevenlabs' }, { engine: 'espeak' }] })
  })

  it('a voice of another engine, or none: an engine that needs one takes its own', async () => {
    const rich = await house({ elevenlabs: elevenlabs() })
    for (const voice of ['', 'alloy']) expect(heardIn((await synthesise(rich.tts(), SAID, { ...options, voice })).pcm)).toBe(SAID)
    const asked = await sandbox.waitForCount(({ target, outcome }) => target === 'elevenlabs.stream' && outcome === 'accepted', 2)
    const [first] = (await rich.voices()).filter(({ engine }) => engine === 'elevenlabs')
    expect(asked.map(({ number }) => number)).toEqual([first!.id, first!.id])
  })

  it('called off while the voice is being looked up, nothing is asked of the supplier', async () => {
    sandbox.faults.add({ target: 'elevenlabs.voices', action: { delayMs: 50 } })
    const rich = await house({ elevenlabs: elevenlabs() })
    const used: SpeechUsage[] = []
    const stream = rich.tts([{ engine: 'elevenlabs', voice_id: null }], { onUsage: (usage) => used.push(usage) }).speak({ ...options, voice: 'x' })
    stream.write(SAID)
    stream.end()
    stream.close()
    expect(used).toMatchObject([{ outcome: 'aborted', characters: 0 }])
    await rich.voices()
    expect(sandbox.journal.count({ target: 'elevenlabs.stream' })).toBe(0)
  })

  it('an engine whose list cannot be had is asked all the same, and is left out of the list', async () => {
    sandbox.faults.add({ target: 'elevenlabs.voices', action: { status: 500 } })
    const rich = await house({ openai: openai(), elevenlabs: elevenlabs() })
    expect(new Set((await rich.voices()).map(({ engine }) => engine))).toEqual(new Set(['openai', 'espeak']))
  })

  it('the model and the manner of one asker are its own', async () => {
    const one = await house({ openai: { ...openai(), ttsModel: 'tts-1' } })
    await synthesise(one.tts([], { openaiModel: 'gpt-4o-mini-tts', instructions: 'Whisper.' }), SAID, options)
    await synthesise(one.tts(), 'We close at six.', options)
    const [first, second] = await sandbox.waitForCount(({ target }) => target === 'openai.audio.speech', 2)
    expect(first!.body).toMatchObject({ model: 'gpt-4o-mini-tts', instructions: 'Whisper.' })
    expect(second!.body).toMatchObject({ model: 'tts-1' })
    expect(second!.body).not.toHaveProperty('instructions')
  })
})

describe('every engine, by its environment alone', { timeout: 20_000 }, () => {
  const environment = () => ({
    OPENAI_API_KEY: 'k', OPENAI_BASE_URL: `${sandbox.url}/v1`, DEEPGRAM_API_KEY: 'k', DEEPGRAM_BASE_URL: `${sandbox.url}/deepgram`, ELEVENLABS_API_KEY: 'k', ELEVENLABS_BASE_URL: `${sandbox.url}/elevenlabs`,
    GOOGLE_SPEECH_API_KEY: 'k', GOOGLE_STT_BASE_URL: `${sandbox.url}/google`, GOOGLE_TTS_BASE_URL: `${sandbox.url}/google`, STT_COMPATIBLE_BASE_URL: `${sandbox.url}/compatible/v1`, STT_COMPATIBLE_MODEL: 'any/whisper',
    POLLY_REGION: 'eu-central-1', POLLY_BASE_URL: `${sandbox.url}/polly`, POLLY_ACCESS_KEY_ID: ACCESS_KEY_ID, POLLY_SECRET_ACCESS_KEY: SECRET_ACCESS_KEY,
    WHISPER_DIR: join(folder, 'no-whisper'), KOKORO_DIR: join(folder, 'no-kokoro'), PIPER_DIR: join(folder, 'no-piper'),
  })
  const full = () => house({ ...speechSettings(z.object(speechEnv).parse(environment())), vad: 'energy' })

  it('hears', async () => {
    const rich = await full()
    const pcm = speak(SAID, { sampleRateHz: RATE_HZ }).pcm
    for (const engine of ['openai', 'deepgram', 'google', 'compatible'] as const) expect((await rich.stt([engine])!.transcribe(pcm, hearing)).text, engine).toBe(SAID)
    await expect(rich.stt(['whisper'])!.transcribe(pcm, hearing)).rejects.toMatchObject({ failure: { code: 'model_missing' } })
  })

  it('speaks', async () => {
    const rich = await full()
    for (const engine of ['openai', 'elevenlabs', 'google', 'polly'] as const) expect(heardIn((await synthesise(rich.tts([{ engine, voice_id: null }]), SAID, { ...options, language: 'en' })).pcm), engine).toBe(SAID)
  })

  it('models that are not where they should be: the embedded voice speaks', async () => {
    const rich = await full()
    const used: SpeechUsage[] = []
    const order = [{ engine: 'kokoro', voice_id: null }, { engine: 'piper', voice_id: null }] as const
    expect((await synthesise(rich.tts(order, { onUsage: (usage) => used.push(usage) }), SAID, options)).pcm.length).toBeGreaterThan(RATE_HZ / 2)
    expect(used.map(({ engine, outcome }) => `${engine} ${outcome}`)).toEqual(['kokoro failed', 'piper failed', 'espeak ok'])
  })
})

describe('when every voice is down', { timeout: 30_000 }, () => {
  it('a message that was recorded at set-up is said; who asks for a failure gets one', async () => {
    const first = await house({ messagesDir: folder })
    await first.warm()
    expect((await readdir(folder)).length).toBeGreaterThan(0)
    const recorded = (await synthesise(first.tts([]), 'We are having technical trouble. Please call again later.', options)).pcm.length
    await first.close()
    // The process of the embedded voice is gone, and its engine fails.
    const used: SpeechUsage[] = []
    const onUsage = (usage: SpeechUsage) => void used.push(usage)
    const message = await synthesise(first.tts([], { onUsage }), SAID, { ...options, language: 'en' })
    expect(Math.abs(message.pcm.length - recorded)).toBeLessThan(RATE_HZ / 2)
    expect(message.spans).toEqual([])
    const said = first.tts([], { onUsage }).speak({ ...options, language: 'en' })
    said.write(SAID)
    said.end()
    const told: string[] = []
    for await (const event of said.events) told.push(event.type === 'aside' ? `aside from ${event.charEnd}` : event.type)
    said.close()
    expect([told[0], told.at(-1)]).toEqual(['aside from 0', 'done'])
    expect(used.at(-1)).toMatchObject({ engine: 'prerecorded', characters: 0, outcome: 'ok' })
    await expect(synthesise(first.tts([], { lastResort: 'fail' }), SAID, options)).rejects.toMatchObject({ name: 'SpeechError' })
  })
})

describe('the environment of a house', () => {
  const read = (env: Record<string, string>) => speechSettings(z.object(speechEnv).parse(env))

  it('says nothing: by the model, on the processor, messages in the usual place', () => {
    expect(read({})).toEqual({ vad: 'silero', device: 'cpu', messagesDir: '.data/speech' })
  })

  it('names every engine', () => {
    expect(
      read({
        OPENAI_API_KEY: 'a', OPENAI_BASE_URL: 'https://openai.test/v1/', DEEPGRAM_API_KEY: 'b', GOOGLE_SPEECH_API_KEY: 'c', STT_COMPATIBLE_BASE_URL: 'http://gpu.test:8000/v1', STT_COMPATIBLE_MODEL: 'whisper-large-v3',
        ELEVENLABS_API_KEY: 'd', POLLY_REGION: 'eu-west-1', POLLY_ACCESS_KEY_ID: 'e', POLLY_SECRET_ACCESS_KEY: 'f', WHISPER_DIR: '/w', KOKORO_DIR: '/k', PIPER_DIR: '/p', STT_ORDER: 'whisper, deepgram', TTS_ORDER: 'kokoro',
      }),
    ).toMatchObject({
      openai: { apiKey: 'a', baseUrl: 'https://openai.test/v1' }, deepgram: { apiKey: 'b' }, google: { apiKey: 'c' }, compatible: { baseUrl: 'http://gpu.test:8000/v1', apiKey: null, model: 'whisper-large-v3' },
      elevenlabs: { apiKey: 'd' }, polly: { region: 'eu-west-1', credentials: { accessKeyId: 'e', secretAccessKey: 'f' } }, whisperDir: '/w', kokoroDir: '/k', piperDir: '/p', sttOrder: ['whisper', 'deepgram'], ttsOrder: ['kokoro'],
    })
  })

  it.each([
    [{ STT_COMPATIBLE_BASE_URL: 'http://gpu.test' }, /STT_COMPATIBLE_MODEL/],
    [{ POLLY_REGION: 'eu-west-1', POLLY_ACCESS_KEY_ID: 'e' }, /POLLY_SECRET_ACCESS_KEY/],
    [{ STT_ORDER: 'deepgram,ears' }, /STT_ORDER/],
  ])('half of an engine, or one of nobody, is told at the start: %j', (env, message) => {
    expect(() => read(env as Record<string, string>)).toThrow(message)
  })
})

describe('the voice of an engine', () => {
  const voice = (id: string, language: string) => ({ id, name: id, language, gender: null })
  const voices = [voice('a', 'en-US'), voice('b', 'de-DE'), voice('c', 'de-AT'), voice('d', 'mul')]

  it.each([
    ['asked for by its id', 'c', 'en', 'c'],
    ['a variant of its own', 'c+f3', 'en', 'c+f3'],
    ['of the very dialect', 'x', 'de-at', 'c'],
    ['of the language', 'x', 'de-CH', 'b'],
    ['of all languages', 'x', 'fr', 'd'],
    ["its own default, without a language", 'x', null, ''],
  ])('is the one %s', (_, wanted, language, chosen) => {
    expect(ownVoice('google', voices, { voice: wanted, language })).toBe(chosen)
  })

  it('is the first where there is no default', () => expect(ownVoice('piper', voices, { voice: '', language: null })).toBe('a'))
  it("of espeak follows the language, which it knows best", () => expect(ownVoice('espeak', voices, { voice: 'alloy', language: 'de' })).toBe(''))
})
