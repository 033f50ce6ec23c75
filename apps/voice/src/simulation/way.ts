import { mulberry } from '@trunkline/core'

export type WaySettings = { packetLoss: number; jitterMs: number; seed: number }

/** The way of the caller's frames to us: some are lost, others late. Their order is kept, as on any stream. Time is the caller's own. */
export class Way {
  readonly #settings: WaySettings
  readonly #deliver: (frame: string) => void
  readonly #random: () => number
  readonly #late: { frame: string; dueMs: number }[] = []
  #lastDueMs = 0
  lost = 0

  constructor(settings: WaySettings, deliver: (frame: string) => void) {
    this.#settings = settings
    this.#deliver = deliver
    this.#random = mulberry(settings.seed)
  }

  /** A frame of sound. */
  send(frame: string, nowMs: number): void {
    const { packetLoss, jitterMs } = this.#settings
    if (packetLoss > 0 && this.#random() < packetLoss) {
      this.lost += 1
      return
    }
    const dueMs = Math.max(this.#lastDueMs, nowMs + (jitterMs > 0 ? jitterMs * this.#random() : 0))
    this.#lastDueMs = dueMs
    this.#late.push({ frame, dueMs })
    this.tick(nowMs)
  }

  /** What is no sound keeps its place, and is never lost. */
  sendSurely(text: string, nowMs: number): void {
    this.#late.push({ frame: text, dueMs: Math.max(this.#lastDueMs, nowMs) })
    this.tick(nowMs)
  }

  tick(nowMs: number): void {
    while (this.#late.length > 0 && this.#late[0]!.dueMs <= nowMs) this.#deliver(this.#late.shift()!.frame)
  }

  /** Everything that is under way arrives now. */
  flush(): void {
    this.tick(Infinity)
  }
}
