import type { Latencies } from './statistics.ts'

const STEP_MS = 0.05
const STEPS = 10_000

/** Milliseconds in steps of a twentieth up to half a second: millions of values cost no memory. Travels between processes as it is. */
export type HistogramCounts = { counts: Uint32Array; count: number; max: number }

export class Histogram {
  readonly #counts = new Uint32Array(STEPS + 1)
  #count = 0
  #max = 0

  add(ms: number): void {
    const step = Math.min(STEPS, Math.max(0, Math.floor(ms / STEP_MS)))
    this.#counts[step] = this.#counts[step]! + 1
    this.#count += 1
    if (ms > this.#max) this.#max = ms
  }

  merge({ counts, count, max }: HistogramCounts): void {
    for (let step = 0; step <= STEPS; step++) this.#counts[step] = this.#counts[step]! + counts[step]!
    this.#count += count
    this.#max = Math.max(this.#max, max)
  }

  counts(): HistogramCounts {
    return { counts: this.#counts.slice(), count: this.#count, max: this.#max }
  }

  /** Upper ends of steps; beyond half a second, and never more than, the longest that was seen. */
  summary(): Latencies {
    return { count: this.#count, p50: this.#share(0.5), p90: this.#share(0.9), p99: this.#share(0.99), p999: this.#share(0.999), max: this.#max }
  }

  #share(share: number): number {
    if (this.#count === 0) return Number.NaN
    const wanted = Math.ceil(this.#count * share)
    for (let step = 0, seen = 0; step < STEPS; step++) {
      seen += this.#counts[step]!
      if (seen >= wanted) return Math.min(this.#max, (step + 1) * STEP_MS)
    }
    return this.#max
  }
}
