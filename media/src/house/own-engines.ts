import { hash } from 'node:crypto'
import { AwsKey, type SpeechKeyVendorId } from '@trunkline/core'
import { deepgramStt } from '../stt/deepgram/index.ts'
import { SpeechError, type SpeechFailure, type SttEngine, type SttEvent } from '../stt/contract.ts'
import { sttEngine } from '../stt/engine.ts'
import { googleStt } from '../stt/google/index.ts'
import { openaiStt } from '../stt/openai/index.ts'
import type { TtsEngine } from '../tts/contract.ts'
import { elevenlabsVoice } from '../tts/elevenlabs/index.ts'
import { ttsEngine } from '../tts/engine.ts'
import { googleVoice } from '../tts/google/index.ts'
import { openaiVoice } from '../tts/openai/index.ts'
import { NO_PAUSES, REMOTE_DEADLINES } from '../tts/part.ts'
import { pollyVoice } from '../tts/polly/index.ts'
import { EventQueue } from '../tts/queue.ts'
import type { GuardedTransport, OwnKey, SpeechHouseSettings, SttWish, TtsWish } from './contract.ts'
import { BASE_URLS } from './engines.ts'

/** What one key of a tenant opens at its supplier. */
export type Own = {
  vendor: SpeechKeyVendorId
  /** Tells one key from another, and nothing of either. */
  print: string
  stt?: (wish: SttWish) => SttEngine
  tts?: (wish: TtsWish) => TtsEngine
  /** Ends what still goes on with this key: streams of recognition, whose chains go on with whoever stands in, and connections that are only its own. */
  close(): void
}

type Made = Pick<Own, 'stt' | 'tts'> & { close?: () => void }

export const printOf = ({ vendor, secret, baseUrl }: OwnKey): string => hash('sha256', `${vendor}\n${baseUrl ?? ''}\n${secret}`).slice(0, 16)

/**
 * Fresh engines for one key. The model is the installation's choice where it has made one for this supplier. Never throws: what cannot be
 * opened (an address that may not be called, a key without its parts) fails in its first use, as a refused key does, and the next of the chain takes over.
 */
export function openOwn(tenantId: string, key: OwnKey, settings: SpeechHouseSettings, guarded: GuardedTransport): Own {
  const print = printOf(key)
  const account = `${tenantId} ${print}`
  let made: Made
  try {
    if (key.baseUrl !== null) guarded.check(key.baseUrl)
    made = MAKERS[key.vendor](key, settings, guarded)
  } catch {
    made = brokenAt(key.vendor)
  }
  const { stt, tts, close } = made
  const listening = new Set<() => void>()
  return {
    vendor: key.vendor, print,
    ...(stt ? { stt: (wish) => heardForTenant(stt(wish), account, listening) } : {}),
    ...(tts ? { tts: (wish) => spokenForTenant(tts(wish), account) } : {}),
    close() {
      for (const cut of listening) cut()
      close?.()
    },
  }
}

