/** One timer for all calls. It keeps to deadlines of a monotonic clock: a late step is made up for, so that sound never drifts. */

export type Ticker = { /** Every 20 ms. `nowMs` is the deadline, not the time at which the timer happened to fire. */ tick(nowMs: number): void }

const STEP_MS = 5
const STEPS_PER_FRAME = 4
/** 20 s; what is later waits another round. */
const SLOTS = 4096
/** After a longer standstill (a debugger, a suspended machine) time goes on from now. */
const STALL_MS = 5_000

type Timer = { dueStep: number; run: () => void }

export class Wheel {
  readonly #tickers: Set<Ticker>[] = Array.from({ length: STEPS_PER_FRAME }, () => new Set<Ticker>())
  readonly #timers: Set<Timer>[] = Array.from({ length: SLOTS }, () => new Set<Timer>())
  #timerCount = 0
  #step = 0
  #originMs = performance.now()
  #handle: NodeJS.Timeout | null = null
  #lateMsMax = 0

  /** Frames of calls are spread over the four steps of a frame, as calls of the world are. */
  add(ticker: Ticker): void {
    const emptiest = this.#tickers.reduce((best, set) => (set.size < best.size ? set : best))
    emptiest.add(ticker)
    this.#wake()
  }

  remove(ticker: Ticker): void {
    for (const set of this.#tickers) set.delete(ticker)
  }

  /** Once, to within 5 ms; returns what cancels it. */
  after(delayMs: number, run: () => void): () => void {
    this.#wake()
    const now = Math.max(this.#step, Math.floor((performance.now() - this.#originMs) / STEP_MS))
    const timer: Timer = { dueStep: now + Math.max(1, Math.ceil(delayMs / STEP_MS)), run }
    this.#timers[timer.dueStep % SLOTS]!.add(timer)
    this.#timerCount++
    return () => {
      if (this.#timers[timer.dueStep % SLOTS]!.delete(timer)) this.#timerCount--
    }
  }

  wait(delayMs: number): Promise<void> {
    return delayMs <= 0 ? Promise.resolve() : new Promise((resolve) => void this.after(delayMs, resolve))
  }

  /** The worst lateness of a step since it was last asked: what the sandbox itself adds to jitter. */
  takeLateMsMax(): number {
    const worst = this.#lateMsMax
    this.#lateMsMax = 0
    return worst
  }

  close(): void {
    if (this.#handle) clearTimeout(this.#handle)
    this.#handle = null
    for (const set of this.#tickers) set.clear()
    for (const set of this.#timers) set.clear()
    this.#timerCount = 0
  }

  /** Sleeps while there is nothing to do, so that an idle sandbox costs nothing. */
  #wake(): void {
    if (this.#handle) return
    this.#originMs = performance.now() - this.#step * STEP_MS
    this.#arm()
  }

  #arm(): void {
    const dueMs = this.#originMs + (this.#step + 1) * STEP_MS
    this.#handle = setTimeout(() => this.#run(), Math.max(0, dueMs - performance.now()))
  }

  #run(): void {
    const nowMs = performance.now()
    const behindMs = nowMs - (this.#originMs + (this.#step + 1) * STEP_MS)
    this.#lateMsMax = Math.max(this.#lateMsMax, behindMs)
    if (behindMs > STALL_MS) this.#originMs += behindMs
    while (this.#originMs + (this.#step + 1) * STEP_MS <= nowMs) this.#advance()
    const isIdle = this.#timerCount === 0 && this.#tickers.every((set) => set.size === 0)
    if (isIdle) this.#handle = null
    else this.#arm()
  }

  #advance(): void {
    this.#step++
    const deadlineMs = this.#originMs + this.#step * STEP_MS
    const due = this.#timers[this.#step % SLOTS]!
    for (const timer of due) {
      if (timer.dueStep !== this.#step) continue
      due.delete(timer)
      this.#timerCount--
      timer.run()
    }
    for (const ticker of this.#tickers[this.#step % STEPS_PER_FRAME]!) ticker.tick(deadlineMs)
  }
}
