import { silentLogger } from '@trunkline/core'
import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { createSchedule } from './schedule.ts'

/** Counts calls and lets a test wait for the n-th. */
function counter() {
  let count = 0
  const waiting: { at: number; resolve: () => void }[] = []
  return {
    run: async () => {
      count++
      for (const each of waiting) if (count >= each.at) each.resolve()
    },
    reached: (at: number) => new Promise<void>((resolve) => (count >= at ? resolve() : waiting.push({ at, resolve }))),
    get count() {
      return count
    },
  }
}

it('gives each tick to one of several processes and survives a failing run', async () => {
  const place = freshRedis()
  const ticks = counter()
  let running = 0
  let most = 0
  const job = {
    name: 'tick',
    everyMs: 50,
    async run() {
      running++
      most = Math.max(most, running)
      await ticks.run()
      running--
      if (ticks.count === 2) throw new Error('made to fail')
    },
  }
  const schedules = [0, 1].map(() => createSchedule({ redisUrl: place.url, prefix: place.prefix, jobs: [job], log: silentLogger }))
  await Promise.all(schedules.map((schedule) => schedule.start()))
  await ticks.reached(6)
  await Promise.all(schedules.map((schedule) => schedule.stop(1_000)))
  expect(most).toBe(1)
})

it('aborts what does not finish in time', async () => {
  const place = freshRedis()
  const started = Promise.withResolvers<AbortSignal>()
  const schedule = createSchedule({
    redisUrl: place.url,
    prefix: place.prefix,
    log: silentLogger,
    jobs: [{ name: 'slow', everyMs: 20, run: (signal) => (started.resolve(signal), new Promise((resolve) => signal.addEventListener('abort', () => resolve()))) }],
  })
  await schedule.start()
  const signal = await started.promise
  await schedule.stop(50)
  expect(signal.aborted).toBe(true)
})

it('keeps its keys under the prefix', async () => {
  const place = freshRedis()
  const ticks = counter()
  const schedule = createSchedule({ redisUrl: place.url, prefix: place.prefix, jobs: [{ name: 'tick', everyMs: 50, run: ticks.run }], log: silentLogger })
  await schedule.start()
  await ticks.reached(1)
  await schedule.stop(1_000)
  const redis = new Redis(place.url)
  const keys = await redis.keys(`${place.prefix}bull:*`)
  redis.disconnect()
  expect(keys.length).toBeGreaterThan(0)
})
