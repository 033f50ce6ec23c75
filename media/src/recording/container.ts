import type { Pcm } from '../frame.ts'

/** How stereo sound is written to a file, piece by piece. */
export type Container = {
  /** Bytes of file for a second of sound, about; to know how much fits into a queue. */
  readonly bytesPerSecond: number
  /** What the format can count. */
  readonly maxBytes: number
  /** The file's beginning. */
  begin(): Uint8Array
  /** Interleaved samples; what does not fill a unit of the format waits for more. */
  encode(stereo: Pcm): Uint8Array
  /** What is to be overwritten, and where, so that a file of `fileBytes` is whole; null: nothing ever is. */
  seal(fileBytes: number): { offset: number; bytes: Uint8Array } | null
  /** The last bytes. Nothing may be encoded afterwards. */
  finish(): Uint8Array
  close(): void
}
