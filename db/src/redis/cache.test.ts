import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { connectRedis, createCache, type Cache, type Redis } from '../index.ts'

let redis: Redis
let caches: [Cache, Cache]
beforeAll(async () => {
  redis = connectRedis(freshRedis())
  await redis.connect()
  caches = [createCache(redis), createCache(redis)]
})
afterAll(() => redis.disconnect())

const counted = <T>(value: T) => {
  const load = () => Promise.resolve((load.calls++, value))
  load.calls = 0
  return load
}

describe('the cache', () => {
  it('loads once for many readers of two processes, null included', async () => {
    for (const [key, value] of [['once', { a: 1 }], ['nothing', null]] as const) {
      const load = counted(value)
      await Promise.all(Array.from({ length: 50 }, () => caches[0].read('t', key, load)))
      expect(await caches[1].read('t', key, load)).toEqual(value)
      expect(load.calls).toBe(1)
    }
  })

  it('keeps tenants apart', async () => {
    await caches[0].read('t1', 'same', counted('one'))
    expect(await caches[0].read('t2', 'same', counted('two'))).toBe('two')
  })

  it('loads anew after an invalidation by another process', async () => {
    await caches[0].read('t', 'changed', counted('old'))
    await caches[1].invalidate('t', 'changed')
    expect(await caches[0].read('t', 'changed', counted('new'))).toBe('new')
  })

  it('does not let a slow load put the old value back', async () => {
    const { promise, resolve } = Promise.withResolvers<string>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const slow = caches[0].read('t', 'race', () => (begin(), promise))
    await begun
    await caches[1].invalidate('t', 'race')
    resolve('old')
    expect(await slow).toBe('old')
    expect(await caches[0].read('t', 'race', counted('new'))).toBe('new')
  })

  it('does not keep failures or undefined, and keeps the rest for a spread time', async () => {
    await expect(caches[0].read('t', 'fails', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await caches[0].read('t', 'fails', counted('yes'))).toBe('yes')
    await caches[0].read('t', 'void', counted(undefined))
    expect(await redis.exists('cache:t:void')).toBe(0)
    await caches[0].read('t', 'ttl', counted(1), { ttlMs: 10_000 })
    const ttlMs = await redis.pttl('cache:t:ttl')
    expect(ttlMs).toBeGreaterThan(9_000)
    expect(ttlMs).toBeLessThanOrEqual(20_000)
  })

  it('loads every time while Redis is away', async () => {
    const away = connectRedis({ url: 'redis://127.0.0.1:1' })
    const load = counted(1)
    const cache = createCache(away)
    await cache.read('t', 'k', load)
    await cache.read('t', 'k', load)
    expect(load.calls).toBe(2)
    await cache.invalidate('t', 'k')
    away.disconnect()
  })
})
