import { Ear, speak, startSandbox } from '@trunkline/app-sandbox'
import type { Sandbox } from '@trunkline/app-sandbox'
import { Breakers, systemClock } from '@trunkline/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { SttEvent } from '../stt/contract.ts'
import { deepgramStt } from '../stt/deepgram/index.ts'
import type { SttSettings } from '../stt/engine.ts'
import { openaiStt } from '../stt/openai/index.ts'
import type { TtsEvent } from '../tts/contract.ts'
import { elevenlabsVoice } from '../tts/elevenlabs/index.ts'
import { openaiVoice } from '../tts/openai/index.ts'
import { createSttChain } from './stt.ts'
import { createTtsChain } from './tts.ts'

let sandbox: Sandbox

beforeAll(async () => {
  sandbox = await startSandbox({ speechPace: { firstSoundMs: 0, chunkMs: 120 } })
})
afterEach(() => sandbox.reset())
afterAll(() => sandbox.close())

const SAID = 'Hello there. My order number is A-1001, and my name is Ada Lovelace. Could you look it up, please?'
const RATE = 8_000
const breakers = () => new Breakers(systemClock)
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('recognisers over real sockets', () => {
  const settings: SttSettings = { deadlines: { openMs: 2_000, silentMs: 60, finalMs: 150 } }
  const chain = () => createSttChain([deepgramStt({ apiKey: 'k', baseUrl: `${sandbox.url}/deepgram`, endpointingMs: 200 }, settings), openaiStt({ apiKey: 'k', baseUrl: `${sandbox.url}/v1` })], { breakers: breakers() })

  /** A call: frames of 20 ms, much quicker than in life, with the pauses that voices make; asks at the end. */
  async function call(): Promise<SttEvent[]> {
    const stream = chain().open({ sampleRateHz: RATE, language: 'en', keyterms: [], signal: new AbortController().signal })
    const { pcm } = speak(SAID, { sampleRateHz: RATE })
    const events: SttEvent[] = []
    const reading = (async () => {
      for await (const event of stream.events) {
        events.push(event)
        if (event.type === 'finished' || event.type === 'failed') return
      }
    })()
    for (let at = 0; at < pcm.length; at += 160) {
      stream.push(pcm.subarray(at, at + 160))
      if (at % 1_600 === 0) await turn()
    }
    stream.finish()
    await reading
    stream.close()
    return events
  }
  const textOf = (events: readonly SttEvent[]) => events.flatMap((event) => (event.type === 'final' ? [event.text] : [])).join(' ')

  it.each([0, 1, 2, 3, 5, 8, 13, 17, 20, 21, 22])('a socket that is cut after %i messages loses no word and doubles none', async (cutStreamAfterEvents) => {
    sandbox.faults.add({ target: 'deepgram.listen', action: { cutStreamAfterEvents } })
    expect(textOf(await call())).toBe(SAID)
  })

  it.each([0, 1, 7, 15])('a socket that falls silent after %i messages is left for the next engine', async (stallStreamAfterEvents) => {
    sandbox.faults.add({ target: 'deepgram.listen', action: { stallStreamAfterEvents } })
    expect(textOf(await call())).toBe(SAID)
    expect(sandbox.journal.count({ target: 'openai.audio.transcriptions' })).toBe(1)
  })

  it.each([[{ status: 401 }], [{ status: 503 }], [{ hang: true }], [{ reset: true }], [{ garbage: true }], [{ garbleStreamAfterEvents: 4 }]])('%j: the next engine hears everything', async (action) => {
    sandbox.faults.add({ target: 'deepgram.listen', action })
    expect(textOf(await call())).toBe(SAID)
  })

  it('a socket that is cut once is connected again when there is nobody else', async () => {
    sandbox.faults.add({ target: 'deepgram.listen', times: 1, action: { cutStreamAfterEvents: 9 } })
    sandbox.faults.add({ target: 'openai.audio.transcriptions', action: { status: 500 } })
    expect(textOf(await call())).toBe(SAID)
    expect(sandbox.journal.count({ target: 'deepgram.listen' })).toBe(2)
  })

  it('with all of them down the call is told', async () => {
    for (const target of ['deepgram.listen', 'openai.audio.transcriptions']) sandbox.faults.add({ target, action: { status: 503 } })
    expect((await call()).at(-1)).toMatchObject({ type: 'failed', failure: { code: 'unavailable' } })
  })

  it('a whole recording goes to the next engine too', async () => {
    sandbox.faults.add({ target: 'deepgram.recording', action: { status: 500 } })
    const heard = await chain().transcribe(speak(SAID, { sampleRateHz: RATE }).pcm, { sampleRateHz: RATE, language: 'en', keyterms: [], signal: new AbortController().signal })
    expect([heard.text, heard.usage.engine]).toEqual([SAID, 'openai'])
  })
})

