import type { JournalDraft, JournalEntry, JournalFilter } from './entry.ts'
import { matches } from './entry.ts'

export type JournalOptions = {
  /** Entries kept; the oldest fall out. */
  capacity: number
  /** How many of the newest entries keep their body. */
  bodies: number
}

type Waiter = { predicate: (entry: JournalEntry) => boolean; found: JournalEntry[]; count: number; resolve: (found: JournalEntry[]) => void; timer: NodeJS.Timeout }

/** Everything received, in order, in bounded memory. Tests await entries instead of sleeping. */
export class Journal {
  readonly #ring: JournalEntry[] = []
  readonly #options: JournalOptions
  readonly #waiters = new Set<Waiter>()
  #nextSeq = 1
  #firstSeq = 1

  constructor(options: JournalOptions) {
    this.#options = options
  }

  add(draft: JournalDraft): JournalEntry {
    const entry = draft as JournalEntry
    entry.seq = this.#nextSeq++
    entry.atMs = Date.now()
    this.#ring[entry.seq % this.#options.capacity] = entry
    if (entry.seq - this.#firstSeq >= this.#options.capacity) this.#firstSeq = entry.seq - this.#options.capacity + 1
    this.#dropBody(entry.seq - this.#options.bodies)
    if (this.#waiters.size > 0) this.#wake(entry)
    return entry
  }

  /** `seq` of the newest entry: a cursor for `after`. */
  get lastSeq(): number {
    return this.#nextSeq - 1
  }

  *entries(after = 0): Generator<JournalEntry> {
    for (let seq = Math.max(after + 1, this.#firstSeq); seq < this.#nextSeq; seq++) yield this.#at(seq)
  }

  /** Oldest first, at most `limit`. */
  query(filter: JournalFilter, limit = Infinity): JournalEntry[] {
    const found: JournalEntry[] = []
    for (const entry of this.entries(filter.after)) {
      if (found.length >= limit) break
      if (matches(entry, filter)) found.push(entry)
    }
    return found
  }

  /** The newest `limit` matches, oldest first. */
  latest(filter: JournalFilter, limit: number): JournalEntry[] {
    const found: JournalEntry[] = []
    const first = Math.max(this.#firstSeq, (filter.after ?? 0) + 1)
    for (let seq = this.#nextSeq - 1; seq >= first && found.length < limit; seq--) {
      const entry = this.#at(seq)
      if (matches(entry, filter)) found.push(entry)
    }
    return found.reverse()
  }

  count(filter: JournalFilter): number {
    let total = 0
    for (const entry of this.entries(filter.after)) if (matches(entry, filter)) total++
    return total
  }

  /** Accepted messages to customers in the order in which they were accepted. */
  sends(filter: Omit<JournalFilter, 'outcome' | 'target'> = {}): JournalEntry[] {
    return this.query({ ...filter, outcome: 'accepted' }).filter((entry) => entry.target.endsWith('.send'))
  }

  /** Callback data that more than one accepted message carried: each is a message that a customer got twice. */
  duplicates(filter: Omit<JournalFilter, 'outcome' | 'target'> = {}): Map<string, JournalEntry[]> {
    const groups = new Map<string, JournalEntry[]>()
    for (const entry of this.sends(filter)) {
      if (entry.callbackData === undefined) continue
      const group = groups.get(entry.callbackData)
      if (group) group.push(entry)
      else groups.set(entry.callbackData, [entry])
    }
    for (const [key, group] of groups) if (group.length < 2) groups.delete(key)
    return groups
  }

  /** Resolves with the first `count` entries (kept ones included) that satisfy `predicate`; rejects after `timeoutMs`. */
  waitForCount(predicate: (entry: JournalEntry) => boolean, count: number, timeoutMs: number, after = 0): Promise<JournalEntry[]> {
    const found: JournalEntry[] = []
    for (const entry of this.entries(after)) {
      if (found.length >= count) break
      if (predicate(entry)) found.push(entry)
    }
    if (found.length >= count) return Promise.resolve(found)
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { predicate, found, count, resolve, timer: setTimeout(() => this.#giveUp(waiter, timeoutMs, reject), timeoutMs) }
      this.#waiters.add(waiter)
    })
  }

  reset(): void {
    this.#ring.length = 0
    this.#firstSeq = this.#nextSeq
  }

  /** Lets go of every waiter, so that a process can end. */
  close(): void {
    for (const waiter of this.#waiters) {
      clearTimeout(waiter.timer)
      waiter.resolve(waiter.found)
    }
    this.#waiters.clear()
  }

  #at(seq: number): JournalEntry {
    return this.#ring[seq % this.#options.capacity]!
  }

  #dropBody(seq: number): void {
    if (seq >= this.#firstSeq) delete this.#at(seq).body
  }

  #wake(entry: JournalEntry): void {
    for (const waiter of this.#waiters) {
      if (!waiter.predicate(entry)) continue
      waiter.found.push(entry)
      if (waiter.found.length < waiter.count) continue
      clearTimeout(waiter.timer)
      this.#waiters.delete(waiter)
      waiter.resolve(waiter.found)
    }
  }

  #giveUp(waiter: Waiter, timeoutMs: number, reject: (error: Error) => void): void {
    this.#waiters.delete(waiter)
    reject(new Error(`The journal saw ${waiter.found.length} of ${waiter.count} awaited entries within ${timeoutMs} ms`))
  }
}
