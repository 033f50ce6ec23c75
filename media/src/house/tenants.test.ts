import { ACCESS_KEY_ID, SECRET_ACCESS_KEY, speak, startSandbox, type Sandbox } from '@trunkline/app-sandbox'
import { Breakers, systemClock, type Clock, type Logger } from '@trunkline/core'
import { Agent } from 'undici'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SpeechUsage } from '../stt/contract.ts'
import { synthesise } from '../tts/one-shot.ts'
import { openSpeechHouse, type OwnKey, type SpeechHouse, type SpeechHouseSettings } from './index.ts'

const RATE_HZ = 24_000
const SAID = 'We open at nine.'
let sandbox: Sandbox
let houses: SpeechHouse[] = []
let keys: Record<string, OwnKey[]> = {}
/** Looks into the database. */
let looks = 0
let told: unknown[] = []
let nowMs = 0

beforeAll(async () => {
  sandbox = await startSandbox()
})
beforeEach(() => {
  keys = {}
  looks = 0
  told = []
  nowMs = 1_000_000
  later = []
})
afterEach(async () => {
  sandbox.reset()
  await Promise.all(houses.map((house) => house.close()))
  houses = []
})
afterAll(async () => {
  await sandbox.close()
})

/** What is due in half a minute: done when a test says so. */
let later: (() => void)[] = []
const clock: Clock = { nowMs: () => nowMs, after: (ms, fn) => (ms === 30_000 ? (later.push(fn), () => {}) : systemClock.after(ms, fn)) }
const note = (...words: unknown[]) => void told.push(words)
const log: Logger = { debug: note, info: note, warn: note, error: note, child: () => log } as unknown as Logger
const guarded = { check: (url: string) => { if (url.includes('10.0.0.1')) throw new Error('not a public address') }, fetch, dispatcher: new Agent(), lookup: (() => { throw new Error('a name was looked up') }) as never }

async function open(settings: SpeechHouseSettings = {}, breakers?: Breakers): Promise<SpeechHouse> {
  const own = {
    guarded,
    keys: async (tenantId: string) => {
      looks++
      return keys[tenantId] ?? []
    },
  }
  const made = await openSpeechHouse({ vad: 'energy', ...settings }, { clock, log, own, ...(breakers ? { breakers } : {}) })
  houses.push(made)
  return made
}
const at = (path: string) => `${sandbox.url}/${path}`
const openai = (secret: string): OwnKey => ({ vendor: 'openai', secret, baseUrl: at('v1') })
const pcm = () => speak(SAID, { sampleRateHz: RATE_HZ }).pcm
const hearing = () => ({ sampleRateHz: RATE_HZ, language: 'en', keyterms: [], signal: AbortSignal.timeout(20_000) }) as const
const speaking = () => ({ voice: '', speed: 1, language: 'en', sampleRateHz: RATE_HZ, signal: AbortSignal.timeout(20_000) }) as const
const keysAt = (target: string) => sandbox.journal.query({ target }, 100).map(({ key }) => key)
const house = { openai: { apiKey: 'of-the-house', baseUrl: '' } }
const houseSettings = (): SpeechHouseSettings => ({ openai: { ...house.openai, baseUrl: at('v1') } })

