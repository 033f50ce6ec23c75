import type { LookupFunction } from 'node:net'
import type { Breakers, Clock, Logger, SpeechKeyVendorId, SttEngineId, TtsEngineId } from '@trunkline/core'
import type { Dispatcher } from 'undici'
import type { z } from 'zod'
import type { ChainOptions } from '../chain/contract.ts'
import type { SttEngine } from '../stt/contract.ts'
import type { AwsCredentials } from '../tts/polly/index.ts'
import type { PollySettings } from '../tts/polly/index.ts'
import type { TtsEngine, Voice } from '../tts/contract.ts'
import type { Device } from '../tts/onnx/runner.ts'
import type { SmartTurn } from '../turn/smart/index.ts'
import type { Vad } from '../vad/contract.ts'

export type SttName = z.infer<typeof SttEngineId>
export type TtsName = z.infer<typeof TtsEngineId>

/** What an installation has. An engine without its part here does not exist; espeak always does. */
export type SpeechHouseSettings = {
  /** Who is asked, in order; who is not named is not asked. Default: all that are set up, in the order of `DEFAULT_ORDERS`. */
  sttOrder?: readonly SttName[]
  ttsOrder?: readonly TtsName[]
  openai?: { apiKey: string; baseUrl?: string; sttModel?: string; ttsModel?: string }
  deepgram?: { apiKey: string; baseUrl?: string; model?: string }
  google?: { apiKey: string; sttBaseUrl?: string; ttsBaseUrl?: string }
  /** A server of one's own with OpenAI's `/audio/transcriptions`. */
  compatible?: { baseUrl: string; apiKey: string | null; model: string }
  elevenlabs?: { apiKey: string; baseUrl?: string; model?: string }
  polly?: { region: string; credentials: AwsCredentials; endpoint?: string; model?: NonNullable<PollySettings['model']> }
  /** Folders of models on this machine. */
  whisperDir?: string
  /** Path of smart-turn-v3*.onnx. */
  smartTurnModel?: string
  kokoroDir?: string
  piperDir?: string
  /** Who tells speech from other sound: the model (default), or loudness, for whoever hears no people (an API, the voices of a sandbox). */
  vad?: 'silero' | 'energy'
  /** For the models of this machine. */
  device?: Device
  /** Where the messages for "no voice works" are kept; none: a house that falls silent says nothing at all. */
  messagesDir?: string
}

export type SpeechHouseDeps = {
  clock: Clock
  log: Logger
  /** Shared with others of this process; default: its own. */
  breakers?: Breakers
  /** Of tenants that bring keys of their own. None: nobody does. */
  own?: OwnKeys
}

/** A tenant's own key at a supplier, opened. `secret`: the key, or the JSON of an `AwsKey`. `baseUrl` null: the supplier's own address. */
export type OwnKey = { vendor: SpeechKeyVendorId; secret: string; baseUrl: string | null }

/** How an address that a tenant typed in is called: nothing that is private is reached. */
export type GuardedTransport = {
  /** Throws for an address that may not be called. Names are judged again when they are resolved. */
  check(url: string): void
  fetch: typeof fetch
  dispatcher: Dispatcher
  lookup: LookupFunction
}

export type OwnKeys = { keys(tenantId: string): Promise<readonly OwnKey[]>; guarded: GuardedTransport }

/** A voice of one engine; null: its first of the language. */
export type VoiceChoice = { engine: TtsName; voice_id: string | null }
/** `speed`: what the engine can do of the 0.5 to 2 that may be asked of any; beyond it, it speaks at its limit. */
export type VoiceInfo = Voice & { engine: TtsName; speed: { min: number; max: number } }
/** `ownKey`: the tenant pays the supplier itself. */
export type EngineInfo<Name> = { engine: Name; model: string; ownKey?: true }

type Watch = Pick<ChainOptions, 'onUsage' | 'onFailover'>
export type SttWish = Watch & { /** Instead of the installation's, where OpenAI is asked. */ openaiModel?: string }
export type TtsWish = Watch & {
  openaiModel?: string
  /** How it is to be said, for engines that take it: OpenAI's. */
  instructions?: string
  /** When every voice is down: `message` says so in a recorded voice and is done, `fail` fails. Default `message`. */
  lastResort?: 'message' | 'fail'
}

/** Ears and voices to ask. Engines are shared; a chain is made for each asker, which costs nothing, so that each hears of its own usage. */
export type SpeechFor = {
  /** Engines that are not set up are skipped; empty or none: the installation's order. null: nobody of these can hear. */
  stt(order?: readonly SttName[], wish?: SttWish): SttEngine | null
  /** espeak comes last in every order, so somebody can always speak. A voice asked of an engine that lacks it is its own of the language. */
  tts(order?: readonly VoiceChoice[], wish?: TtsWish): TtsEngine
  /** Of all engines; one that does not answer is left out, and told to the log. */
  voices(): Promise<VoiceInfo[]>
  /** In the installation's order. */
  engines(): { stt: EngineInfo<SttName>[]; tts: EngineInfo<TtsName>[] }
}

/** Ears and voices of an installation, for all calls, sessions and requests of a process. */
export type SpeechHouse = SpeechFor & {
  vad: Vad
  /** Null: no model is set up. */
  smartTurn: SmartTurn | null
  /**
   * What this tenant's work is to be done with: where it has a key of its own at a supplier, that key, else the installation's. A key that is changed
   * or taken back meanwhile counts from the next utterance on, for whoever holds this, too. Rejects with AppError `unavailable` when its keys cannot be read.
   */
  forTenant(tenantId: string): Promise<SpeechFor>
  /** A hint that its keys are not what they were; without it that is found out within 20 s. */
  keysChanged(tenantId: string): void
  /** Starts and loads ahead of the first caller what takes time. Never rejects: what fails is told to the log. */
  warm(): Promise<void>
  close(): Promise<void>
}
