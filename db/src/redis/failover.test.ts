import { newId, silentLogger } from '@trunkline/core'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { noSentinels, openWatchedRedis, type WatchedRedis } from '../../../tests/harness/sentinels.ts'
import { createSchedule, type Schedule } from '../jobs/schedule.ts'
import { createBell, type Bell } from './bell.ts'
import { connectRedis, redisReady } from './connect.ts'
import { createLeaseBook } from './lease.ts'
import { createReadySet } from './ready.ts'

// The master goes; whoever was connected finds the next one by itself. With a flow on top: `npm run chaos -- fail-over`.

const WAIT = { timeout: 30_000, interval: 20 }
const prefix = 'watched:'

describe.skipIf(noSentinels !== null)(noSentinels === null ? 'Redis behind sentinels' : `Redis behind sentinels (skipped: ${noSentinels})`, { timeout: 90_000 }, () => {
  let watched: WatchedRedis
  let redis: ReturnType<typeof connectRedis>
  let blocking: ReturnType<typeof connectRedis>
  let bell: Bell
  let schedule: Schedule
  let ticks = 0
  const errors: Error[] = []

  beforeAll(async () => {
    watched = await openWatchedRedis()
    const place = { url: watched.url, prefix, onError: (error: Error) => void errors.push(error) }
    redis = connectRedis(place)
    blocking = connectRedis({ ...place, commandTimeoutMs: 10_000 })
    await Promise.all([redis, blocking].map((connection) => redisReady(connection, 10_000)))
    bell = createBell(redis, place)
    schedule = createSchedule({ redisUrl: watched.url, prefix, log: silentLogger, jobs: [{ name: 'tick', everyMs: 50, run: async () => void ticks++ }] })
    await schedule.start()
  }, 90_000)
  afterAll(async () => {
    await schedule?.stop(1_000)
    bell?.close()
    redis?.disconnect()
    blocking?.disconnect()
    await watched?.close()
  })
  beforeEach(() => {
    errors.length = 0
  })

  /** Everything that a process keeps open: commands, a blocking read, two kinds of subscriptions, periodic jobs. */
  async function works(): Promise<void> {
    await vi.waitFor(() => redis.set('written', newId()), WAIT)
    const ready = createReadySet(redis, blocking)
    const numberId = newId()
    await vi.waitFor(async () => {
      expect(await Promise.all([ready.take(5_000), ready.wake([numberId])])).toEqual([numberId, undefined])
    }, WAIT)
    const rung = Promise.withResolvers<string>()
    const stop = bell.listen(`topic:${numberId}`, rung.resolve)
    await vi.waitFor(async () => {
      bell.ring(`topic:${numberId}`, 'hello')
      expect(await Promise.race([rung.promise, new Promise((resolve) => setImmediate(resolve))])).toBe('hello')
    }, WAIT)
    stop()
    const before = ticks
    await vi.waitFor(() => expect(ticks).toBeGreaterThan(before + 2), WAIT)
  }

  it('works', works)

  it.each(['kill', 'freeze', 'ask'] as const)('works on when the master is lost (%s), and says what was missed', async (loss) => {
    const leases = createLeaseBook(redis)
    const [owner, numberId] = [newId(), newId()]
    const news: (string | null)[] = []
    const deaf = await leases.listen(owner, (each) => news.push(each?.numberId ?? null))
    const before = await watched.masterPort()
    const heard = news.length
    await watched.failOver(loss)
    expect(await watched.masterPort()).not.toBe(before)
    await works()
    // The line is new: what was said meanwhile may be missing.
    await vi.waitFor(() => expect(news.length).toBeGreaterThan(heard), WAIT)
    expect(news.at(-1)).toBeNull()
    const ready = createReadySet(redis)
    await ready.wake([numberId])
    await ready.claim(owner, 10_000, 10, [])
    await ready.wake([numberId])
    await vi.waitFor(() => expect(news).toContain(numberId), WAIT)
    deaf()
  })
})
