import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import { workerNumber } from './env.ts'

export interface FreshRedis {
  /** With the number of the database in its path. */
  url: string
  /** Put it before every key (and give it to BullMQ as `prefix`). Ends in a colon. */
  prefix: string
  /** The number of the database, the same as in the URL. */
  db: number
}

/**
 * A corner of the run's Redis. Two things keep tests apart:
 * - The prefix is unique for each call, so keys never meet.
 * - The database number is that of the vitest worker, which runs one file at a time. So files that run at the same
 *   moment are never in the same database, and a test may FLUSHDB to play a Redis that lost everything.
 * FLUSHALL, CONFIG SET and killing the server would hurt the others: start a server of your own for that (startRedis).
 */
export function freshRedis(): FreshRedis {
  const db = workerNumber % 16
  const url = new URL(inject('redisUrl'))
  url.pathname = `/${db}`
  return { url: url.href, prefix: `t${randomBytes(6).toString('hex')}:`, db }
}
