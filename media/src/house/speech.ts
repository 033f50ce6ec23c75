import type { Logger } from '@trunkline/core'
import type { ChainOptions } from '../chain/contract.ts'
import { createSttChain } from '../chain/stt.ts'
import { createTtsChain, type VoiceLink } from '../chain/tts.ts'
import type { SttEngine } from '../stt/contract.ts'
import type { TtsEngine } from '../tts/contract.ts'
import type { Prerecorded } from '../tts/prerecorded/index.ts'
import type { SpeechFor, SttName, SttWish, TtsName, TtsWish, VoiceChoice, VoiceInfo } from './contract.ts'
import { messageVoice } from './message-voice.ts'
import { withOwnVoice, type KnownVoices } from './own-voice.ts'

/** Engines to choose from: an installation's, or a tenant's, whose own keys are among them. */
export type Engines = {
  orders: { stt: readonly SttName[]; tts: readonly TtsName[] }
  /** Undefined: it is not set up. OpenAI's takes its model, and its manner, from the wish. */
  ears(name: SttName, wish: SttWish): SttEngine | undefined
  voice(name: TtsName, wish: TtsWish): TtsEngine | undefined
  catalogue: KnownVoices & { all(): Promise<VoiceInfo[]> }
  messages: Prerecorded | null
  chain: Pick<ChainOptions, 'breakers' | 'clock'> & { log: Logger }
}

/** Chains over engines: one for each asker. */
export function speechOf(from: Engines): SpeechFor {
  const { orders, catalogue, messages, chain } = from
  return {
    stt(order = [], { onUsage, onFailover, ...wish } = {}) {
      const names = order.length > 0 ? [...new Set(order)] : orders.stt
      const engines = names.flatMap((name) => from.ears(name, wish) ?? [])
      return engines.length > 0 ? createSttChain(engines, { ...chain, onUsage, onFailover }) : null
    },
    tts(order = [], { onUsage, onFailover, lastResort = 'message', ...wish } = {}) {
      const chosen: readonly VoiceChoice[] = order.length > 0 ? order : orders.tts.map((engine) => ({ engine, voice_id: null }))
      const all = chosen.some(({ engine }) => engine === 'espeak') ? chosen : [...chosen, { engine: 'espeak' as const, voice_id: null }]
      const links = all.flatMap(({ engine: name, voice_id: id }): VoiceLink[] => {
        const engine = from.voice(name, wish)
        if (!engine) return []
        return [id === null ? { engine: withOwnVoice(name, engine, catalogue), voice: null } : { engine, voice: id }]
      })
      if (messages && lastResort === 'message') links.push({ engine: messageVoice(messages), voice: '' })
      return createTtsChain(links, { ...chain, onUsage, onFailover })
    },
    voices: () => catalogue.all(),
    engines: () => ({ stt: orders.stt.flatMap((name) => infoOf(name, from.ears(name, {}))), tts: orders.tts.flatMap((name) => infoOf(name, from.voice(name, {}))) }),
  }
}

const infoOf = <Name>(engine: Name, made: Pick<SttEngine, 'model' | 'account'> | undefined) => (made ? [{ engine, model: made.model, ...(made.account === undefined ? {} : { ownKey: true as const }) }] : [])
