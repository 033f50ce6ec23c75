import type { Redis } from 'ioredis'

/** A token bucket: `burst` at once, then `perSecond`. */
export type Bucket = { key: string; perSecond: number; burst: number }

export type Buckets = {
  /** Takes one token of every bucket, or of none. 0: taken; otherwise milliseconds until all of them have one. */
  take(buckets: Bucket[]): Promise<number>
  /** Halves a bucket's rate for a while: the supplier said that we are too fast. */
  shrink(key: string, forMs: number): Promise<void>
}

// Generic cell rate algorithm: one number per bucket, the theoretical arrival time. Redis' own clock, so that processes agree.
// KEYS bucket and shrink-mark pairs   ARGV per bucket: interval in ms, burst   -> milliseconds to wait (0: taken)
const TAKE = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local wait = 0
local arrivals = {}
for i = 1, #KEYS / 2 do
  local interval = tonumber(ARGV[i * 2 - 1])
  local burst = tonumber(ARGV[i * 2])
  if redis.call('EXISTS', KEYS[i * 2]) == 1 then interval = interval * 2 end
  local arrival = math.max(now, tonumber(redis.call('GET', KEYS[i * 2 - 1]) or '0'))
  wait = math.max(wait, arrival - now - interval * (burst - 1))
  arrivals[i] = { arrival + interval, interval * burst }
end
if wait > 0 then return math.ceil(wait) end
for i = 1, #KEYS / 2 do
  redis.call('SET', KEYS[i * 2 - 1], string.format('%.3f', arrivals[i][1]), 'PX', math.ceil(arrivals[i][2] + 1000))
end
return 0`

/** While Redis is away each process keeps its own buckets: still bounded, only not shared. */
export function createBuckets(redis: Redis): Buckets {
  redis.defineCommand('bucketsTake', { lua: TAKE })
  const command = redis as Redis & { bucketsTake(count: number, ...keysAndArguments: (string | number)[]): Promise<number> }
  const local = new Map<string, number>()

  function takeLocal(buckets: Bucket[]): number {
    const now = performance.now()
    const arrivals = buckets.map((bucket) => Math.max(now, local.get(bucket.key) ?? 0))
    const wait = Math.max(0, ...buckets.map((bucket, index) => arrivals[index]! - now - (1000 / bucket.perSecond) * (bucket.burst - 1)))
    if (wait > 0) return Math.ceil(wait)
    if (local.size > 50_000) local.clear()
    buckets.forEach((bucket, index) => local.set(bucket.key, arrivals[index]! + 1000 / bucket.perSecond))
    return 0
  }

  return {
    async take(buckets) {
      const keys = buckets.flatMap((bucket) => [`bucket:${bucket.key}`, `bucket-slow:${bucket.key}`])
      const settings = buckets.flatMap((bucket) => [1000 / bucket.perSecond, bucket.burst])
      return command.bucketsTake(keys.length, ...keys, ...settings).catch(() => takeLocal(buckets))
    },
    async shrink(key, forMs) {
      await redis.set(`bucket-slow:${key}`, '1', 'PX', forMs).catch(() => {})
    },
  }
}