describe('voices over real connections', () => {
  const deadlines = { openMs: 2_000, firstAudioMs: 200, stallMs: 100 }
  const links = () => [
    { engine: elevenlabsVoice({ apiKey: 'k', baseUrl: `${sandbox.url}/elevenlabs`, deadlines }), voice: 'sbxRachel0000000001x' },
    { engine: openaiVoice({ apiKey: 'k', baseUrl: `${sandbox.url}/v1` }), voice: 'alloy' },
  ]

  async function say(chain = createTtsChain(links(), { breakers: breakers() })): Promise<{ events: TtsEvent[]; words: string[] }> {
    const stream = chain.speak({ voice: 'alloy', speed: 1, language: 'en', sampleRateHz: 24_000, signal: new AbortController().signal })
    for (const piece of SAID.match(/.{1,9}/gs) ?? []) stream.write(piece)
    stream.end()
    const events: TtsEvent[] = []
    for await (const event of stream.events) events.push(event)
    stream.close()
    return { events, words: heardIn(events) }
  }
  /** What a listener understands; a word that was broken off is heard with doubt, and is left out. */
  function heardIn(events: readonly TtsEvent[]): string[] {
    const words: string[] = []
    const ear = new Ear(24_000, ({ text, confidence }) => void (confidence > 0.6 && text !== null && words.push(text)))
    for (const event of events) if (event.type === 'audio') ear.push(event.pcm)
    ear.flush()
    return words
  }

  it('speak without faults as one engine does', async () => {
    const { events, words } = await say()
    expect(events.at(-1)).toEqual({ type: 'done' })
    expect(words.length).toBeGreaterThan(15)
  })

  it.each([0, 1, 2, 3, 5, 8, 11])('a stream that is cut after %i pieces goes on with another voice: no word twice, none whole in two parts', async (cutStreamAfterEvents) => {
    const { words: whole } = await say()
    const chain = createTtsChain(links(), { breakers: breakers() })
    // The first utterance teaches the chain that this engine tells its words in time.
    await say(chain)
    sandbox.faults.add({ target: 'elevenlabs.stream', action: { cutStreamAfterEvents } })
    const { events, words } = await say(chain)
    expect(events.at(-1)).toEqual({ type: 'done' })
    expect(words).toEqual(whole)
  })

  it.each([[{ status: 401 }], [{ status: 429 }], [{ reset: true }], [{ garbage: true }], [{ stallStreamAfterEvents: 2 }], [{ stallStreamAfterEvents: 0 }]])('%j: the other voice takes over', async (action) => {
    sandbox.faults.add({ target: 'elevenlabs.stream', action })
    const { events, words } = await say()
    expect(events.at(-1)).toEqual({ type: 'done' })
    expect(words.length).toBeGreaterThan(15)
    expect(sandbox.journal.count({ target: 'openai.audio.speech' })).toBeGreaterThan(0)
  })

  it('all down: `failed`, so that the caller plays what was recorded', async () => {
    for (const target of ['elevenlabs.stream', 'openai.audio.speech']) sandbox.faults.add({ target, action: { status: 503 } })
    const { events } = await say()
    expect(events).toMatchObject([{ type: 'failed', failure: { code: 'unavailable' } }])
  })
})
