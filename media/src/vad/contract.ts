import type { Pcm } from '../frame.ts'

/** Is this speech? One stream of sound, frames of 20 ms at the stream's rate. Never blocks. */
export type VadStream = {
  push(pcm: Pcm): void
  /** Idempotent; nothing is told afterwards. */
  close(): void
}

export type VadOptions = {
  sampleRateHz: 8_000 | 16_000
  /** 0 to 1, for the sound up to `endMs` of what was pushed. In order; may come later, and never for every frame alone. */
  onProbability: (probability: number, endMs: number) => void
}

/** A detector for all calls of a process. */
export type Vad = {
  open(options: VadOptions): VadStream
  close(): Promise<void>
}
