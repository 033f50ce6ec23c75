import type { Pcm, SampleRateHz } from '../frame.ts'
import type { SpeechFailure } from '../stt/contract.ts'
import type { SpokenSpan, TtsOptions, Voice } from './contract.ts'
import type { SpokenForm } from './text/spoken.ts'

/** What a supplier's own part answers for one piece of text; times and characters count from the beginning of that piece. */
export type Said =
  /** The supplier answered: from here on its first sound is awaited. */
  | { type: 'open'; requestId: string | null }
  /** At the part's `sampleRateHz`. */
  | { type: 'audio'; pcm: Pcm }
  /** Measured by the supplier. None at all: they are estimated. */
  | { type: 'spans'; spans: SpokenSpan[] }

/** `before`: what was spoken in front of it in the same utterance, for suppliers that carry the melody on. */
export type Piece = { text: string; before: string }

/** Waits of one piece, each from the step before. */
export type Deadlines = { openMs: number; firstAudioMs: number; stallMs: number }

export const REMOTE_DEADLINES: Deadlines = { openMs: 5_000, firstAudioMs: 5_000, stallMs: 3_000 }
export const LOCAL_DEADLINES: Deadlines = { openMs: 10_000, firstAudioMs: 10_000, stallMs: 10_000 }

export const NO_PAUSES = { sentenceMs: 0, clauseMs: 0 }
/** For voices whose sound ends with the last phoneme. */
export const SPOKEN_PAUSES = { sentenceMs: 300, clauseMs: 120 }

/**
 * A supplier's own part: one piece of text in, sound out. Everything else (cutting text, spoken forms, order, resampling, deadlines,
 * metering, cancelling) is `ttsEngine`'s, so that no supplier can forget it.
 */
export type VoicePart = {
  id: string
  model: string
  /** Longest piece that the supplier takes at once, in characters. */
  maxChars: number
  /** Pieces asked for while the one before still arrives; 0 for engines that share this machine's cores. */
  ahead: 0 | 1
  spokenForm: Omit<SpokenForm, 'language'>
  deadlines: Deadlines
  /** Silence behind a sentence and behind a clause when more follows, at speed 1; 0 for engines that leave one themselves. */
  pauses: { sentenceMs: number; clauseMs: number }
  /** How often a supplier charges the characters of a piece; 1 if not said. */
  requestsPerPiece?: number
  /** The rate that `say` yields when this one is wanted. */
  sampleRateHz(wanted: SampleRateHz, voice: string): number
  voices(signal: AbortSignal): Promise<Voice[]>
  /** Ends when the piece is complete; throws what `failure` understands. Stops all work when the signal fires. */
  say(piece: Piece, options: Omit<TtsOptions, 'signal'>, signal: AbortSignal): AsyncIterable<Said>
  /** What a thrown error of this supplier means. */
  failure(error: unknown): SpeechFailure
  /** Ends connections that are only this part's. */
  close?(): void
}
