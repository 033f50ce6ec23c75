import type { Clock } from '@trunkline/core'

type Line = { keepAlive(): void }

/** Well within Deepgram's 10 s. */
const QUIET_MS = 4_000
const TICK_MS = 1_000

/** One timer for all sockets of an engine; it runs while there are any. */
export class KeepAlive {
  readonly #clock: Clock
  readonly #sentMs = new Map<Line, number>()
  #isTicking = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(line: Line): void {
    this.#sentMs.set(line, this.#clock.nowMs())
    this.#start()
  }

  sent(line: Line): void {
    if (this.#sentMs.has(line)) this.#sentMs.set(line, this.#clock.nowMs())
  }

  remove(line: Line): void {
    this.#sentMs.delete(line)
  }

  #start(): void {
    if (this.#isTicking || this.#sentMs.size === 0) return
    this.#isTicking = true
    this.#clock.after(TICK_MS, () => this.#tick())
  }

  #tick(): void {
    this.#isTicking = false
    const nowMs = this.#clock.nowMs()
    for (const [line, sentMs] of this.#sentMs) {
      if (nowMs - sentMs < QUIET_MS) continue
      line.keepAlive()
      this.#sentMs.set(line, nowMs)
    }
    this.#start()
  }
}
