import { newId } from '@trunkline/core'
import type { Redis } from 'ioredis'

/** Which processes of a kind are alive, for arithmetic only (autoscaling): nothing depends on it being right. */
export type Presence = { /** Says that this process is alive and answers how many are. 1 while Redis is away. */ beat(): Promise<number> }

const ALIVE_MS = 15_000

export function createPresence(redis: Redis, kind: string): Presence {
  const key = `presence:${kind}`
  const me = newId()
  return {
    async beat() {
      const nowMs = Date.now()
      const results = await redis
        .multi()
        .zadd(key, nowMs, me)
        .zremrangebyscore(key, 0, nowMs - ALIVE_MS)
        .zcard(key)
        .exec()
        .catch(() => null)
      const count = Number(results?.[2]?.[1] ?? 1)
      return Math.max(1, count)
    },
  }
}
