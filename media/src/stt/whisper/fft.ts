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

  #combine(to: number, factor: number, part: number, stride: number): void {
    const { re, im } = this
    const length = factor * part
    for (let bin = 0; bin < length; bin++) {
      let [sumRe, sumIm] = [0, 0]
      for (let index = 0; index < factor; index++) {
        const at = to + index * part + (bin % part)
        const turn = (index * bin * stride) % this.#length
        sumRe += re[at]! * this.#cos[turn]! - im[at]! * this.#sin[turn]!
        sumIm += re[at]! * this.#sin[turn]! + im[at]! * this.#cos[turn]!
      }
      this.#scratchRe[bin] = sumRe
      this.#scratchIm[bin] = sumIm
    }
    re.set(this.#scratchRe.subarray(0, length), to)
    im.set(this.#scratchIm.subarray(0, length), to)
  }
}

function smallestFactor(length: number): number {
  for (let factor = 2; factor * factor <= length; factor++) if (length % factor === 0) return factor
  return length
}
