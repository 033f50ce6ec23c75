import { mulberry, type Clock } from '@trunkline/core'

/** Small, fast, seedable: the same seed gives the same run. */
export type Random = { /** 0 <= x < 1 */ next(): number; chance(p: number): boolean; between(low: number, high: number): number; pick<T>(from: readonly T[]): T }

export function createRandom(seed: number): Random {
  const next = mulberry(seed)
  const between = (low: number, high: number) => low + Math.floor(next() * (high - low + 1))
  return { next, between, chance: (p) => next() < p, pick: (from) => from[between(0, from.length - 1)]! }
}

type Event = { atMs: number; order: number; fn: () => void }

/** Time that moves only from event to event. */
export type Scheduler = {
  nowMs(): number
  at(atMs: number, fn: () => void): void
  /** Runs events until `done()` or until time passes `untilMs`. Promises settle between events. */
  run(untilMs: number, done: () => boolean): Promise<number>
}

export function createScheduler(startMs: number): Scheduler {
  const heap: Event[] = []
  let nowMs = startMs
  let order = 0
  const before = (a: Event, b: Event) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)

  function push(event: Event): void {
    heap.push(event)
    let at = heap.length - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(heap[at]!, heap[parent]!)) break
      ;[heap[at], heap[parent]] = [heap[parent]!, heap[at]!]
      at = parent
    }
  }

  function pop(): Event | undefined {
    const top = heap[0]
    const last = heap.pop()
    if (!top || !last || heap.length === 0) return top
    heap[0] = last
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let least = at
      if (left < heap.length && before(heap[left]!, heap[least]!)) least = left
      if (right < heap.length && before(heap[right]!, heap[least]!)) least = right
      if (least === at) return top
      ;[heap[at], heap[least]] = [heap[least]!, heap[at]!]
      at = least
    }
  }

  return {
    nowMs: () => nowMs,
    at: (atMs, fn) => push({ atMs: Math.max(atMs, nowMs), order: order++, fn }),
    async run(untilMs, done) {
      let events = 0
      while (!done()) {
        const event = pop()
        if (!event || event.atMs > untilMs) break
        nowMs = event.atMs
        event.fn()
        events += 1
        // Chains of promises that this event has set off run on; one that is longer goes on with the next event.
        for (let turn = 0; turn < 12; turn++) await Promise.resolve()
      }
      return events
    },
  }
}

/** A worker process: it can freeze (SIGSTOP) and die (kill -9). Nothing reaches it then; what it sent before is on its way. */
export type Machine = { alive: boolean; frozenUntilMs: number; skewMs: number }

/** Runs `fn` in the machine at that time: later when it is frozen, never when it is dead. */
export function deliver(scheduler: Scheduler, machine: Machine, atMs: number, fn: () => void): void {
  scheduler.at(atMs, () => {
    if (!machine.alive) return
    if (machine.frozenUntilMs > scheduler.nowMs()) deliver(scheduler, machine, machine.frozenUntilMs, fn)
    else fn()
  })
}

/** How much of a millisecond the clock moves from one look to the next. */
const LOOK_MS = 0.3
/** setTimeout counts from the loop's own time: by the wall clock it may fire up to this much early. */
const EARLY_MS = 0.9

/** A clock as real ones are: it moves between two looks of the same piece of code, and its alarms are a little early. */
export function machineClock(scheduler: Scheduler, machine: Machine): Clock {
  let last = { atMs: -1, looks: 0 }
  return {
    nowMs() {
      const atMs = scheduler.nowMs()
      last = last.atMs === atMs ? { atMs, looks: Math.min(last.looks + 1, 3) } : { atMs, looks: 0 }
      return atMs + machine.skewMs + last.looks * LOOK_MS
    },
    after(delayMs, fn) {
      let live = true
      deliver(scheduler, machine, scheduler.nowMs() + Math.max(Math.min(delayMs, EARLY_MS / 2), delayMs - EARLY_MS), () => live && fn())
      return () => (live = false)
    },
  }
}
