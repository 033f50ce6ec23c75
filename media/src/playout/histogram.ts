/** Lateness in steps of a quarter of a millisecond up to 50 ms, and the longest beyond. Fixed size: one per call is affordable. */
const STEP_MS = 0.25
const STEPS = 200

export type LatenessSummary = { count: number; p50Ms: number; p99Ms: number; maxMs: number }

export class LatenessHistogram {
  readonly #counts = new Uint32Array(STEPS + 1)
  #count = 0
  #maxMs = 0

  add(latenessMs: number): void {
    const late = Math.max(0, latenessMs)
    const step = Math.min(STEPS, Math.floor(late / STEP_MS))
    this.#counts[step] = this.#counts[step]! + 1
    this.#count++
    if (late > this.#maxMs) this.#maxMs = late
  }

  /** Percentiles are the upper end of their step; above 50 ms they are the longest that was seen. */
  summary(): LatenessSummary {
    return { count: this.#count, p50Ms: this.#percentile(0.5), p99Ms: this.#percentile(0.99), maxMs: this.#maxMs }
  }

  #percentile(share: number): number {
    const wanted = Math.ceil(this.#count * share)
    let seen = 0
    for (let step = 0; step < STEPS; step++) {
      seen += this.#counts[step]!
      if (seen >= wanted) return this.#count === 0 ? 0 : Math.min(this.#maxMs, (step + 1) * STEP_MS)
    }
    return this.#maxMs
  }
}
