import { describe, expect, it } from 'vitest'
import { createBatcher } from './batcher.ts'

/** A run that ends when it is told to. */
function stage() {
  const runs: { items: number[]; end(): void }[] = []
  const run = (items: readonly number[]) => new Promise<number[]>((resolve) => runs.push({ items: [...items], end: () => resolve(items.map((item) => item * 10)) }))
  return { runs, run }
}
const tick = () => new Promise((resolve) => setImmediate(resolve))

describe('a batcher', () => {
  it('runs what comes together together and what comes meanwhile in the next batch', async () => {
    const { runs, run } = stage()
    const batcher = createBatcher<number, number>({ run, maxSize: 10, maxInFlight: 1 })
    const first = [1, 2].map((item) => batcher.add(item))
    await tick()
    const second = [3, 4, 5].map((item) => batcher.add(item))
    await tick()
    expect(runs.map(({ items }) => items)).toEqual([[1, 2]])
    runs[0]!.end()
    expect(await Promise.all(first)).toEqual([10, 20])
    await tick()
    expect(runs[1]!.items).toEqual([3, 4, 5])
    runs[1]!.end()
    expect(await Promise.all(second)).toEqual([30, 40, 50])
    await batcher.idle()
  })

  it('rests between the starts of two runs, but not before the first, not when idle and not when full', async () => {
    const { runs, run } = stage()
    let now = 0
    const alarms: { atMs: number; fn: () => void }[] = []
    const ring = (untilMs: number) => {
      now = untilMs
      for (const alarm of alarms.splice(0)) {
        if (alarm.atMs <= now) alarm.fn()
        else alarms.push(alarm)
      }
    }
    const batcher = createBatcher<number, number>({ run, maxSize: 4, maxInFlight: 9, restMs: 10, nowMs: () => now, after: (delayMs, fn) => void alarms.push({ atMs: now + delayMs, fn }) })
    void batcher.add(1)
    ring(0)
    void batcher.add(2)
    ring(9)
    expect(runs.map(({ items }) => items)).toEqual([[1]])
    void batcher.add(3)
    ring(10)
    expect(runs.map(({ items }) => items)).toEqual([[1], [2, 3]])
    for (const item of [4, 5, 6]) void batcher.add(item)
    ring(11)
    expect(runs).toHaveLength(2)
    void batcher.add(7)
    ring(11)
    expect(runs[2]!.items).toEqual([4, 5, 6, 7])
    ring(40)
    void batcher.add(8)
    ring(40)
    expect(runs[3]!.items).toEqual([8])
    runs.forEach((one) => one.end())
    await batcher.idle()
  })

  it('keeps to its size by weight and lets one heavy item run alone', async () => {
    const { runs, run } = stage()
    const batcher = createBatcher<number, number>({ run, maxSize: 10, maxInFlight: 10, weigh: (item) => item })
    const all = [4, 5, 6, 50].map((item) => batcher.add(item))
    for (let turn = 0; turn < 5; turn++) await tick()
    expect(runs.map(({ items }) => items)).toEqual([[4, 5], [6], [50]])
    runs.forEach((one) => one.end())
    await Promise.all(all)
  })

  it('fails only the item whose fault it is', async () => {
    const batcher = createBatcher<number, number>({
      maxSize: 10,
      maxInFlight: 1,
      isolate: () => true,
      run: async (items) => {
        if (items.includes(2)) throw new Error('bad item')
        return items.map((item) => (item === 3 ? new Error('refused') : item))
      },
    })
    const settled = await Promise.allSettled([1, 2, 3, 4].map((item) => batcher.add(item)))
    expect(settled.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as Error).message))).toEqual([1, 'bad item', 'refused', 4])
  })

  it('fails all when the failure is nobody\'s own', async () => {
    const batcher = createBatcher<number, number>({ maxSize: 10, maxInFlight: 1, isolate: () => false, run: () => Promise.reject(new Error('no database')) })
    expect((await Promise.allSettled([batcher.add(1), batcher.add(2)])).map((one) => one.status)).toEqual(['rejected', 'rejected'])
  })
})
