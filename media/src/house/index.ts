import { Breakers, type Logger } from '@trunkline/core'
import { MESSAGE_LANGUAGES, Prerecorded } from '../tts/prerecorded/index.ts'
import { createSmartTurn, type SmartTurn } from '../turn/smart/index.ts'
import { createEnergyVad } from '../vad/energy.ts'
import { openVad } from '../vad/silero/index.ts'
import { VoiceCatalogue } from './catalogue.ts'
import type { SpeechHouse, SpeechHouseDeps, SpeechHouseSettings } from './contract.ts'
import { buildEars, buildVoices, openaiEars, openaiSpeaker, ordered } from './engines.ts'
import { DEFAULT_ORDERS } from './settings.ts'
import { speechOf, type Engines } from './speech.ts'
import { Tenants } from './tenants.ts'

export type * from './contract.ts'
export { transcribeInParts, type PartsOptions } from './in-parts.ts'
export { DEFAULT_ORDERS, speechEnv, speechSettings, type SpeechEnv } from './settings.ts'

/** The longest that loading a model on this machine may take. */
const LOAD_TIMEOUT_MS = 120_000

/** The one place where engines of speech become ears and voices. Nothing is asked of a supplier; the detector of speech is loaded, unless it is by loudness. */
export async function openSpeechHouse(settings: SpeechHouseSettings, deps: SpeechHouseDeps): Promise<SpeechHouse> {
  const { clock, log, breakers = new Breakers(clock) } = deps
  const ears = buildEars(settings)
  const voices = buildVoices(settings)
  const orders = {
    stt: ordered(settings.sttOrder ?? DEFAULT_ORDERS.stt, ears.engines, settings.sttOrder && log),
    tts: ordered([...(settings.ttsOrder ?? DEFAULT_ORDERS.tts).filter((name) => name !== 'espeak'), 'espeak'], voices.engines, settings.ttsOrder && log),
  }
  const catalogue = new VoiceCatalogue(new Map(orders.tts.map((name) => [name, voices.engines.get(name)!])), { clock, log })
  const messages = settings.messagesDir ? new Prerecorded({ directory: settings.messagesDir, engine: voices.engines.get('espeak')! }) : null
  const vad = settings.vad === 'energy' ? createEnergyVad() : await openVad({ log })
  const smartTurn = settings.smartTurnModel ? await melodyOf(settings.smartTurnModel, log) : null
  const house: Engines = {
    orders, catalogue, messages, chain: { breakers, clock, log },
    ears: (name, wish) => (name === 'openai' && wish.openaiModel ? openaiEars(settings, wish) : ears.engines.get(name)),
    voice: (name, wish) => (name === 'openai' && (wish.openaiModel || wish.instructions) ? openaiSpeaker(settings, wish) : voices.engines.get(name)),
  }
  const speech = speechOf(house)
  const tenants = deps.own ? new Tenants({ own: deps.own, settings, house, houseSpeech: speech, clock, log }) : null

  async function warm(): Promise<void> {
    const signal = AbortSignal.timeout(LOAD_TIMEOUT_MS)
    const part = (name: string, done: Promise<unknown> | undefined) => (done ?? Promise.resolve()).catch((error: unknown) => log.warn({ part: name, error }, 'a part of speech could not be made ready'))
    await Promise.all([
      part('espeak', voices.espeak.warm()),
      part('voices', catalogue.all()),
      part('messages', messages?.prepare(MESSAGE_LANGUAGES)),
      part('whisper', ears.whisper?.load(signal)),
    ])
  }

  return {
    ...speech, vad, smartTurn, warm,
    forTenant: async (tenantId) => (tenants ? tenants.of(tenantId) : speech),
    keysChanged: (tenantId) => tenants?.changed(tenantId),
    async close() {
      tenants?.close()
      voices.espeak.close()
      await Promise.all([vad.close(), smartTurn?.close(), ears.whisper?.close(), voices.runner?.close()])
    },
  }
}

/** A model that cannot be used is said, and pauses are waited out as without it. */
async function melodyOf(modelPath: string, log: Logger): Promise<SmartTurn | null> {
  try {
    return await createSmartTurn({ modelPath, log })
  } catch (error) {
    log.error({ error }, 'SMART_TURN_MODEL cannot be used: the end of a turn is told by words and pauses')
    return null
  }
}
