import type { Clock, Id, Logger } from '@trunkline/core'

/**
 * The pause before each attempt to bring a call's sound back, where a carrier wants a command for it (Telnyx; Twilio's pause stands in its
 * document). In all it is the time for which a voice process keeps a call whose line has broken.
 */
const PAUSES_MS = [0, 500, 1_000, 2_000, 4_000, 7_000]
/** A line that breaks again within this time has not been mended: the pauses go on where they were. */
const HELD_MS = 20_000

/** `asked`: the carrier has taken the command; it tells whether the stream came. `over`: the call wants no sound any more. */
export type Restarted = 'asked' | 'over'

export type Restart = {
  /** Rejects where it is worth another attempt. `attempt` counts from 1. */
  ask(attempt: number): Promise<Restarted>
  /** The last attempt failed. */
  giveUp(): Promise<void>
}

type Broken = { attempts: number; isBusy: boolean; cancel: () => void }

/**
 * Calls whose sound is to come back. Kept by the process that was told of it: another one that hears the carrier's next word tries by itself,
 * and a stream that runs already is none of a failure.
 */
export class Restarts {
  readonly #clock: Clock
  readonly #log: Logger
  readonly #broken = new Map<Id, Broken>()

  constructor({ clock, log }: { clock: Clock; log: Logger }) {
    this.#clock = clock
    this.#log = log
  }

  /** Resolves when the first attempt is made; what follows is not waited for. Never rejects. */
  async lost(callId: Id, restart: Restart): Promise<void> {
    const broken = this.#broken.get(callId) ?? { attempts: 0, isBusy: false, cancel: () => {} }
    this.#broken.set(callId, broken)
    if (!broken.isBusy) await this.#next(callId, broken, restart)
  }

  close(): void {
    for (const { cancel } of this.#broken.values()) cancel()
    this.#broken.clear()
  }

  async #next(callId: Id, broken: Broken, restart: Restart): Promise<void> {
    broken.cancel()
    broken.isBusy = true
    const pauseMs = PAUSES_MS[broken.attempts++]
    if (pauseMs === 0) return this.#ask(callId, broken, restart)
    if (pauseMs !== undefined) return void (broken.cancel = this.#clock.after(pauseMs, () => void this.#ask(callId, broken, restart)))
    this.#broken.delete(callId)
    await restart.giveUp().catch((error: unknown) => this.#log.warn({ error, callId }, 'a call without sound could not be given up'))
  }

  async #ask(callId: Id, broken: Broken, restart: Restart): Promise<void> {
    const result = await restart.ask(broken.attempts).catch((error: unknown) => {
      this.#log.warn({ error, callId, attempt: broken.attempts }, 'the sound of a call could not be asked for')
      return null
    })
    // The process goes away meanwhile.
    if (this.#broken.get(callId) !== broken) return
    if (result === null) return this.#next(callId, broken, restart)
    broken.isBusy = false
    if (result === 'over') this.#broken.delete(callId)
    else broken.cancel = this.#clock.after(HELD_MS, () => this.#broken.delete(callId))
  }
}
