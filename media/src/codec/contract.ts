import type { AudioFormat, Encoding, Pcm } from '../frame.ts'

/** Encodings without memory of earlier frames: made at once, nothing to free. */
export type PlainFormat = { encoding: Exclude<Encoding, 'opus'>; sampleRateHz: AudioFormat['sampleRateHz'] }

/** Sound to wire bytes. One stream in one direction; Opus keeps memory of earlier frames. */
export type Encoder = {
  readonly format: AudioFormat
  /** A new array each time: safe to hand to a socket. Opus takes frames of 20 ms, the others any length. */
  encode(pcm: Pcm): Uint8Array
  /** Writes from the start of `out` and answers how many bytes. For a caller that is done with `out` before the next frame (base64). Throws when `out` is too small. */
  encodeInto(pcm: Pcm, out: Uint8Array): number
  /** Idempotent. */
  close(): void
}

/** Wire bytes to sound. Bytes from outside may be wrong: `decode` throws AppError `invalid_request` and stays usable. */
export type Decoder = {
  readonly format: AudioFormat
  decode(bytes: Uint8Array): Pcm
  /** As `encodeInto`: samples written. */
  decodeInto(bytes: Uint8Array, out: Pcm): number
  /**
   * Sound for a lost frame of `samples`. Opus guesses on from what it heard, or reads the spare copy of the lost frame that
   * `following` (the frame after the gap) may carry; the others answer silence.
   */
  conceal(samples: number, following?: Uint8Array): Pcm
  close(): void
}

/** `bitrateBps` 6,000 to 510,000. `fec` spends a part of it on copies for lost frames, as far as `expectedLossPercent` (0 to 100) says. */
export type OpusSettings = {
  bitrateBps?: number
  fec?: boolean
  expectedLossPercent?: number
  /** Processor time for quality, 0 to 10. */
  complexity?: number
}