const MAKERS: Record<SpeechKeyVendorId, (key: OwnKey, settings: SpeechHouseSettings, guarded: GuardedTransport) => Made> = {
  openai({ secret: apiKey, baseUrl }, { openai }, guarded) {
    const place = { apiKey, baseUrl: baseUrl ?? BASE_URLS.openai, ...(baseUrl ? { fetch: guarded.fetch } : {}) }
    return {
      stt: ({ openaiModel: model = openai?.sttModel }) => openaiStt({ ...place, ...(model ? { model } : {}) }),
      tts: ({ openaiModel: model = openai?.ttsModel, instructions }) => openaiVoice({ ...place, ...(model ? { model } : {}), ...(instructions ? { instructions } : {}) }),
    }
  },
  deepgram({ secret: apiKey, baseUrl }, { deepgram }, guarded) {
    const engine = deepgramStt({ apiKey, ...(deepgram?.model ? { model: deepgram.model } : {}), ...(baseUrl ? { baseUrl, fetch: guarded.fetch, lookup: guarded.lookup } : {}) })
    return { stt: () => engine }
  },
  elevenlabs({ secret: apiKey, baseUrl }, { elevenlabs }, guarded) {
    const engine = elevenlabsVoice({ apiKey, baseUrl: baseUrl ?? BASE_URLS.elevenlabs, ...(elevenlabs?.model ? { model: elevenlabs.model } : {}), ...(baseUrl ? { dispatcher: guarded.dispatcher } : {}) })
    return { tts: () => engine }
  },
  google({ secret: apiKey, baseUrl }, _settings, guarded) {
    const credentials = { apiKey }
    const ears = googleStt({ credentials, ...(baseUrl ? { baseUrl, fetch: guarded.fetch } : {}) })
    const voice = googleVoice({ credentials, baseUrl: baseUrl ?? BASE_URLS.googleTts, ...(baseUrl ? { dispatcher: guarded.dispatcher } : {}) })
    return { stt: () => ears, tts: () => voice }
  },
  polly({ secret, baseUrl }, { polly }, guarded) {
    const { region, ...credentials } = AwsKey.parse(JSON.parse(secret))
    const engine = pollyVoice({ region, credentials, ...(polly?.model ? { model: polly.model } : {}), ...(baseUrl ? { endpoint: baseUrl, lookup: guarded.lookup } : {}) })
    return { tts: () => engine, close: () => engine.close?.() }
  },
}

const heardForTenant = (engine: SttEngine, account: string, listening: Set<() => void>): SttEngine => ({
  ...engine,
  account,
  open(options) {
    const stream = engine.open(options)
    const events = new EventQueue<SttEvent>()
    // To a chain, a stream that just ends has broken off.
    const cut = () => events.end()
    listening.add(cut)
    void pass(stream.events, events).finally(() => listening.delete(cut))
    return {
      events,
      push: (pcm) => stream.push(pcm),
      finish: () => stream.finish(),
      close() {
        listening.delete(cut)
        return { ...stream.close(), ownKey: true }
      },
    }
  },
  async transcribe(pcm, options) {
    const heard = await engine.transcribe(pcm, options)
    return { ...heard, usage: { ...heard.usage, ownKey: true } }
  },
})

async function pass(from: AsyncIterable<SttEvent>, to: EventQueue<SttEvent>): Promise<void> {
  for await (const event of from) to.push(event)
  to.end()
}

const spokenForTenant = (engine: TtsEngine, account: string): TtsEngine => ({
  ...engine,
  account,
  speak(options) {
    const stream = engine.speak(options)
    return { events: stream.events, write: (text) => stream.write(text), end: () => stream.end(), close: () => ({ ...stream.close(), ownKey: true }) }
  },
})

// ── Who cannot be asked ───────────────────────────────────────────────────────────────────────────────────────────────
const GONE: SpeechFailure = { code: 'credentials', message: 'There is no key for this engine any more, or it cannot be used', requestId: null }

/** Fails at once, as a key that was refused: the next of the chain takes over. */
export const brokenEars = (id: string): SttEngine =>
  sttEngine({ live: 'segments', id, model: '', finalP99Ms: 0, maxSegmentMs: 30_000, failure: () => GONE, transcribe: () => Promise.reject(new SpeechError(GONE)) })

export const brokenVoice = (id: string): TtsEngine =>
  ttsEngine({
    id, model: '', maxChars: 400, ahead: 0, spokenForm: { contacts: false, numbers: false }, deadlines: REMOTE_DEADLINES, pauses: NO_PAUSES, sampleRateHz: (wanted) => wanted, failure: () => GONE,
    voices: async () => [],
    say: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new SpeechError(GONE)) }) }),
  })

function brokenAt(vendor: SpeechKeyVendorId): Made {
  const [ears, voice] = [brokenEars(vendor), brokenVoice(vendor)]
  return { ...(vendor === 'elevenlabs' || vendor === 'polly' ? {} : { stt: () => ears }), ...(vendor === 'deepgram' ? {} : { tts: () => voice }) }
}
