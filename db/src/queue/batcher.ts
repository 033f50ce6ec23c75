/** What one item became; an `Error` fails that item's caller only. */
export type BatchResult<Result> = Result | Error

export type BatcherOptions<Item, Result> = {
  /** Results in the order of the items. A throw fails all of them (see `isolate`). */
  run(items: readonly Item[]): Promise<readonly BatchResult<Result>[]>
  /** Largest sum of weights in one run. An item that is heavier alone runs alone. */
  maxSize: number
  maxInFlight: number
  /** Default 1 each. */
  weigh?: (item: Item) => number
  /** How long after the start of a run the next one starts at the earliest, to fill up; a full one does not wait. Default 0. Alone, an item waits for nothing. */
  restMs?: number
  /** True for a failure that may be one item's own fault: the items are then run one by one. */
  isolate?: (error: unknown) => boolean
  after?: (delayMs: number, fn: () => void) => void
  nowMs?: () => number
}

export type Batcher<Item, Result> = {
  add(item: Item): Promise<Result>
  /** Items that wait or run. */
  size(): number
  /** Resolves when nothing waits or runs. */
  idle(): Promise<void>
}

type Entry<Item, Result> = { item: Item; resolve(result: Result): void; reject(error: unknown): void }

/**
 * Group commit: what is asked for while a run is under way goes together into the next one. Alone, an item waits for
 * nothing; under load the batches grow by themselves.
 */
export function createBatcher<Item, Result>(options: BatcherOptions<Item, Result>): Batcher<Item, Result> {
  const after = options.after ?? ((delayMs: number, fn: () => void) => void (delayMs === 0 ? setImmediate(fn) : setTimeout(fn, delayMs)))
  const weigh = options.weigh ?? (() => 1)
  const nowMs = options.nowMs ?? (() => performance.now())
  const restMs = options.restMs ?? 0
  let startedAtMs = -Infinity
  let waiting: Entry<Item, Result>[] = []
  let waitingWeight = 0
  let inFlight = 0
  let running = 0
  let idlers: (() => void)[] = []
  /** The start that is to come; a later, more urgent one makes it void. */
  let planned: { waits: boolean } | null = null

  function schedule(): void {
    if (waiting.length === 0 || inFlight >= options.maxInFlight) return
    const restsMs = restMs === 0 || waitingWeight >= options.maxSize ? 0 : Math.max(0, startedAtMs + restMs - nowMs())
    if (planned && (!planned.waits || restsMs > 0)) return
    const plan = (planned = { waits: restsMs > 0 })
    // The next turn of the event loop and not this one: whatever else this one brings goes along.
    after(restsMs, () => {
      if (planned !== plan) return
      planned = null
      if (inFlight < options.maxInFlight && waiting.length > 0) void flush(take())
    })
  }

  function take(): Entry<Item, Result>[] {
    let weight = 0
    let count = 0
    for (const entry of waiting) {
      weight += weigh(entry.item)
      if (count > 0 && weight > options.maxSize) break
      count += 1
    }
    const batch = waiting.slice(0, count)
    waiting = waiting.slice(count)
    waitingWeight = waiting.reduce((sum, entry) => sum + weigh(entry.item), 0)
    return batch
  }

  async function flush(batch: Entry<Item, Result>[]): Promise<void> {
    if (restMs > 0) startedAtMs = nowMs()
    inFlight += 1
    running += batch.length
    schedule()
    await runBatch(batch)
    inFlight -= 1
    running -= batch.length
    schedule()
    if (running === 0 && waiting.length === 0) for (const idler of idlers.splice(0)) idler()
  }

  async function runBatch(batch: Entry<Item, Result>[]): Promise<void> {
    try {
      const results = await options.run(batch.map((entry) => entry.item))
      batch.forEach((entry, index) => deliver(entry, results[index]))
    } catch (error) {
      if (batch.length > 1 && options.isolate?.(error)) for (const entry of batch) await runBatch([entry])
      else for (const entry of batch) entry.reject(error)
    }
  }

  return {
    add(item) {
      const { promise, resolve, reject } = Promise.withResolvers<Result>()
      waiting.push({ item, resolve, reject })
      waitingWeight += weigh(item)
      schedule()
      return promise
    },
    size: () => waiting.length + running,
    idle() {
      if (running === 0 && waiting.length === 0) return Promise.resolve()
      return new Promise((resolve) => idlers.push(resolve))
    },
  }
}

function deliver<Item, Result>(entry: Entry<Item, Result>, result: BatchResult<Result> | undefined): void {
  if (result instanceof Error) entry.reject(result)
  else entry.resolve(result as Result)
}
