import type { MonotonicClock } from './monotonic.ts'

/** Time that a test owns. `pass` moves it and runs what falls due, in order; `stall` moves it while nothing can run. */
export class ManualClock implements MonotonicClock {
  #nowMs = 1_000
  #timers: { dueMs: number; fn: () => void }[] = []

  nowMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), fn }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  get waiting(): number {
    return this.#timers.length
  }

  pass(ms: number): void {
    const endMs = this.#nowMs + ms
    for (let timer = this.#takeDue(endMs); timer; timer = this.#takeDue(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs)
      timer.fn()
    }
    this.#nowMs = endMs
  }

  stall(ms: number): void {
    this.#nowMs += ms
  }

  #takeDue(endMs: number): { dueMs: number; fn: () => void } | undefined {
    const timer = this.#timers.filter(({ dueMs }) => dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0]
    this.#timers = this.#timers.filter((other) => other !== timer)
    return timer
  }
}
