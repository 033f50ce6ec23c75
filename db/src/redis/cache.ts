import type { Redis } from 'ioredis'

/** A read-through JSON cache. Values must survive JSON: no Dates, no bigints. */
export type Cache = {
  /**
   * The value under `tenantId`/`key`, or what `load` gives (kept `ttlMs`, 5 minutes by default, with jitter). Concurrent
   * misses of this process load once. `undefined` from `load` is not kept. Redis away: `load` every time.
   */
  read<T>(tenantId: string, key: string, load: () => Promise<T>, options?: { ttlMs?: number }): Promise<T>
  /** Call after the transaction that changed the truth has committed. */
  invalidate(tenantId: string, ...keys: string[]): Promise<void>
}

export function createCache(redis: Redis): Cache {
  const loading = new Map<string, Promise<unknown>>()
  const name = (tenantId: string, key: string) => `cache:${tenantId}:${key}`
  return {
    async read<T>(tenantId: string, key: string, load: () => Promise<T>, options: { ttlMs?: number } = {}): Promise<T> {
      const full = name(tenantId, key)
      const cached = await redis.get(full).catch(() => null)
      if (cached !== null) return JSON.parse(cached) as T
      const running = loading.get(full)
      if (running) return running as Promise<T>
      const promise = load().then(async (value) => {
        const ttlMs = Math.round((options.ttlMs ?? 300_000) * (1 + Math.random()))
        if (value !== undefined) await redis.set(full, JSON.stringify(value), 'PX', ttlMs).catch(() => {})
        return value
      }).finally(() => loading.delete(full))
      loading.set(full, promise)
      return promise
    },
    async invalidate(tenantId, ...keys) {
      for (const key of keys) loading.delete(name(tenantId, key))
      if (keys.length > 0) await redis.del(keys.map((key) => name(tenantId, key))).catch(() => {})
    },
  }
}
