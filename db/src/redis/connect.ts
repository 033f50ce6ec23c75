import { AppError } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { clientOf, isDemoted } from './client.ts'

export type RedisOptions = {
  /** `redis://`, `rediss://` or `redis+sentinel://`, see `RedisUrl`. */
  url: string
  /** Put before every key, so that several installations (and tests) can share a server. Default `tl:`. */
  prefix?: string
  onError?: (error: Error) => void
}

/**
 * Commands that are gathered by ourselves: one of them carries what many ask for. A pipeline more around each waits for the one before it,
 * and keeps its memory until a full collection.
 */
const ALONE = ['rateCheck', 'mget']

/** A connection that fails fast: a command waits at most `commandTimeoutMs` and is not queued while Redis is away. */
export function connectRedis(options: RedisOptions & { commandTimeoutMs?: number }): Redis {
  const redis = clientOf(options.url, {
    keyPrefix: options.prefix ?? 'tl:',
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: options.commandTimeoutMs ?? 1_000,
    connectTimeout: 2_000,
    enableAutoPipelining: true,
    autoPipeliningIgnoredCommands: ALONE,
    retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
    reconnectOnError: isDemoted,
    lazyConnect: true,
  })
  redis.on('error', (error: Error) => options.onError?.(error))
  return redis
}

/** Resolves once the connection is usable. Throws AppError `unavailable` after `timeoutMs`. */
export async function redisReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(() => reject(new AppError('unavailable', { message: 'Redis does not answer.' })), timeoutMs)
  redis.once('ready', resolve)
  if (redis.status === 'wait' || redis.status === 'end') redis.connect().catch(() => {})
  await promise.finally(() => {
    clearTimeout(timer)
    redis.off('ready', resolve)
  })
}
