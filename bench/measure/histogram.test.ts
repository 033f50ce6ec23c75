import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Histogram } from './histogram.ts'
import { summarise } from './statistics.ts'

describe('a histogram of milliseconds', () => {
  it('tells what all values tell, to within a step', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 499, noNaN: true }), { minLength: 1, maxLength: 300 }), (values) => {
        const histogram = new Histogram()
        values.forEach((value) => histogram.add(value))
        const [told, truth] = [histogram.summary(), summarise(values)]
        expect(told.count).toBe(truth.count)
        expect(told.max).toBe(truth.max)
        for (const share of ['p50', 'p90', 'p99', 'p999'] as const) expect(Math.abs(told[share] - truth[share])).toBeLessThanOrEqual(0.051)
      }),
    )
  })

  it('is the same merged from parts', () => {
    const [whole, part, other] = [new Histogram(), new Histogram(), new Histogram()]
    for (let value = 0; value < 100; value++) {
      whole.add(value)
      const half = value % 2 === 0 ? part : other
      half.add(value)
    }
    part.merge(other.counts())
    expect(part.summary()).toEqual(whole.summary())
  })
})
