import type { Redis } from 'ioredis'

/** A read-through JSON cache. Values must survive JSON: no Dates, no bigints. */
export type Cache = {
  /**
   * The value under `tenantId`/`key`, or what `load` gives (kept `ttlMs`, 5 minutes by default, up to twice that: spread, so that
   * what was filled together does not expire together). Concurrent misses of this process load once. `undefined` from `load` is
   * not kept. Redis away: `load` every time.
   */
  read<T>(tenantId: string, key: string, load: () => Promise<T>, options?: { ttlMs?: number }): Promise<T>
  /**
   * Call after the transaction that changed the truth has committed. A `read` that begins afterwards sees the change in every
   * process; one that was under way cannot put the old value back.
   */
  invalidate(tenantId: string, ...keys: string[]): Promise<void>
}

const TTL_MS = 300_000

/** How long an invalidation is remembered: longer than any load may take. */
const MARK_MS = 60_000

// An invalidation leaves a mark, and a value is only stored if the mark is the one from before its load.
const STORE = `
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`

export function createCache(redis: Redis): Cache {
  const loading = new Map<string, Promise<unknown>>()
  const valueKey = (tenantId: string, key: string) => `cache:${tenantId}:${key}`
  const markKey = (tenantId: string, key: string) => `cache-mark:${tenantId}:${key}`

  async function fill<T>(name: string, mark: string, markBefore: string | null, load: () => Promise<T>, ttlMs: number): Promise<T> {
    const value = await load()
    if (value === undefined || markBefore === null) return value
    const spread = Math.round(ttlMs * (1 + Math.random()))
    await redis.eval(STORE, 2, name, mark, JSON.stringify(value), spread, markBefore).catch(() => {})
    return value
  }

  return {
    async read<T>(tenantId: string, key: string, load: () => Promise<T>, options: { ttlMs?: number } = {}): Promise<T> {
      const [name, mark] = [valueKey(tenantId, key), markKey(tenantId, key)]
      const found = await redis.mget(name, mark).catch(() => null)
      if (typeof found?.[0] === 'string') return JSON.parse(found[0]) as T
      const running = loading.get(name)
      if (running !== undefined) return running as Promise<T>
      const started = fill(name, mark, found === null ? null : (found[1] ?? ''), load, options.ttlMs ?? TTL_MS).finally(() => {
        if (loading.get(name) === started) loading.delete(name)
      })
      loading.set(name, started)
      return started
    },
    async invalidate(tenantId, ...keys) {
      for (const key of keys) loading.delete(valueKey(tenantId, key))
      const work = redis.multi()
      for (const key of keys) work.del(valueKey(tenantId, key)).set(markKey(tenantId, key), crypto.randomUUID(), 'PX', MARK_MS)
      if (keys.length > 0) await work.exec().catch(() => {})
    },
  }
}
