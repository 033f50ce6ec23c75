import type { Pcm, SampleRateHz } from '../frame.ts'

export type WordTime = { text: string; startMs: number; endMs: number; confidence: number | null }

/** What a recogniser says. Times count from the first sample that was pushed. */
export type SttEvent =
  /** May still change; replaces the partial before it. */
  | { type: 'partial'; text: string; confidence: number | null }
  /** Never changes again. Text of consecutive finals is joined with a space. `endOfTurn`: the vendor itself holds the speaker for done. */
  | { type: 'final'; text: string; confidence: number | null; words: WordTime[]; language: string | null; startMs: number; endMs: number; endOfTurn: boolean }
  /** Everything before a `finish` is final: one for each, in order. */
  | { type: 'finished' }
  | { type: 'failed'; failure: SpeechFailure }

/** Why an engine failed. `silent`: connected, fed, and said nothing within its deadline: a failure like any other. */
export type SpeechFailureCode = 'credentials' | 'rate_limited' | 'unavailable' | 'timeout' | 'silent' | 'cut' | 'bad_request' | 'unsupported' | 'model_missing'
export type SpeechFailure = { code: SpeechFailureCode; message: string; retryAfterMs?: number; requestId: string | null }

/** One measured use. Written for every stream and call, failed ones too; nothing is fed unmeasured. */
export type SpeechUsage = {
  kind: 'stt' | 'tts'
  engine: string
  model: string
  /** Sound heard (stt) or made (tts). */
  audioMs: number
  /** Text spoken (tts). */
  characters: number
  /** From the end of speech to its final (stt), from text to the first sound (tts); null when there was none. */
  firstResultMs: number | null
  latencyMs: number
  outcome: 'ok' | 'failed' | 'aborted'
  requestId: string | null
  /** The tenant pays the supplier itself. */
  ownKey?: boolean | undefined
}

export type SttOptions = {
  sampleRateHz: SampleRateHz
  /** BCP 47, or null: let the engine find out. */
  language: string | null
  /** Words that are likely: names, products. At most 100. */
  keyterms: readonly string[]
  signal: AbortSignal
}

/** One live recognition. `push` never blocks and never throws: a failure is an event, and the last one. */
export type SttStream = {
  push(pcm: Pcm): void
  /** The speaker paused: what was said so far is to become final soon. */
  finish(): void
  /** Ends with the last event; each event once. */
  events: AsyncIterable<SttEvent>
  /** Idempotent; answers what is to be paid. */
  close(): SpeechUsage
}

/** A supplier of recognition. */
export type SttEngine = {
  id: string
  model: string
  /** Time from end of speech to its final, 99th percentile, published or measured: the turn-taking waits that long for words. */
  finalP99Ms: number
  /** Whose account at the supplier it is, where it is not the installation's: each has a circuit breaker of its own. No secret. */
  account?: string | undefined
  open(options: SttOptions): SttStream
  /** A whole recording at once. Rejects with a SpeechError. */
  transcribe(pcm: Pcm, options: SttOptions): Promise<{ text: string; words: WordTime[]; language: string | null; durationMs: number; usage: SpeechUsage }>
}

export class SpeechError extends Error {
  readonly failure: SpeechFailure

  constructor(failure: SpeechFailure, options?: ErrorOptions) {
    super(failure.message, options)
    this.name = 'SpeechError'
    this.failure = failure
  }
}
