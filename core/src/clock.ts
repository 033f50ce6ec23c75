/** Time as a dependency, so that simulations and tests own it. `nowMs` is Unix time in milliseconds. */
export type Clock = {
  nowMs(): number
  /** Runs `fn` once after `delayMs`; returns a function that cancels it. */
  after(delayMs: number, fn: () => void): () => void
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, delayMs)
    return () => clearTimeout(timer)
  },
}
