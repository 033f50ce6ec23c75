import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BandPowers, BANDS, BAND_WINDOW } from './bands.ts'
import { ANALYSIS_HZ } from './windows.ts'

const LENGTH = 256
const bark = (hz: number): number => (26.81 * hz) / (1_960 + hz) - 0.53

/** By the definition of the transform, bin by bin. */
function byDefinition(window: Float64Array): number[] {
  const out = Array.from({ length: BANDS }, () => 0)
  const [low, high] = [bark(250), bark(3_500)]
  for (let band = 0; band < BANDS; band++) {
    const edge = (n: number) => Math.round((((1_960 * (low + ((high - low) * n) / BANDS + 0.53)) / (26.28 - (low + ((high - low) * n) / BANDS))) * LENGTH) / ANALYSIS_HZ)
    for (let bin = edge(band); bin < edge(band + 1); bin++) {
      let [re, im] = [0, 0]
      for (let n = 0; n < BAND_WINDOW; n++) {
        const sample = window[n]! * (0.5 - 0.5 * Math.cos((2 * Math.PI * (n + 0.5)) / BAND_WINDOW))
        re += sample * Math.cos((2 * Math.PI * bin * n) / LENGTH)
        im -= sample * Math.sin((2 * Math.PI * bin * n) / LENGTH)
      }
      out[band] = out[band]! + (2 * (re * re + im * im)) / (LENGTH * BAND_WINDOW * 0.375)
    }
  }
  return out
}

describe('the bands of a window', () => {
  it('have the power that the definition of the transform gives them', () => {
    const bands = new BandPowers()
    const out = new Float64Array(BANDS)
    fc.assert(
      fc.property(fc.float64Array({ minLength: BAND_WINDOW, maxLength: BAND_WINDOW, min: -32_768, max: 32_767, noNaN: true }), (window) => {
        bands.measure(window, out)
        byDefinition(window).forEach((power, band) => expect(Math.abs(out[band]! - power)).toBeLessThanOrEqual(1e-9 * Math.max(1, ...out)))
      }),
      { numRuns: 30 },
    )
  })
})
