/** Time that only goes forward, in milliseconds from any beginning. Pacing by Unix time breaks when the machine's clock is set. */
export type MonotonicClock = {
  nowMs(): number
  /** Runs `fn` once, not before `delayMs` have passed; returns a function that cancels it. */
  after(delayMs: number, fn: () => void): () => void
}

export const monotonicClock: MonotonicClock = {
  nowMs: () => performance.now(),
  after(delayMs, fn) {
    // Node's timers have whole milliseconds: rounded up, a wake-up is never early.
    const timer = setTimeout(fn, Math.max(0, Math.ceil(delayMs)))
    return () => clearTimeout(timer)
  },
}
