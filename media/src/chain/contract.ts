import type { Breakers, Clock, Logger } from '@trunkline/core'
import type { SpeechFailure, SpeechUsage } from '../stt/contract.ts'

/** One engine gave up in the middle of work. `to` null: nobody took over. */
export type Failover = { kind: 'stt' | 'tts'; from: string; to: string | null; failure: SpeechFailure; /** Sound heard again (stt), or text said anew that had been given already (tts), of the new engine. */ replayed: { ms: number; characters: number } }

export type ChainOptions = {
  /** Shared by all calls of a process, so that they learn from each other: five failures open, half-open after 30 s. */
  breakers: Breakers
  clock?: Clock
  log?: Logger
  /** Each engine's part in a stream or call, once, when that part is over: this is what is paid. Do not also meter the engines themselves. */
  onUsage?: (usage: SpeechUsage) => void
  onFailover?: (failover: Failover) => void
}
