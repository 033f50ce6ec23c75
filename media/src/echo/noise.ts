import { BANDS } from '../dsp/bands.ts'

/** In the bands together: about -58 dBm0, quieter than any telephone line's speech. */
const START = 2_000
const LEAST = 125
/** Down at once, up 1.5 dB a second: a long sentence does not become the noise. */
const RISE = 10 ** (0.015 / 10)
/** 6 dB over it is a sound; so is nothing that is under the quietest speech. */
const OVER = 4
const QUIETEST_SOUND = 2_000

/** The line's own noise. */
export class LineNoise {
  #power = START

  /** Bands of one hop in; whether they hold more than the noise out. */
  isLoud(powers: Float64Array): boolean {
    let sum = 0
    for (let band = 0; band < BANDS; band++) sum += powers[band]!
    this.#power = Math.max(LEAST, Math.min(sum, this.#power * RISE))
    return sum > Math.max(QUIETEST_SOUND, OVER * this.#power)
  }

  get inBand(): number {
    return this.#power / BANDS
  }
}
