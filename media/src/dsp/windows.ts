import type { Pcm, SampleRateHz } from '../frame.ts'
import { createResampler, type Resampler } from '../resample/resampler.ts'

/** What is looked at for tones and echoes: telephone sound. Richer lines are brought down to it. */
export const ANALYSIS_HZ = 8_000

export type WindowsOptions = {
  sampleRateHz: SampleRateHz
  /** Samples at 8 kHz. */
  windowSamples: number
  hopSamples: number
  /** `window` is lent; `endMs` is where it ends, of the sound that was pushed. */
  onWindow: (window: Float64Array, endMs: number) => void
}

/** A stream cut into overlapping windows at 8 kHz, however long the pieces are that it comes in. */
export class Windows {
  readonly #options: WindowsOptions
  readonly #resampler: Resampler | null
  readonly #window: Float64Array
  #filled = 0
  #samples = 0

  constructor(options: WindowsOptions) {
    const { sampleRateHz, windowSamples, hopSamples } = options
    if (!(hopSamples > 0 && hopSamples <= windowSamples)) throw new RangeError(`A hop of ${hopSamples} samples does not fit a window of ${windowSamples}.`)
    this.#options = options
    this.#resampler = sampleRateHz === ANALYSIS_HZ ? null : createResampler({ fromHz: sampleRateHz, toHz: ANALYSIS_HZ })
    this.#window = new Float64Array(windowSamples)
  }

  push(pcm: Pcm): void {
    const narrow = this.#resampler ? this.#resampler.process(pcm) : pcm
    for (let at = 0; at < narrow.length; at++) {
      this.#window[this.#filled++] = narrow[at]!
      if (this.#filled === this.#window.length) this.#full(at + 1)
    }
    this.#samples += narrow.length
  }

  /** Idempotent. */
  close(): void {
    this.#resampler?.close()
  }

  #full(taken: number): void {
    const { windowSamples, hopSamples, onWindow } = this.#options
    onWindow(this.#window, ((this.#samples + taken) / ANALYSIS_HZ) * 1_000)
    this.#window.copyWithin(0, hopSamples)
    this.#filled = windowSamples - hopSamples
  }
}