describe("a tenant's own key", { timeout: 20_000 }, () => {
  it("pays for its own work, and nobody else's", async () => {
    keys = { anna: [openai('of-anna')], berta: [openai('of-berta')] }
    const speech = await open(houseSettings())
    const used: SpeechUsage[] = []
    const onUsage = (usage: SpeechUsage) => void used.push(usage)
    for (const tenant of ['anna', 'berta', 'carla']) {
      const theirs = await speech.forTenant(tenant)
      expect((await theirs.stt([], { onUsage })!.transcribe(pcm(), hearing())).text).toBe(SAID)
      await synthesise(theirs.tts([], { onUsage }), SAID, speaking())
    }
    expect(keysAt('openai.audio.transcriptions')).toEqual(['of-anna', 'of-berta', 'of-the-house'])
    expect(keysAt('openai.audio.speech')).toEqual(['of-anna', 'of-berta', 'of-the-house'])
    expect(used.map(({ engine, ownKey = false }) => `${engine} ${ownKey}`)).toEqual(['openai true', 'openai true', 'openai true', 'openai true', 'openai false', 'openai false'])
    expect((await speech.forTenant('anna')).engines().stt).toEqual([{ engine: 'openai', model: 'gpt-4o-transcribe', ownKey: true }])
    expect((await speech.forTenant('carla')).engines().stt).toEqual([{ engine: 'openai', model: 'gpt-4o-transcribe' }])
  })

  it('opens every supplier of speech, with the wire of each', async () => {
    keys = {
      anna: [
        openai('of-anna'), { vendor: 'deepgram', secret: 'deepgram-of-anna', baseUrl: at('deepgram') }, { vendor: 'elevenlabs', secret: 'eleven-of-anna', baseUrl: at('elevenlabs') }, { vendor: 'google', secret: 'google-of-anna', baseUrl: at('google') },
        { vendor: 'polly', secret: JSON.stringify({ accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY, region: 'eu-central-1' }), baseUrl: at('polly') },
      ],
    }
    const theirs = await (await open()).forTenant('anna')
    expect(theirs.engines()).toMatchObject({ stt: [{ engine: 'deepgram', ownKey: true }, { engine: 'openai' }, { engine: 'google' }], tts: [{ engine: 'openai' }, { engine: 'elevenlabs' }, { engine: 'google' }, { engine: 'polly' }, { engine: 'espeak' }] })
    for (const engine of ['openai', 'deepgram', 'google'] as const) expect((await theirs.stt([engine])!.transcribe(pcm(), hearing())).text, engine).toBe(SAID)
    for (const engine of ['openai', 'elevenlabs', 'google', 'polly'] as const) await synthesise(theirs.tts([{ engine, voice_id: null }], { lastResort: 'fail' }), SAID, speaking())
    expect([keysAt('deepgram.recording'), keysAt('google.recognize'), keysAt('elevenlabs.stream'), keysAt('google.synthesize')]).toEqual([['deepgram-of-anna'], ['google-of-anna'], ['eleven-of-anna'], ['google-of-anna']])
    expect(new Set(keysAt('polly.speech'))).toEqual(new Set([ACCESS_KEY_ID]))
    expect(new Set((await theirs.voices()).map(({ engine }) => engine))).toEqual(new Set(['elevenlabs', 'google', 'openai', 'polly', 'espeak']))
    expect(keysAt('elevenlabs.voices')[0]).toBe('eleven-of-anna')
  })

  it('that is changed counts from the next word on, also for who talks already; taken back, the house stands in', async () => {
    keys = { anna: [openai('first-of-anna')] }
    const speech = await open(houseSettings())
    const used: SpeechUsage[] = []
    const talking = (await speech.forTenant('anna')).tts([], { onUsage: (usage) => used.push(usage) })
    await synthesise(talking, SAID, speaking())
    keys = { anna: [openai('second-of-anna')] }
    speech.keysChanged('anna')
    await speech.forTenant('anna')
    await synthesise(talking, SAID, speaking())
    keys = {}
    speech.keysChanged('anna')
    await speech.forTenant('anna')
    await synthesise(talking, SAID, speaking())
    expect(keysAt('openai.audio.speech')).toEqual(['first-of-anna', 'second-of-anna', 'of-the-house'])
    expect(used.map(({ ownKey }) => ownKey ?? false)).toEqual([true, true, false])
  })

  it('that is taken back where the house has none: the next of the chain speaks', async () => {
    keys = { anna: [openai('of-anna')] }
    const speech = await open()
    const used: SpeechUsage[] = []
    const talking = (await speech.forTenant('anna')).tts([], { onUsage: (usage) => used.push(usage) })
    keys = {}
    speech.keysChanged('anna')
    expect((await speech.forTenant('anna')).stt()).toBeNull()
    await synthesise(talking, SAID, speaking())
    expect(used.map(({ engine, outcome }) => `${engine} ${outcome}`)).toEqual(['openai failed', 'espeak ok'])
    expect(keysAt('openai.audio.speech')).toEqual([])
  })

  it('that is taken back while somebody is listened to: soon another listens, and no word is lost', async () => {
    keys = { anna: [{ vendor: 'deepgram', secret: 'deepgram-of-anna', baseUrl: at('deepgram') }] }
    const speech = await open({ deepgram: { apiKey: 'of-the-house', baseUrl: at('deepgram') } })
    const used: SpeechUsage[] = []
    const stream = (await speech.forTenant('anna')).stt([], { onUsage: (usage) => used.push(usage) })!.open(hearing())
    const heard: string[] = []
    const done = (async () => {
      for await (const event of stream.events) {
        if (event.type === 'final') heard.push(event.text)
        if (event.type === 'finished') return
      }
    })()
    const sound = pcm()
    stream.push(sound.subarray(0, sound.length / 2))
    await sandbox.waitForCount(({ target, key }) => target === 'deepgram.listen' && key === 'deepgram-of-anna', 1)
    keys = {}
    speech.keysChanged('anna')
    await speech.forTenant('anna')
    for (const due of later) due()
    await sandbox.waitForCount(({ target, key }) => target === 'deepgram.listen' && key === 'of-the-house', 1)
    stream.push(sound.subarray(sound.length / 2))
    stream.finish()
    await done
    stream.close()
    expect(heard.join(' ')).toBe(SAID)
    expect(used.map(({ ownKey }) => ownKey ?? false)).toEqual([true, false])
  })

  it('without a word of its change it is looked at again, and not for every use', async () => {
    keys = { anna: [openai('first-of-anna')] }
    const speech = await open(houseSettings())
    for (let n = 0; n < 5; n++) await (await speech.forTenant('anna')).stt()!.transcribe(pcm(), hearing())
    expect(looks).toBe(1)
    keys = { anna: [openai('second-of-anna')] }
    nowMs += 21_000
    await (await speech.forTenant('anna')).stt()!.transcribe(pcm(), hearing())
    expect(looks).toBe(2)
    expect(keysAt('openai.audio.transcriptions').at(-1)).toBe('second-of-anna')
  })

  it("has a breaker of its own: when it opens, the house's stays closed, and the other way round", async () => {
    keys = { anna: [openai('of-anna')] }
    const breakers = new Breakers(clock)
    const speech = await open(houseSettings(), breakers)
    sandbox.faults.add({ target: 'openai.audio.transcriptions', action: { status: 503 }, times: 6 })
    const theirs = await speech.forTenant('anna')
    for (let n = 0; n < 3; n++) await expect(theirs.stt()!.transcribe(pcm(), hearing())).rejects.toMatchObject({ name: 'SpeechError' })
    sandbox.faults.clear()
    expect(breakers.state('stt openai')).toBe('closed')
    await expect(theirs.stt()!.transcribe(pcm(), hearing())).rejects.toMatchObject({ failure: { code: 'unavailable' } })
    expect((await speech.stt()!.transcribe(pcm(), hearing())).text).toBe(SAID)
  })

  it('that is refused, or broken, or leads where nobody may go: the next of the chain, and not a word of it in what is told', async () => {
    keys = {
      anna: [openai('sk-invalid-secret-of-anna'), { vendor: 'elevenlabs', secret: 'eleven-secret-of-anna', baseUrl: 'http://10.0.0.1/elevenlabs' }, { vendor: 'polly', secret: '{"accessKeyId":"half-secret-of-anna"}', baseUrl: null }],
    }
    const theirs = await (await open()).forTenant('anna')
    const failures: unknown[] = []
    const order = [{ engine: 'openai', voice_id: null }, { engine: 'elevenlabs', voice_id: null }, { engine: 'polly', voice_id: null }] as const
    await synthesise(theirs.tts(order, { onFailover: (failover) => failures.push(failover) }), SAID, speaking())
    expect(failures).toMatchObject([{ from: 'openai', failure: { code: 'credentials' } }, { from: 'elevenlabs', failure: { code: 'credentials' } }, { from: 'polly', to: 'espeak' }])
    expect(JSON.stringify([told, failures])).not.toContain('secret-of-anna')
  })

  it('that cannot be read is not passed over: nothing is done at the cost of the house', async () => {
    const own = { guarded, keys: () => Promise.reject(new Error('the database is away')) }
    const made = await openSpeechHouse({ vad: 'energy', ...houseSettings() }, { clock, log, own })
    houses.push(made)
    await expect(made.forTenant('anna')).rejects.toMatchObject({ code: 'unavailable' })
  })
})
