import { frameSamples, type Pcm, type SampleRateHz } from '../frame.ts'

export const samplesIn = (ms: number, sampleRateHz: number): number => Math.round((ms / 1_000) * sampleRateHz)

/** Sound in frames of 20 ms, as long as anybody asks. */
export type FrameSource = {
  /** Writes the next frame; false: it has faded out, `out` is silent. */
  next(out: Pcm): boolean
  /** Becomes silent within so long, from the next frame on. */
  fadeOut(ms: number): void
}

export type LoopOptions = {
  sampleRateHz: SampleRateHz
  /** Default 0: at once. */
  fadeInMs?: number
  /** Default 0. */
  gainDb?: number
}

/** A sound that repeats: hold music, ringing. It is shared by all who play it and never written to. */
export function loopFrames(pcm: Pcm, options: LoopOptions): FrameSource {
  return new Loop(pcm, options)
}

class Loop implements FrameSource {
  readonly #pcm: Pcm
  readonly #rate: number
  readonly #frame: number
  readonly #gain: number
  #position = 0
  /** 0 to 1, and how much more with every sample: loudness moves in a straight line, so nothing clicks. */
  #level: number
  #step: number

  constructor(pcm: Pcm, { sampleRateHz, fadeInMs = 0, gainDb = 0 }: LoopOptions) {
    if (pcm.length === 0) throw new RangeError('A loop has at least one sample.')
    this.#pcm = pcm
    this.#rate = sampleRateHz
    this.#frame = frameSamples(sampleRateHz)
    this.#gain = 10 ** (gainDb / 20)
    this.#level = fadeInMs > 0 ? 0 : 1
    this.#step = fadeInMs > 0 ? 1 / samplesIn(fadeInMs, sampleRateHz) : 0
  }

  next(out: Pcm): boolean {
    if (out.length !== this.#frame) throw new RangeError(`A frame of ${out.length} samples is none of ${this.#rate} Hz.`)
    if (this.#level === 0 && this.#step <= 0) {
      out.fill(0)
      return false
    }
    for (let n = 0; n < out.length; n++) out[n] = this.#sample()
    return true
  }

  fadeOut(ms: number): void {
    this.#step = -1 / Math.max(1, samplesIn(ms, this.#rate))
  }

  #sample(): number {
    this.#level = Math.min(1, Math.max(0, this.#level + this.#step))
    const value = this.#pcm[this.#position]! * this.#gain * this.#level
    this.#position = this.#position + 1 === this.#pcm.length ? 0 : this.#position + 1
    return value > 32_767 ? 32_767 : value < -32_768 ? -32_768 : Math.round(value)
  }
}
