import { setTimeout as delay } from 'node:timers/promises'
import { AppError, type Logger } from '@trunkline/core'
import { Queue, Worker, type Job } from 'bullmq'
import type { Redis } from 'ioredis'
import { clientOf, isDemoted } from '../redis/client.ts'

export type PeriodicJob = {
  name: string
  everyMs: number
  /** Runs in one process at a time. A failure is logged and the next tick comes anyway. */
  run(signal: AbortSignal): Promise<void>
}

export type Schedule = {
  start(): Promise<void>
  /** Lets running jobs finish up to `deadlineMs`, then aborts them. */
  stop(deadlineMs: number): Promise<void>
}

/** Job schedulers live in Redis only; a Redis that lost everything gets them back within this time. */
const REINSTATE_MS = 30_000

/** ioredis: reconnect, then send the same command again. The server has refused it, so nothing happens twice. */
const ASK_AGAIN = 2

/**
 * Periodic work over all worker processes: BullMQ gives each tick to exactly one of them. Ticks carry no data:
 * what is due is read from Postgres, so a lost tick delays work and never loses it.
 */
export function createSchedule(options: { redisUrl: string; prefix: string; jobs: PeriodicJob[]; log: Logger }): Schedule {
  const { jobs, log } = options
  const byName = new Map(jobs.map((job) => [job.name, job]))
  // BullMQ waits for Redis without limit on its own connections, as it asks (maxRetriesPerRequest: null).
  const connection = () => quiet(clientOf(options.redisUrl, { maxRetriesPerRequest: null, retryStrategy: (attempt) => Math.min(100 * attempt, 2_000), reconnectOnError: (error) => (isDemoted(error) ? ASK_AGAIN : false) }))
  const connections = [connection(), connection()] as const
  const shape = { prefix: `${options.prefix.replace(/:$/, '')}:bull` }
  const queue = new Queue('schedule', { connection: connections[0], ...shape, defaultJobOptions: { removeOnComplete: true, removeOnFail: 100 } })
  const aborter = new AbortController()
  let worker: Worker | undefined
  let timer: NodeJS.Timeout | undefined
  queue.on('error', () => {})

  async function reinstate(): Promise<void> {
    await Promise.all(jobs.map((job) => queue.upsertJobScheduler(job.name, { every: job.everyMs }, { name: job.name })))
  }

  async function run(job: Job): Promise<void> {
    try {
      await byName.get(job.name)?.run(aborter.signal)
    } catch (error) {
      log.error({ job: job.name, error: error instanceof AppError ? error.code : error }, 'periodic job failed')
    }
  }

  return {
    async start() {
      await reinstate()
      timer = setInterval(() => void reinstate().catch(() => {}), REINSTATE_MS)
      worker = new Worker('schedule', run, { connection: connections[1], ...shape, concurrency: jobs.length })
      worker.on('error', () => {})
      await worker.waitUntilReady()
    },
    async stop(deadlineMs) {
      clearInterval(timer)
      const deadline = new AbortController()
      await Promise.race([worker?.close(), delay(deadlineMs, undefined, { signal: deadline.signal }).catch(() => {})])
      deadline.abort()
      aborter.abort()
      await worker?.close(true).catch(() => {})
      await queue.close().catch(() => {})
      for (const each of connections) each.disconnect()
    },
  }
}

function quiet(redis: Redis): Redis {
  // Reconnection is ioredis' own; without a listener an error event would end the process.
  redis.on('error', () => {})
  return redis
}
