import { afterAll, beforeAll, expect, it } from 'vitest'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { createBuckets, type Buckets } from './buckets.ts'
import { connectRedis, redisReady } from './connect.ts'

const place = freshRedis()
const redis = connectRedis({ url: place.url, prefix: place.prefix })
let buckets: Buckets
beforeAll(async () => {
  await redisReady(redis, 5_000)
  buckets = createBuckets(redis)
})
afterAll(() => redis.disconnect())

it('lets a burst through and then says how long to wait', async () => {
  const pair = { key: 'pair:1', perSecond: 1 / 6, burst: 3 }
  const waits = [await buckets.take([pair]), await buckets.take([pair]), await buckets.take([pair]), await buckets.take([pair])]
  expect(waits.slice(0, 3)).toEqual([0, 0, 0])
  expect(waits[3]).toBeGreaterThan(5_000)
  expect(waits[3]).toBeLessThanOrEqual(6_000)
})

it('takes from all buckets or from none', async () => {
  const number = { key: 'number:2', perSecond: 80, burst: 2 }
  const pair = { key: 'pair:2', perSecond: 1, burst: 1 }
  expect(await buckets.take([number, pair])).toBe(0)
  expect(await buckets.take([number, pair])).toBeGreaterThan(0)
  expect(await buckets.take([number])).toBe(0)
})

it('is never exceeded by many takers at once', async () => {
  const bucket = { key: 'number:3', perSecond: 0.001, burst: 40 }
  const waits = await Promise.all(Array.from({ length: 200 }, () => buckets.take([bucket])))
  expect(waits.filter((wait) => wait === 0)).toHaveLength(40)
})

it('halves its rate after a shrink', async () => {
  const bucket = { key: 'number:4', perSecond: 1, burst: 1 }
  await buckets.shrink('number:4', 60_000)
  await buckets.take([bucket])
  expect(await buckets.take([bucket])).toBeGreaterThan(1_500)
})

it('goes on locally while Redis is away', async () => {
  const away = connectRedis({ url: 'redis://127.0.0.1:1', prefix: 'x:' })
  const lonely = createBuckets(away)
  const bucket = { key: 'n', perSecond: 0.001, burst: 2 }
  expect([await lonely.take([bucket]), await lonely.take([bucket])]).toEqual([0, 0])
  expect(await lonely.take([bucket])).toBeGreaterThan(0)
  away.disconnect()
})
