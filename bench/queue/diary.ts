/** One message of the load: the `place`-th one of its number, counted from 0. */
export type Errand = { number: number; place: number }

export const errands = (messages: number, numbers: number): Errand[] => Array.from({ length: messages }, (_, n) => ({ number: n % numbers, place: Math.floor(n / numbers) }))

/** One in twenty fails when it is tried first. */
const FAILS_EVERY = 20

export type Diary = {
  /** Throws when this is a first try that has to fail. */
  attempt(errand: Errand): void
  /** The errand is done for good. */
  done(errand: Errand): void
  finished: Promise<void>
  totals(): Totals
}
export type Totals = { done: number; doubled: number; failedFirst: number; /** Errands that were done before an earlier one of their number. */ outOfOrder: number }

/** The same handler for both queues: no work, some first tries that fail, and a record of what was done in which order. */
export function openDiary(messages: number, numbers: number): Diary {
  const finished = Promise.withResolvers<void>()
  const tried = new Set<number>()
  const seen = new Set<number>()
  const highest = new Int32Array(numbers).fill(-1)
  const totals: Totals = { done: 0, doubled: 0, failedFirst: 0, outOfOrder: 0 }
  const idOf = ({ number, place }: Errand) => place * numbers + number
  return {
    attempt(errand) {
      const id = idOf(errand)
      // A stride that shares no factor with the numbers, or the same numbers would fail every time.
      if ((id * 7 + errand.place) % FAILS_EVERY !== 0 || tried.has(id)) return
      tried.add(id)
      totals.failedFirst += 1
      throw new Error('the first try fails')
    },
    done(errand) {
      const id = idOf(errand)
      if (seen.has(id)) totals.doubled += 1
      seen.add(id)
      if (errand.place < highest[errand.number]!) totals.outOfOrder += 1
      highest[errand.number] = Math.max(highest[errand.number]!, errand.place)
      totals.done += 1
      if (seen.size === messages) finished.resolve()
    },
    finished: finished.promise,
    totals: () => ({ ...totals }),
  }
}

/** Gives every errand to `give`, in their order, `atOnce` of them under way. */
export async function giveAll(list: readonly Errand[], atOnce: number, give: (errand: Errand) => Promise<unknown>): Promise<void> {
  let next = 0
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < list.length) await give(list[next++]!)
  }))
}
