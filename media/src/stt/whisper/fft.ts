/**
 * Discrete Fourier transform of one length, any whose prime factors are small (Cooley & Tukey 1965, decimation in time). Whisper's windows have
 * 400 samples, which no power of two is. One instance per thread: it works in its own memory.
 */
export class Fft {
  readonly re: Float64Array
  readonly im: Float64Array
  readonly #length: number
  readonly #cos: Float64Array
  readonly #sin: Float64Array
  readonly #scratchRe: Float64Array
  readonly #scratchIm: Float64Array

  constructor(length: number) {
    this.#length = length
    this.re = new Float64Array(length)
    this.im = new Float64Array(length)
    this.#scratchRe = new Float64Array(length)
    this.#scratchIm = new Float64Array(length)
    this.#cos = Float64Array.from({ length }, (_, index) => Math.cos((2 * Math.PI * index) / length))
    this.#sin = Float64Array.from({ length }, (_, index) => -Math.sin((2 * Math.PI * index) / length))
  }

  /** The result lies in `re` and `im`, until the next call. */
  transform(input: Float64Array): void {
    this.#step(input, 0, 1, this.#length, 0)
  }

  /** Of `length` samples from `from` on, every `stride`th, into the result from `to` on. */
  #step(input: Float64Array, from: number, stride: number, length: number, to: number): void {
    if (length === 1) {
      this.re[to] = input[from]!
      this.im[to] = 0
      return
    }
    const factor = smallestFactor(length)
    const part = length / factor
    for (let index = 0; index < factor; index++) this.#step(input, from + index * stride, stride * factor, part, to + index * part)
    this.#combine(to, factor, part, stride)
  }

  /** Joins `factor` transforms of `part` bins each, in place. `length * stride` is the whole length here: no angle goes beyond the tables. */
  #combine(to: number, factor: number, part: number, stride: number): void {
    if (factor === 2) return this.#butterflies(to, part, stride)
    const { re, im } = this
    const cos = this.#cos
    const sin = this.#sin
    const turnedRe = this.#scratchRe
    const turnedIm = this.#scratchIm
    const whole = this.#length
    for (let bin = 0; bin < part; bin++) {
      for (let index = 0; index < factor; index++) {
        const at = to + index * part + bin
        const turn = index * bin * stride
        turnedRe[index] = re[at]! * cos[turn]! - im[at]! * sin[turn]!
        turnedIm[index] = re[at]! * sin[turn]! + im[at]! * cos[turn]!
      }
      for (let output = 0; output < factor; output++) {
        const root = (output * whole) / factor
        let sumRe = 0
        let sumIm = 0
        for (let index = 0, turn = 0; index < factor; index++, turn = turn + root < whole ? turn + root : turn + root - whole) {
          sumRe += turnedRe[index]! * cos[turn]! - turnedIm[index]! * sin[turn]!
          sumIm += turnedRe[index]! * sin[turn]! + turnedIm[index]! * cos[turn]!
        }
        re[to + output * part + bin] = sumRe
        im[to + output * part + bin] = sumIm
      }
    }
  }

  /** The same for two, where the roots are 1 and -1. */
  #butterflies(to: number, part: number, stride: number): void {
    const { re, im } = this
    const cos = this.#cos
    const sin = this.#sin
    for (let bin = 0, turn = 0; bin < part; bin++, turn += stride) {
      const even = to + bin
      const odd = even + part
      const turnedRe = re[odd]! * cos[turn]! - im[odd]! * sin[turn]!
      const turnedIm = re[odd]! * sin[turn]! + im[odd]! * cos[turn]!
      re[odd] = re[even]! - turnedRe
      im[odd] = im[even]! - turnedIm
      re[even]! += turnedRe
      im[even]! += turnedIm
    }
  }
}

function smallestFactor(length: number): number {
  for (let factor = 2; factor * factor <= length; factor++) if (length % factor === 0) return factor
  return length
}
