import type { realtime } from '@trunkline/channels'
import type { KeeperDeps } from './keeper.ts'

/** Says where a call is, so that it can be hung up from anywhere. Nothing of what is said is kept: a call that is gone cannot be gone on with. */
export class CallSign {
  readonly #deps: Omit<KeeperDeps, 'onTaken'>

  constructor(deps: Omit<KeeperDeps, 'onTaken'>) {
    this.#deps = deps
  }

  begin(_state: realtime.SessionState): void {
    const { book, hold, facts, clock, log } = this.#deps
    book.save(hold, facts, '', { open: true, lifeMs: facts.expiresAtMs - clock.nowMs() }).catch((error: unknown) => log.debug({ error }, 'a call cannot be hung up from elsewhere'))
  }

  changed(_state: realtime.SessionState): void {}

  leave(_state: realtime.SessionState): Promise<void> {
    return this.forget()
  }

  async forget(): Promise<void> {
    const { book, hold, log } = this.#deps
    await book.forget(hold).catch((error: unknown) => log.debug({ error }, 'a call that is over could not be forgotten'))
  }
}
