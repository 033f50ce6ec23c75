import type { Clock, Id } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { watchChannel, WATCHED_KEY, type EventLimits } from './keys.ts'

export type Watched = {
  /** Whether somebody listens. True also while that is not known. */
  has(tenantId: Id): boolean
  /** Those who are listened to, as far as that is known. */
  all(): Iterable<Id>
  /** What this process itself has begun needs no news. */
  add(tenantId: Id): void
  /** Resolves when the first answer is there, or after `waitMs` without one. */
  ready(waitMs: number): Promise<void>
  close(): void
}

const RECOVER_MS = 500
const RECONNECT_MAX_MS = 1_000

/**
 * What a publisher knows of who listens: asked at the start, told of every new watch, asked again from time to time. While the
 * line to Redis is down it does not know, and publishes everything (which then fails and becomes a gap) rather than nothing.
 */
export function createWatched(redis: Redis, clock: Clock, { refreshMs }: EventLimits): Watched {
  const channel = watchChannel(redis)
  const line = redis.duplicate({ autoResubscribe: false, enableAutoPipelining: false, lazyConnect: true, retryStrategy: (attempt: number) => Math.min(50 * attempt, RECONNECT_MAX_MS) })
  const first = Promise.withResolvers<void>()
  const life = { closed: false }
  let known: Set<Id> | null = null
  let cancel = () => {}

  /** What is told while the question is under way is not forgotten by its answer. */
  async function ask(): Promise<void> {
    const told = new Set<Id>()
    const hear = (_channel: string, tenantId: string) => told.add(tenantId)
    line.on('message', hear)
    try {
      // A minute for clocks that differ: an entry too many costs a little, one too few costs events.
      await redis.zremrangebyscore(WATCHED_KEY, '-inf', String(clock.nowMs() - 60_000))
      const all = await redis.zrangebyscore(WATCHED_KEY, '-inf', '+inf')
      if (line.status === 'ready') known = new Set([...all, ...told])
      first.resolve()
    } finally {
      line.off('message', hear)
    }
  }

  function again(afterMs: number): void {
    cancel()
    if (life.closed) return
    cancel = clock.after(afterMs, () => void ask().then(() => again(refreshMs), () => again(RECOVER_MS)))
  }

  line.on('error', () => {})
  line.on('message', (_channel, tenantId) => known?.add(tenantId))
  line.on('close', () => (known = null))
  line.on('ready', () => {
    // Without the subscription an answer would be out of date unnoticed: a new line is tried instead.
    line.subscribe(channel).then(() => again(0), () => line.disconnect(true))
  })
  line.connect().catch(() => {})

  return {
    has: (tenantId) => known === null || known.has(tenantId),
    all: () => known ?? [],
    add: (tenantId) => void known?.add(tenantId),
    ready: (waitMs) => Promise.race([first.promise, new Promise<void>((giveUp) => void setTimeout(giveUp, waitMs).unref())]),
    close() {
      life.closed = true
      cancel()
      line.disconnect()
    },
  }
}
