/** The value below which `share` (0..1) of the sorted values lie; nearest rank. NaN when there are none. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) return Number.NaN
  const rank = Math.ceil(share * sorted.length)
  return sorted[Math.min(sorted.length, Math.max(1, rank)) - 1]!
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Smallest and largest: with three or five rounds nothing more can honestly be said. */
export const spread = (values: readonly number[]): { low: number; high: number } => ({ low: Math.min(...values), high: Math.max(...values) })

export type Latencies = { count: number; p50: number; p90: number; p99: number; p999: number; max: number }

export function summarise(values: readonly number[] | Float64Array): Latencies {
  const sorted = Float64Array.from(values).sort()
  return { count: sorted.length, p50: percentile(sorted, 0.5), p90: percentile(sorted, 0.9), p99: percentile(sorted, 0.99), p999: percentile(sorted, 0.999), max: percentile(sorted, 1) }
}

/**
 * The most that ever lay in one window (t - windowMs, t]. For a limiter: never more than its limit.
 * `times` in any order.
 */
export function fullestWindow(times: readonly number[], windowMs: number): number {
  const sorted = times.toSorted((a, b) => a - b)
  let first = 0
  let most = 0
  for (let last = 0; last < sorted.length; last++) {
    while (sorted[first]! <= sorted[last]! - windowMs) first += 1
    most = Math.max(most, last - first + 1)
  }
  return most
}
