import { describe, expect, it } from 'vitest'
import { fullestWindow, median, percentile, spread, summarise } from './statistics.ts'

describe('percentiles', () => {
  it('take the nearest rank, and never step over the ends', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => index + 1)
    expect([0, 0.5, 0.99, 1].map((share) => percentile(hundred, share))).toEqual([1, 50, 99, 100])
    expect(percentile([7], 0.99)).toBe(7)
    expect(percentile([], 0.5)).toBeNaN()
  })

  it('of latencies come from any order', () => {
    expect(summarise([30, 10, 20])).toEqual({ count: 3, p50: 20, p90: 30, p99: 30, p999: 30, max: 30 })
  })
})

describe('rounds', () => {
  it('have a median and two ends', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(spread([4, 1, 3])).toEqual({ low: 1, high: 4 })
  })
})

describe('the fullest window', () => {
  it('counts what lies in one window, its far end not included', () => {
    expect(fullestWindow([0, 10, 20, 1_000], 1_000)).toBe(3)
    expect(fullestWindow([0, 10, 20, 999], 1_000)).toBe(4)
    expect(fullestWindow([500, 1, 1_400], 1_000)).toBe(2)
    expect(fullestWindow([], 1_000)).toBe(0)
  })
})
