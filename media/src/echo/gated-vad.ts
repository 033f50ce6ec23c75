import { FRAME_MS, type Pcm, type SampleRateHz } from '../frame.ts'
import { monotonicClock, type MonotonicClock } from '../playout/monotonic.ts'
import type { PlayoutTap } from '../playout/player.ts'
import type { Vad, VadOptions, VadStream } from '../vad/contract.ts'
import type { EchoGate } from './contract.ts'
import { createEchoGate } from './gate.ts'

export type GateEchoOptions = {
  vad: Vad
  /** Whoever else hears what the caller hears. */
  tap?: PlayoutTap | undefined
  /** Of what is played. */
  sampleRateHz: SampleRateHz
  clock?: MonotonicClock
}

/** What one call's player and ears take instead of the plain ones. `vad` is for one stream at a time. */
export type EchoGated = { vad: Vad; tap: PlayoutTap }

/** Verdicts that wait for the detector: it may be a second behind. */
const VERDICTS = 64

/**
 * Puts the echo gate between a call's player and its ears: `tap` sees what is played, `vad` says of a moment that holds nothing but our own
 * voice that nobody speaks.
 */
export function gateEcho({ vad, tap, sampleRateHz, clock = monotonicClock }: GateEchoOptions): EchoGated {
  let gate: EchoGate | null = null
  return {
    vad: {
      open(options) {
        gate = createEchoGate({ sampleRateHz, heardHz: options.sampleRateHz })
        return new GatedStream(vad, options, gate, clock)
      },
      close: () => vad.close(),
    },
    tap: {
      frame(pcm, dueMs) {
        gate?.played(pcm, dueMs)
        tap?.frame(pcm, dueMs)
      },
      cut(atMs) {
        gate?.cut(atMs)
        tap?.cut(atMs)
      },
    },
  }
}

class GatedStream implements VadStream {
  readonly #gate: EchoGate
  readonly #clock: MonotonicClock
  readonly #inner: VadStream
  /** 1: the frame of that number is an echo. */
  readonly #isEcho = new Uint8Array(VERDICTS)
  #frames = 0
  #toldMs = 0

  constructor(vad: Vad, options: VadOptions, gate: EchoGate, clock: MonotonicClock) {
    this.#gate = gate
    this.#clock = clock
    this.#inner = vad.open({ ...options, onProbability: (probability, endMs) => options.onProbability(probability * this.#share(endMs), endMs) })
  }

  push(pcm: Pcm): void {
    this.#isEcho[this.#frames++ % VERDICTS] = this.#gate.heard(pcm, this.#clock.nowMs()).isEcho ? 1 : 0
    this.#inner.push(pcm)
  }

  close(): void {
    this.#inner.close()
    this.#gate.close()
  }

  /** How much of the time since the last probability was no echo. */
  #share(endMs: number): number {
    const first = Math.max(0, Math.floor(this.#toldMs / FRAME_MS), this.#frames - VERDICTS)
    const last = Math.min(this.#frames, Math.ceil(endMs / FRAME_MS))
    this.#toldMs = endMs
    let echoes = 0
    for (let frame = first; frame < last; frame++) echoes += this.#isEcho[frame % VERDICTS]!
    return last > first ? 1 - echoes / (last - first) : 1
  }
}
