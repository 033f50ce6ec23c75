import type { Clock, Logger } from '@trunkline/core'
import type { Redis } from 'ioredis'
import type { Keyring } from '../seal.ts'
import { EVENT_LIMITS, type EventLimits } from './keys.ts'
import { createPublisher, type Publisher } from './publisher.ts'
import { createEventStream, type EventStream } from './stream.ts'
import { createRoll } from './roll.ts'
import { createWatched } from './watched.ts'

export type EventBusDeps = {
  redis: Redis
  keyring: Keyring
  clock: Clock
  log: Logger
}

/** News of a tenant from any process to any process. One for each process; it has one more connection to Redis of its own. */
export type EventBus = Omit<Publisher, 'close' | 'missed'> & EventStream & {
  /** Resolves when it is known who listens, or after `waitMs`. Until then everything is published. */
  ready(waitMs: number): Promise<void>
  /** Tells what is left, for a second at most. */
  close(): Promise<void>
}

const CLOSE_MS = 1_000

export function createEventBus({ redis, keyring, clock, log }: EventBusDeps, options: Partial<EventLimits> = {}): EventBus {
  const limits = { ...EVENT_LIMITS, ...options }
  const watched = createWatched(redis, clock, limits)
  const publisher = createPublisher({ redis, prefix: redis.options.keyPrefix ?? '', keyring, clock, log, watched }, limits)
  const stream = createEventStream(redis, keyring, limits)
  const roll = createRoll(redis, clock, limits, () => {
    log.warn({}, 'a process has gone without a word: what it did last may not have been told')
    publisher.missed()
  })
  return {
    ...publisher,
    ...stream,
    async watch(tenantId) {
      const watch = await stream.watch(tenantId)
      watched.add(tenantId)
      return watch
    },
    ready: (waitMs) => watched.ready(waitMs),
    async close() {
      publisher.close()
      await Promise.race([publisher.idle().then(() => roll.leave()), new Promise<void>((giveUp) => void setTimeout(giveUp, CLOSE_MS).unref())])
      watched.close()
    },
  }
}
