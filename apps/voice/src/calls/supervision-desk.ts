import { AppError, type CallAnswer, type CallWord, type Id, type Logger } from '@trunkline/core'
import type { Bell } from '@trunkline/db'
import type { CallJournal } from './journal.ts'
import type { Supervision } from './supervision.ts'

export type SupervisionDeskOptions = {
  callId: Id
  bell: Pick<Bell, 'ring'>
  log: Logger
  journal: Pick<CallJournal, 'event'>
  /** Throws AppError `invalid_state` while there is no sound. */
  open: () => Supervision
}

/** Where people of the business ask for a place in a call, another one, or leave: words of a bell in, answers out. */
export class SupervisionDesk {
  readonly #options: SupervisionDeskOptions
  #supervision: Supervision | null = null

  constructor(options: SupervisionDeskOptions) {
    this.#options = options
  }

  hear({ supervise, supervise_as: change, leave }: CallWord): void {
    if (supervise) void this.#answer(supervise.reply, () => this.#join(supervise))
    if (change) void this.#answer(change.reply, async () => this.#change(change))
    if (leave !== undefined) this.#supervision?.leave(leave)
  }

  /** The call is over. Idempotent. */
  close(): void {
    this.#supervision?.close()
  }

  async #join({ offer, mode }: NonNullable<CallWord['supervise']>): Promise<CallAnswer['answer']> {
    this.#supervision ??= this.#options.open()
    const answer = await this.#supervision.join(offer, mode)
    this.#options.journal.event('status', null, { supervisor: mode })
    return answer
  }

  #change({ leg, mode }: NonNullable<CallWord['supervise_as']>): CallAnswer['answer'] {
    if (!this.#supervision) throw new AppError('not_found', { message: 'There is no such leg in this call.', param: 'leg_id' })
    this.#supervision.change(leg, mode)
    this.#options.journal.event('status', null, { supervisor: mode })
    return { leg }
  }

  /** Whoever asked hears how it went. */
  async #answer(reply: string, act: () => Promise<CallAnswer['answer']>): Promise<void> {
    const { callId, bell, log } = this.#options
    let answer: CallAnswer
    try {
      answer = { answer: await act() }
    } catch (error) {
      const { code, message, param, details } = error instanceof AppError ? error : new AppError('internal', { cause: error })
      if (code === 'internal') log.error({ error, callId }, 'a call could not be supervised')
      answer = { error: { code, message, param, details } }
    }
    bell.ring(reply, JSON.stringify(answer))
  }
}
