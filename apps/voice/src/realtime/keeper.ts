import { realtime } from '@trunkline/channels'
import type { Clock, Logger } from '@trunkline/core'
import type { SessionBook, LiveSessionFacts, SessionHold } from '@trunkline/db'

/** What happens together is written together. */
const REST_MS = 400
/** A long conversation costs more to write: it never takes more of the process than one part in so many. */
const REST_PER_WRITE = 20
/** How long a session waits for a client that went away. */
const AWAY_MS = 600_000
const SPARE_MS = 60_000

export type KeeperDeps = { book: SessionBook; hold: SessionHold; facts: LiveSessionFacts; clock: Clock; log: Logger; /** Another process has it. */ onTaken: () => void }

/** Writes one live session down as it changes, so that another process can go on with it. A Redis that is away costs that, never the session. */
export class Keeper {
  readonly #deps: KeeperDeps
  #state: realtime.SessionState | null = null
  #writing: Promise<void> = Promise.resolve()
  #cancel: (() => void) | null = null
  #restMs = REST_MS
  #left = false

  constructor(deps: KeeperDeps) {
    this.#deps = deps
  }

  /** From the first moment on: a client may come back before it has said anything. */
  begin(state: realtime.SessionState): void {
    this.#state = state
    void this.#write(true)
  }

  changed(state: realtime.SessionState): void {
    if (this.#left) return
    this.#state = state
    this.#cancel ??= this.#deps.clock.after(this.#restMs, () => {
      this.#cancel = null
      void this.#write(true)
    })
  }

  /** The last of it: from now on anybody may go on. Resolves when it is written. Idempotent. */
  async leave(state: realtime.SessionState): Promise<void> {
    if (this.#left) return this.#writing
    this.#stop()
    this.#state = state
    return this.#write(false)
  }

  /** It is over: nobody may come back. */
  async forget(): Promise<void> {
    if (this.#left) return
    this.#stop()
    await this.#writing
    await this.#deps.book.forget(this.#deps.hold).catch((error: unknown) => this.#deps.log.debug({ error }, 'a session that is over could not be forgotten'))
  }

  #stop(): void {
    this.#left = true
    this.#cancel?.()
  }

  #write(open: boolean): Promise<void> {
    this.#writing = this.#writing.then(() => this.#save(open))
    return this.#writing
  }

  async #save(open: boolean): Promise<void> {
    const { book, hold, facts, clock, log, onTaken } = this.#deps
    const state = this.#state
    this.#state = null
    if (!state) return
    const begunMs = performance.now()
    const leftMs = facts.expiresAtMs - clock.nowMs()
    try {
      const outcome = await book.save(hold, facts, realtime.serialise(state), { open, lifeMs: open ? leftMs + SPARE_MS : Math.min(leftMs, AWAY_MS) })
      if (outcome === 'taken') onTaken()
      if (outcome === 'too_large') log.info({ sessionId: hold.sessionId }, 'a realtime session is too long to be kept')
    } catch (error) {
      log.debug({ error }, 'a realtime session could not be kept')
    }
    this.#restMs = Math.max(REST_MS, (performance.now() - begunMs) * REST_PER_WRITE)
  }
}
