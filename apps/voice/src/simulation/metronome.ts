import { monotonicClock } from '@trunkline/media'

const FRAME_MS = 20
/** After a standstill (a suspended machine) time goes on from now. */
const STALL_MS = 2_000

/** One timer for all simulated callers: every 20 ms by a monotonic clock, late steps made up for. Sleeps while nobody calls. */
export class Metronome {
  readonly #ticks = new Set<() => void>()
  #timer: NodeJS.Timeout | null = null
  #dueMs = 0

  /** Returns what stops it. */
  add(tick: () => void): () => void {
    this.#ticks.add(tick)
    if (!this.#timer) {
      this.#dueMs = monotonicClock.nowMs() + FRAME_MS
      this.#arm()
    }
    return () => void this.#ticks.delete(tick)
  }

  #arm(): void {
    this.#timer = setTimeout(() => this.#run(), Math.max(0, this.#dueMs - monotonicClock.nowMs()))
  }

  #run(): void {
    const nowMs = monotonicClock.nowMs()
    if (nowMs - this.#dueMs > STALL_MS) this.#dueMs = nowMs
    for (; this.#dueMs <= nowMs; this.#dueMs += FRAME_MS) for (const tick of this.#ticks) tick()
    this.#timer = null
    if (this.#ticks.size > 0) this.#arm()
  }
}
