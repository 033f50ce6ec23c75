import { mulberry } from '@trunkline/core'
import { z } from 'zod'
import type { Wheel } from './wheel.ts'

/** What the way from the carrier to our server does to media frames. Changes take effect from the next frame on. */
export const Network = z.strictObject({
  delay_ms: z.number().min(0).max(10_000).default(0),
  /** Each frame is late by a random part of it. TCP keeps the order: later frames wait behind. */
  jitter_ms: z.number().min(0).max(10_000).default(0),
  /** Part of the frames that never arrives. */
  loss: z.number().min(0).max(1).default(0),
  /** Part of the frames that changes places with the next one (Telnyx says that order is not guaranteed; at Twilio it is). */
  reorder: z.number().min(0).max(1).default(0),
  seed: z.number().int().default(1),
})
export type Network = z.output<typeof Network>
export const NETWORK_FINE: Network = { delay_ms: 0, jitter_ms: 0, loss: 0, reorder: 0, seed: 1 }

/** Carries frames over a bad network. Without faults it is a function call. */
export class Way {
  readonly #wheel: Wheel
  readonly #deliver: (frame: string) => void
  #network: Network = NETWORK_FINE
  #random = mulberry(1)
  #held: string | null = null
  #lastDueMs = 0
  readonly #onTheWay: string[] = []
  #isClosed = false
  lost = 0
  swapped = 0

  constructor(wheel: Wheel, deliver: (frame: string) => void) {
    this.#wheel = wheel
    this.#deliver = deliver
  }

  set(network: Network): void {
    this.#network = network
    this.#random = mulberry(network.seed)
  }

  send(frame: string): void {
    const { loss, reorder } = this.#network
    if (loss > 0 && this.#random() < loss) return void this.lost++
    if (reorder > 0 && this.#held === null && this.#random() < reorder) return void (this.#held = frame)
    this.#carry(frame)
    if (this.#held === null) return
    this.swapped++
    const late = this.#held
    this.#held = null
    this.#carry(late)
  }

  /** What is not media keeps its place behind what was sent before it. */
  sendInOrder(text: string): void {
    this.#flushHeld()
    this.#carry(text)
  }

  close(): void {
    this.#isClosed = true
  }

  #flushHeld(): void {
    if (this.#held === null) return
    const late = this.#held
    this.#held = null
    this.#carry(late)
  }

  #carry(frame: string): void {
    const { delay_ms: delayMs, jitter_ms: jitterMs } = this.#network
    const nowMs = performance.now()
    const dueMs = Math.max(this.#lastDueMs, nowMs + delayMs + jitterMs * (jitterMs > 0 ? this.#random() : 0))
    if (dueMs <= nowMs && this.#onTheWay.length === 0) return this.#deliver(frame)
    this.#lastDueMs = dueMs
    // One connection: what was sent first arrives first, however the clock rounds.
    this.#onTheWay.push(frame)
    this.#wheel.after(dueMs - nowMs, () => {
      const first = this.#onTheWay.shift()!
      if (!this.#isClosed) this.#deliver(first)
    })
  }
}
