import type { Pcm, SampleRateHz } from '../frame.ts'
import type { SpeechFailure, SpeechUsage } from '../stt/contract.ts'

/** Which characters of the text are spoken when, counted from the first sample of this utterance. `text.slice(charStart, charEnd)`. */
export type SpokenSpan = { charStart: number; charEnd: number; startMs: number; endMs: number }

export type TtsEvent =
  /** At `sampleRateHz` of the stream; any length. */
  | { type: 'audio'; pcm: Pcm }
  /** In order; measured by the engine, or `estimated` from the length of the words when it tells none. */
  | { type: 'spans'; spans: SpokenSpan[]; estimated: boolean }
  /** What follows says something else (there is trouble): of the text nothing behind `charEnd` is spoken. */
  | { type: 'aside'; charEnd: number }
  | { type: 'done' }
  | { type: 'failed'; failure: SpeechFailure }

export type TtsOptions = {
  voice: string
  /** 0.5 to 2.0; 1 is the voice's own. */
  speed: number
  language: string | null
  sampleRateHz: SampleRateHz
  signal: AbortSignal
}

/** One utterance. Text may come in pieces while sound already leaves. */
export type TtsStream = {
  /** Never throws; text after `end` is ignored. Pieces are joined as they are. */
  write(text: string): void
  end(): void
  /** Ends with `done` or `failed`. After the signal fired nothing more comes. */
  events: AsyncIterable<TtsEvent>
  /** Idempotent; answers what is to be paid. */
  close(): SpeechUsage
}

export type Voice = { id: string; name: string; language: string; gender: 'female' | 'male' | 'neutral' | null }

export type TtsEngine = {
  id: string
  model: string
  /** Whose account at the supplier it is, where it is not the installation's: each has a circuit breaker of its own. No secret. */
  account?: string | undefined
  voices(signal: AbortSignal): Promise<Voice[]>
  speak(options: TtsOptions): TtsStream
  /** Ends warm connections that are only its own. What it still says may break off. */
  close?(): void
}
