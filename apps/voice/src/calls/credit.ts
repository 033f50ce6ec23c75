import { FIRST_HOLD_MINUTES } from '@trunkline/billing'
import type { Clock, Id, Logger } from '@trunkline/core'

export type CallCreditOptions = {
  clock: Clock
  log: Logger
  callId: Id
  /** How long the call has been running already, and how often something was reserved for it. */
  sinceMs: number
  holds: number
  /** Reserves so many more minutes. */
  reserve: (minutes: number) => Promise<'held' | 'insufficient' | 'over'>
  /** There is no credit for the next minutes. Once. */
  onShort: () => void
  /** The call is not ours any more. */
  onOver: () => void
}

const MORE_MINUTES = 2
const MINUTE_MS = 60_000
/** Looked at so often; reserved in advance for so long. */
const CHECK_MS = 20_000
const AHEAD_MS = 60_000

/** Sees to it that the next minutes of a call are paid for before they begin. */
export class CallCredit {
  readonly #options: CallCreditOptions
  #heldUntilMs = 0
  #timer: NodeJS.Timeout | null = null

  constructor(options: CallCreditOptions) {
    this.#options = options
  }

  start(): void {
    const { clock, log, callId, sinceMs, holds } = this.#options
    this.#heldUntilMs = clock.nowMs() - sinceMs + (FIRST_HOLD_MINUTES + Math.max(0, holds - 1) * MORE_MINUTES) * MINUTE_MS
    this.#timer = setInterval(() => void this.#look().catch((error: unknown) => log.warn({ error, callId }, 'credit of a call could not be reserved')), CHECK_MS)
  }

  /** Idempotent. */
  stop(): void {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
  }

  async #look(): Promise<void> {
    const { clock, reserve, onShort, onOver } = this.#options
    if (this.#heldUntilMs - clock.nowMs() > AHEAD_MS) return
    const outcome = await reserve(MORE_MINUTES)
    if (outcome === 'held') {
      this.#heldUntilMs += MORE_MINUTES * MINUTE_MS
      return
    }
    this.stop()
    if (outcome === 'over') onOver()
    else onShort()
  }
}
