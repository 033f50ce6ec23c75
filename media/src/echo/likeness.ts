import { BANDS } from '../dsp/bands.ts'
import { KEEP, loudnessOf, type FarEnd } from './far.ts'

/** Echoes of telephones come back between 20 and 540 ms after the sound was due. */
export const MIN_DELAY_HOPS = 2
export const DELAYS = 53
/** Variance that any sound has: without it two silences would be alike. */
const LITTLE = 1.5

/**
 * How alike what we hear is to what we played, at every delay: the correlation of loudness over bands and the last half second. It looks at
 * loudness and not at samples, because a loudspeaker, a room and the codecs of mobile phones leave nothing of the wave but its loudness.
 */
export class Likeness {
  readonly #far: FarEnd
  readonly #product = new Float64Array(DELAYS)
  readonly #mean = new Float64Array(BANDS)
  readonly #loudness = new Float64Array(BANDS)
  #square = 0
  /** The best delay when it was last sought, and its correlation, -1 to 1. */
  delay = 0
  correlation = 0

  constructor(far: FarEnd) {
    this.#far = far
  }

  /** Nothing was played for long: what was heard before has faded by now. */
  forget(): void {
    this.#product.fill(0)
    this.#mean.fill(0)
    this.#square = 0
  }

  /** Bands of what was heard in this hop. */
  push(powers: Float64Array, hop: number): void {
    let square = 0
    for (let band = 0; band < BANDS; band++) {
      const loudness = loudnessOf(powers[band]!)
      this.#loudness[band] = loudness
      this.#mean[band] = KEEP * this.#mean[band]! + (1 - KEEP) * loudness
      square += loudness * loudness
    }
    this.#square = KEEP * this.#square + (1 - KEEP) * square
    const isSilent = square === 0
    for (let delay = 0; delay < DELAYS; delay++) this.#product[delay] = KEEP * this.#product[delay]! + (isSilent ? 0 : (1 - KEEP) * this.#together(hop - MIN_DELAY_HOPS - delay))
  }

  /** -1 to 1. */
  at(delay: number, hop: number): number {
    const then = hop - MIN_DELAY_HOPS - delay
    if (!this.#far.has(then)) return 0
    const slot = this.#far.slot(then)
    const { mean, square } = this.#far
    let [both, far, near] = [this.#product[delay]!, square[slot]!, this.#square]
    for (let band = 0, at = slot * BANDS; band < BANDS; band++, at++) {
      const [farMean, nearMean] = [mean[at]!, this.#mean[band]!]
      both -= farMean * nearMean
      far -= farMean * farMean
      near -= nearMean * nearMean
    }
    return both / Math.sqrt(Math.max(far, LITTLE) * Math.max(near, LITTLE))
  }

  #together(then: number): number {
    if (!this.#far.has(then)) return 0
    const { loudness } = this.#far
    let sum = 0
    for (let band = 0, at = this.#far.slot(then) * BANDS; band < BANDS; band++, at++) sum += loudness[at]! * this.#loudness[band]!
    return sum
  }

  /** Sets `delay` and `correlation` after the push of this hop. Costs more than the push: for when there is something to be alike. */
  seek(hop: number): void {
    this.correlation = -1
    for (let delay = 0; delay < DELAYS; delay++) {
      const correlation = this.at(delay, hop)
      if (correlation <= this.correlation) continue
      this.correlation = correlation
      this.delay = delay
    }
  }
}
