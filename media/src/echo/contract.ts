import type { Pcm, SampleRateHz } from '../frame.ts'

export type EchoVerdict = {
  /** What was heard is our own voice, and nothing else that matters. */
  isEcho: boolean
  /** How alike the last half second is to what we played, -1 to 1, at the delay of the echo (or at the best one, while none is known); 0 while nothing loud is heard. */
  correlation: number
  /** From due to heard; null: this line has shown no echo. */
  delayMs: number | null
}

export type EchoGateOptions = {
  /** Of what is played. */
  sampleRateHz: SampleRateHz
  /** Of what is heard; default: the same. */
  heardHz?: SampleRateHz
}

/** Tells the agent's own voice, come back by a loudspeaker and a microphone, from the caller's. One per call. */
export type EchoGate = {
  /** 20 ms that are played; `atMs`: when they are due (monotonic). */
  played(pcm: Pcm, atMs: number): void
  /** What was due after `atMs` is not played after all. */
  cut(atMs: number): void
  /** 20 ms that came in, `atMs` by the same clock. The verdict is valid until the next call. */
  heard(pcm: Pcm, atMs: number): Readonly<EchoVerdict>
  /** Idempotent. */
  close(): void
}
