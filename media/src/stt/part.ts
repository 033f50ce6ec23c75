import type { Pcm } from '../frame.ts'
import type { SpeechFailure, SttEvent, SttOptions, WordTime } from './contract.ts'

export type Final = Omit<Extract<SttEvent, { type: 'final' }>, 'type'>
export type Transcript = { text: string; words: WordTime[]; language: string | null; confidence: number | null; requestId: string | null }

/** What a supplier's own part tells about one live recognition. Times count from the first sample that was pushed. */
export type Sink = {
  /** Connected, or needs no connection. From here on silence counts. */
  opened(requestId: string | null): void
  /** Anything at all came from the supplier: it lives, even if it has no words. */
  alive(): void
  partial(text: string, confidence: number | null): void
  /** `startMs` to `endMs` is the sound that this final speaks for: nothing in it will be told again. Without words: only that. */
  final(final: Final): void
  /** Everything before a `finish` was told: one for each, in order. */
  finished(): void
  failed(failure: SpeechFailure): void
}

export type PartStream = { push(pcm: Pcm): void; finish(): void; close(): void }

type Common = {
  id: string
  model: string
  finalP99Ms: number
  /** A whole recording. Throws what `failure` understands. */
  transcribe(pcm: Pcm, options: SttOptions, onPartial?: (text: string) => void): Promise<Transcript>
  /** What a thrown error of this supplier means. Nothing of the supplier's prose: it quotes keys and customers. */
  failure(error: unknown): SpeechFailure
}

/** Hears while the speaker speaks. */
export type StreamPart = Common & { live: 'stream'; open(options: SttOptions, sink: Sink): PartStream }

/** Takes recordings only: live, what was said up to `finish()` is one, cut where it is quiet when it grows beyond `maxSegmentMs`. */
export type SegmentPart = Common & { live: 'segments'; maxSegmentMs: number }

/**
 * A supplier's own part. Deadlines, metering, order and the end of the events are `sttEngine`'s, so that no supplier can forget them.
 */
export type SttPart = StreamPart | SegmentPart
