import { BANDS } from '../dsp/bands.ts'
import type { FarEnd } from './far.ts'
import { MIN_DELAY_HOPS } from './likeness.ts'

/** How much of the past counts in the gains: two seconds of echo. */
const KEEP = 0.995
/** Nobody's loudspeaker gives back more than it gets, or hardly. */
const MAX_GAIN = 2

/** The way of an echo: how much of what we play comes back, band by band, learned while nothing else is heard. */
export class EchoPath {
  readonly #far: FarEnd
  readonly #played = new Float64Array(BANDS)
  readonly #heard = new Float64Array(BANDS)
  readonly #expected = new Float64Array(BANDS)

  constructor(far: FarEnd) {
    this.#far = far
  }

  forget(): void {
    this.#played.fill(0)
    this.#heard.fill(0)
  }

  /** What was heard in this hop is an echo and nothing else. */
  learn(powers: Float64Array, hop: number, delay: number): void {
    for (let band = 0; band < BANDS; band++) {
      this.#played[band] = KEEP * this.#played[band]! + this.#lingering(band, hop - MIN_DELAY_HOPS - delay)
      this.#heard[band] = KEEP * this.#heard[band]! + powers[band]!
    }
  }

  /** Power of the echo that belongs to this hop; valid until the next call. A window may lie half a hop beside, so the neighbours count too. */
  expect(hop: number, delay: number): Float64Array {
    const then = hop - MIN_DELAY_HOPS - delay
    for (let band = 0; band < BANDS; band++) {
      const gain = Math.min(MAX_GAIN, this.#heard[band]! / (this.#played[band]! + 1))
      this.#expected[band] = gain * Math.max(this.#lingering(band, then - 1), this.#lingering(band, then), this.#lingering(band, then + 1))
    }
    return this.#expected
  }

  #lingering(band: number, hop: number): number {
    return this.#far.has(hop) ? this.#far.lingering[this.#far.slot(hop) * BANDS + band]! : 0
  }
}
