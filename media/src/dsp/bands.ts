import { ANALYSIS_HZ } from './windows.ts'

/** Power of two over the 200 samples (25 ms) of a window. */
const LENGTH = 256
/** Real samples two by two as complex ones: a transform of half the length (Press et al., Numerical Recipes, "FFT of single real function"). */
const HALF = LENGTH / 2
const BITS = 7
const FROM_HZ = 250
const TO_HZ = 3_500
export const BANDS = 16
export const BAND_WINDOW = 200

/**
 * Power in sixteen bands of telephone sound, as wide as the ear's: each a critical band or so (Traunmüller's approximation of the Bark
 * scale). One instance for any number of streams of a thread; it works in its own memory.
 */
export class BandPowers {
  readonly #re = new Float64Array(HALF)
  readonly #im = new Float64Array(HALF)
  readonly #cos = Float64Array.from({ length: HALF }, (_, n) => Math.cos((2 * Math.PI * n) / LENGTH))
  readonly #sin = Float64Array.from({ length: HALF }, (_, n) => -Math.sin((2 * Math.PI * n) / LENGTH))
  readonly #hann = Float64Array.from({ length: BAND_WINDOW }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (n + 0.5)) / BAND_WINDOW))
  readonly #reversed = Uint8Array.from({ length: HALF }, (_, n) => reverse(n))
  readonly #edges = bandEdges()

  /** Mean squares that add up to about that of the window. */
  measure(window: Float64Array, out: Float64Array): void {
    this.#im.fill(0)
    this.#re.fill(0)
    for (let n = 0; n < BAND_WINDOW; n += 2) {
      const to = this.#reversed[n / 2]!
      this.#re[to] = window[n]! * this.#hann[n]!
      this.#im[to] = window[n + 1]! * this.#hann[n + 1]!
    }
    for (let half = 1; half < HALF; half *= 2) this.#pass(half)
    for (let band = 0; band < BANDS; band++) out[band] = this.#power(this.#edges[band]!, this.#edges[band + 1]!)
  }

  #pass(half: number): void {
    const [re, im, stride] = [this.#re, this.#im, HALF / half]
    for (let from = 0; from < HALF; from += 2 * half) {
      for (let n = from, turn = 0; n < from + half; n++, turn += stride) {
        const other = n + half
        const [cos, sin] = [this.#cos[turn]!, this.#sin[turn]!]
        const otherRe = re[other]! * cos - im[other]! * sin
        const otherIm = re[other]! * sin + im[other]! * cos
        re[other] = re[n]! - otherRe
        im[other] = im[n]! - otherIm
        re[n]! += otherRe
        im[n]! += otherIm
      }
    }
  }

  #power(from: number, to: number): number {
    let sum = 0
    for (let bin = from; bin < to; bin++) sum += this.#binPower(bin)
    // Twice for the mirrored half; a Hann window lets 3/8 of the power through.
    return (2 * sum) / (LENGTH * BAND_WINDOW * 0.375)
  }

  /** Of the real transform: the even samples' part, and the odd ones' turned by half a sample. */
  #binPower(bin: number): number {
    const [re, im, mirrored] = [this.#re, this.#im, HALF - bin]
    const [evenRe, evenIm] = [re[bin]! + re[mirrored]!, im[bin]! - im[mirrored]!]
    const [oddRe, oddIm] = [im[bin]! + im[mirrored]!, re[mirrored]! - re[bin]!]
    const [cos, sin] = [this.#cos[bin]!, this.#sin[bin]!]
    return ((evenRe + cos * oddRe - sin * oddIm) ** 2 + (evenIm + cos * oddIm + sin * oddRe) ** 2) / 4
  }
}

function reverse(n: number): number {
  let reversed = 0
  for (let bit = 0; bit < BITS; bit++) if (n & (1 << bit)) reversed |= 1 << (BITS - 1 - bit)
  return reversed
}

function bandEdges(): Uint8Array {
  const bark = (hz: number): number => (26.81 * hz) / (1_960 + hz) - 0.53
  const hzOf = (z: number): number => (1_960 * (z + 0.53)) / (26.28 - z)
  const [low, high] = [bark(FROM_HZ), bark(TO_HZ)]
  return Uint8Array.from({ length: BANDS + 1 }, (_, n) => Math.round((hzOf(low + ((high - low) * n) / BANDS) * LENGTH) / ANALYSIS_HZ))
}
