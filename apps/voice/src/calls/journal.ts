import { calls, type Db } from '@trunkline/db'
import type { Id, Logger } from '@trunkline/core'

export type JournalDeps = { db: Db; log: Logger; /** Null: no lead is looked for. */ leadIdleMs: number | null }

/** Entries rest this long, so that what happens together is written together. */
const REST_MS = 300
const RETRY_MS = 1_000
/** A call of hours whose database is away: what is more than this is given up, oldest first, and said. */
const ENTRIES_MAX = 5_000

type Entries = { said: calls.CallUtterance[]; events: calls.CallEvent[]; used: calls.CallUse[] }
const none = (): Entries => ({ said: [], events: [], used: [] })

/**
 * What happens in one live call, on its way into the database: in order, in batches, and again when the database was away. `onLost` is told
 * once when the call is not this process's any more.
 */
export class CallJournal {
  readonly #deps: JournalDeps
  readonly #held: calls.HeldCall
  readonly #onLost: () => void
  #waiting = none()
  #writing: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null
  #lost = false
  #dropped = 0

  constructor(deps: JournalDeps, held: calls.HeldCall, onLost: () => void) {
    this.#deps = deps
    this.#held = held
    this.#onLost = onLost
  }

  get callId(): Id {
    return this.#held.callId
  }

  said(utterance: calls.CallUtterance): void {
    this.#add('said', utterance)
  }

  event(kind: calls.CallEvent['kind'], atMs: number | null, data: Record<string, unknown>): void {
    this.#add('events', { kind, atMs, data })
  }

  used(use: calls.CallUse): void {
    this.#add('used', use)
  }

  /** Everything that was said until now is written, or the call is lost. Keeps trying. */
  async settle(): Promise<void> {
    while (!this.#lost && (this.#writing || this.#hasNews())) {
      if (this.#timer) clearTimeout(this.#timer)
      this.#timer = null
      await (this.#writing ?? this.#write())
    }
  }

  #add<Kind extends keyof Entries>(kind: Kind, entry: Entries[Kind][number]): void {
    if (this.#lost) return
    const list = this.#waiting[kind] as Entries[Kind][number][]
    if (list.length >= ENTRIES_MAX) {
      list.shift()
      this.#dropped += 1
    }
    list.push(entry)
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      if (!this.#writing) void this.#write()
    }, REST_MS)
  }

  #hasNews(): boolean {
    return Object.values(this.#waiting).some((list) => list.length > 0)
  }

  #write(): Promise<void> {
    const news = this.#waiting
    this.#waiting = none()
    // Where the agent was cut off is known a moment after the words that did it.
    news.said.sort((one, other) => one.startMs - other.startMs)
    this.#writing = this.#deps.db.system('calls', (tx) => calls.record(tx, this.#held, news, this.#deps.leadIdleMs)).then(
      (isOurs) => this.#written(isOurs),
      (error: unknown) => this.#again(news, error),
    )
    return this.#writing
  }

  #written(isOurs: boolean): void {
    this.#writing = null
    if (this.#dropped > 0) this.#deps.log.error({ callId: this.callId, dropped: this.#dropped }, 'entries of a call were given up: the database was away for too long')
    this.#dropped = 0
    if (isOurs) return
    this.#lost = true
    this.#onLost()
  }

  async #again(news: Entries, error: unknown): Promise<void> {
    this.#deps.log.warn({ callId: this.callId, error }, 'what happened in a call could not be written; trying again')
    this.#waiting = { said: [...news.said, ...this.#waiting.said], events: [...news.events, ...this.#waiting.events], used: [...news.used, ...this.#waiting.used] }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    this.#writing = null
  }
}
