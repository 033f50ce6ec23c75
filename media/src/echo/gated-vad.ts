import { FRAME_MS, type Pcm, type SampleRateHz } from '../frame.ts'
import { monotonicClock, type MonotonicClock } from '../playout/monotonic.ts'
import type { PlayoutTap } from '../playout/player.ts'
import type { SttEngine, SttStream } from '../stt/contract.ts'
import type { Vad, VadOptions, VadStream } from '../vad/contract.ts'
import type { EchoGate } from './contract.ts'
import { createEchoGate } from './gate.ts'

export type GateEchoOptions<Stt extends SttEngine | undefined = SttEngine | undefined> = {
  vad: Vad
  /** Left out it still hears our voice, and words are what makes an interruption. */
  stt?: Stt
  /** Whoever else hears what the caller hears. */
  tap?: PlayoutTap | undefined
  /** Of what is played. */
  sampleRateHz: SampleRateHz
  clock?: MonotonicClock
}

/** What one call's player and ears take instead of the plain ones. For one stream each at a time; every frame is pushed to `vad` first, then to `stt`. */
export type EchoGated<Stt extends SttEngine | undefined = SttEngine | undefined> = { vad: Vad; stt: Stt; tap: PlayoutTap }

/** Verdicts that wait for the detector: it may be a second behind. */
const VERDICTS = 64

/**
 * Puts the echo gate between a call's player and its ears: `tap` sees what is played, `vad` says of a moment that holds nothing but our own
 * voice that nobody speaks, and `stt` hears silence then, so that our words do not become the caller's.
 */
export function gateEcho<Stt extends SttEngine | undefined>({ vad, stt, tap, sampleRateHz, clock = monotonicClock }: GateEchoOptions<Stt>): EchoGated<Stt> {
  let gate: EchoGate | null = null
  let ears: GatedVad | null = null
  return {
    vad: {
      open(options) {
        gate = createEchoGate({ sampleRateHz, heardHz: options.sampleRateHz })
        ears = new GatedVad(vad, options, gate, clock)
        return ears
      },
      close: () => vad.close(),
    },
    stt: (stt && gatedStt(stt, () => ears?.isEcho ?? false)) as Stt,
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

const gatedStt = (stt: SttEngine, isEcho: () => boolean): SttEngine => ({
  id: stt.id,
  model: stt.model,
  finalP99Ms: stt.finalP99Ms,
  open: (options) => withoutEcho(stt.open(options), isEcho),
  transcribe: (pcm, options) => stt.transcribe(pcm, options),
})

/** Silence takes the place of an echo: times of words stay what they are. */
function withoutEcho(stream: SttStream, isEcho: () => boolean): SttStream {
  let silence = new Int16Array(0)
  return {
    push(pcm) {
      if (!isEcho()) return stream.push(pcm)
      if (silence.length !== pcm.length) silence = new Int16Array(pcm.length)
      stream.push(silence)
    },
    finish: () => stream.finish(),
    events: stream.events,
    close: () => stream.close(),
  }
}

class GatedVad implements VadStream {
  readonly #gate: EchoGate
  readonly #clock: MonotonicClock
  readonly #inner: VadStream
  /** 1: the frame of that number is an echo. */
  readonly #echoes = new Uint8Array(VERDICTS)
  #frames = 0
  #toldMs = 0

  constructor(vad: Vad, options: VadOptions, gate: EchoGate, clock: MonotonicClock) {
    this.#gate = gate
    this.#clock = clock
    this.#inner = vad.open({ ...options, onProbability: (probability, endMs) => options.onProbability(probability * this.#share(endMs), endMs) })
  }

  push(pcm: Pcm): void {
    this.#echoes[this.#frames++ % VERDICTS] = this.#gate.heard(pcm, this.#clock.nowMs()).isEcho ? 1 : 0
    this.#inner.push(pcm)
  }

  /** Of the frame that was pushed last. */
  get isEcho(): boolean {
    return this.#echoes[(this.#frames + VERDICTS - 1) % VERDICTS] === 1
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
    for (let frame = first; frame < last; frame++) echoes += this.#echoes[frame % VERDICTS]!
    return last > first ? 1 - echoes / (last - first) : 1
  }
}
