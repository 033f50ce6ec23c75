import type { WordSpan } from '@trunkline/core'
import type { AmdVerdict } from '../amd/contract.ts'
import type { PlayoutTap, PlayoutWire } from '../playout/player.ts'
import type { PlayoutClock } from '../playout/clock.ts'
import type { SampleRateHz } from '../frame.ts'
import type { SpeechFailure, SttEngine } from '../stt/contract.ts'
import type { TtsEngine } from '../tts/contract.ts'
import type { Stage, TurnSettings, Utterance } from '../turn/contract.ts'
import type { SmartTurn } from '../turn/smart/index.ts'
import type { Vad } from '../vad/contract.ts'

/** Who thinks of the answers. Text goes out as it comes; a rejection is a reply that failed. After the signal fired nothing is listened to. */
export type ReplyRun = {
  turn: number
  /** What the caller said. */
  text: string
  signal: AbortSignal
  /** A reply may be thought of before the caller's turn is certain to be over: then it becomes `spoken` or `discarded`. Nothing outside may be changed before, and what is discarded is not the caller's to pay. */
  fate: Promise<'spoken' | 'discarded'>
  onText(piece: string): void
  /** Takes back all text of this reply: another supplier begins anew. */
  onDiscard(): void
  onTool(running: boolean): void
}
/** What follows when the last word was heard. */
export type ReplyEnd = 'listen' | 'hang_up' | 'transfer'
export type Replier = (run: ReplyRun) => Promise<ReplyEnd>

/** One thing said by one side, as it belongs into the history: of ours only what was heard. Times are of the call. */
export type Said = {
  by: 'caller' | 'agent'
  turn: number
  text: string
  /** From the first to the last of its sound, as the recording has it. */
  startMs: number
  endMs: number
  /** Ours: the caller cut it off. */
  interrupted: boolean
  confidence: number | null
  /** When each word was said: the caller's as far as the recogniser tells, of ours those that were heard to their end. Of `text`, in order, without overlap. */
  words: readonly WordSpan[]
}

/** Where the time of an answer went; milliseconds of the call, null when it did not come that far. */
export type TurnTimes = {
  turn: number
  speechEndMs: number
  endpointMs: number
  firstTokenMs: number | null
  firstAudioMs: number | null
  firstSentMs: number | null
  firstHeardMs: number | null
}

export type PipelineEvent =
  | { type: 'said'; said: Said }
  /** Words of the caller that may still change: for live views. */
  | { type: 'partial'; text: string }
  | { type: 'times'; times: TurnTimes }
  | { type: 'interrupted'; turn: number; atMs: number }
  | { type: 'incident'; stage: Stage | 'stt' | 'tts'; waitedMs: number; failure: SpeechFailure | null }
  /** A call of ours was taken; told when `detectAnswer` was asked for. With `machine` and `fax` nothing is said until somebody decides what. */
  | { type: 'answered_by'; verdict: AmdVerdict }
  /** The machine has said what it had to say. */
  | { type: 'machine_ready'; takesMessages: boolean }
  /** The call is to end: whoever owns the line hangs up. */
  | { type: 'ended'; reason: 'silence' | 'max_duration' | 'agent' | 'transfer' }

export type PipelineOptions = {
  /** Of the line: frames in and out have this rate. */
  sampleRateHz: SampleRateHz
  /** When the call began (monotonic), which is where its recording begins, too. Default: now. */
  openedMs?: number
  wire: PlayoutWire
  wheel: PlayoutClock
  tap?: PlayoutTap
  vad: Vad
  /** Our own voice, come back by a loudspeaker, is no interruption. */
  echoGate?: boolean
  stt: SttEngine
  /** A model of the melody that tells a pause from an end. */
  smartTurn?: SmartTurn | null
  tts: TtsEngine
  voice: { id: string; speed: number; language: string | null }
  keyterms?: readonly string[]
  settings?: Partial<TurnSettings>
  phrases: Record<Utterance, string>
  /** Said at once when the line is open; null: the caller begins. */
  greeting: string | null
  /** We called: who has taken the call is found out before anything is said. */
  detectAnswer?: boolean
  replier: Replier
  onEvent: (event: PipelineEvent) => void
}
