import { ANALYSIS_HZ } from './windows.ts'

/** How much of one frequency is in a window, and in which phase (one bin of a Fourier transform, as Goertzel's algorithm finds it). */
export class Probe {
  readonly #cos: Float64Array
  readonly #sin: Float64Array
  re = 0
  im = 0

  constructor(samples: number) {
    this.#cos = new Float64Array(samples)
    this.#sin = new Float64Array(samples)
  }

  /** By turning a pointer step after step, because sines are dear. */
  tune(hz: number): this {
    const turn = (2 * Math.PI * hz) / ANALYSIS_HZ
    const [stepRe, stepIm] = [Math.cos(turn), Math.sin(turn)]
    let [re, im] = [1, 0]
    for (let n = 0; n < this.#cos.length; n++) {
      this.#cos[n] = re
      this.#sin[n] = im
      const next = re * stepRe - im * stepIm
      im = im * stepRe + re * stepIm
      re = next
    }
    return this
  }

  measure(window: Float64Array, from = 0): this {
    let [re, im] = [0, 0]
    for (let n = 0; n < this.#cos.length; n++) {
      re += window[from + n]! * this.#cos[n]!
      im -= window[from + n]! * this.#sin[n]!
    }
    this.re = re
    this.im = im
    return this
  }

  get phase(): number {
    return Math.atan2(this.im, this.re)
  }

  /** Power of a tone that lies `offsetHz` beside the probe, which sees less of it (the window's own spectrum is a sinc). */
  tonePower(offsetHz: number): number {
    const samples = this.#cos.length
    const beside = (Math.PI * offsetHz * samples) / ANALYSIS_HZ
    const seen = Math.abs(beside) < 1e-6 ? 1 : Math.sin(beside) / beside
    return (2 * (this.re * this.re + this.im * this.im)) / (samples * samples * seen * seen)
  }
}

/** How far beside `hz` a tone lies, by how its phase went on over `hopSamples`. Unambiguous within half of 8000 / hop. */
export function offsetHz(hz: number, phaseBefore: number, phaseNow: number, hopSamples: number): number {
  const expected = (2 * Math.PI * hz * hopSamples) / ANALYSIS_HZ
  const beyond = phaseNow - phaseBefore - expected
  const wrapped = beyond - 2 * Math.PI * Math.round(beyond / (2 * Math.PI))
  return (wrapped * ANALYSIS_HZ) / (2 * Math.PI * hopSamples)
}

/** Mean square of a window: the power of all that is in it. */
export function meanSquare(window: Float64Array, from = 0, samples = window.length - from): number {
  let sum = 0
  for (let n = from; n < from + samples; n++) sum += window[n]! * window[n]!
  return sum / samples
}

/** Mean square of a tone at so many dBm0. A sine that fills 16 bits is +3.14 dBm0 (G.711 table 5, mu-law). */
export const toneMeanSquare = (dbm0: number): number => 10 ** ((dbm0 - 3.14) / 10) * (32_768 ** 2 / 2)
