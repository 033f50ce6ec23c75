import type { Clock, Id, Logger } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { createGate, type Depth } from '../redis/gate.ts'
import { createReadySet, queueKey } from '../redis/ready.ts'
import type { Db, Tx } from '../tenancy.ts'

export type SweeperOptions = {
  db: Db
  redis: Redis
  clock: Clock
  log: Logger
  /** Default 2,000. */
  everyMs?: number
  /** As the acceptor's. */
  capacity?: number
  /** Called after each sweep of this process: for polls that belong to the same rhythm. */
  onSweep?: () => void
}
export type SweepReport = { waiting: number; waitingLanes: number; woken: number }
export type Sweeper = {
  start(): void
  stop(): Promise<void>
  /** One sweep now, whoever's turn it is. */
  sweep(): Promise<SweepReport>
  /** Sums over this process's sweeps, and what the last one found. */
  stats(): { sweeps: number; woken: number; corrected: number; last: SweepReport | null }
}

/** No accept outlives this (statement and transaction time-outs are shorter): room that is still pending then is nobody's. */
const PENDING_DEAD_MS = 60_000

/**
 * Makes good whatever Redis lost: numbers that have messages and neither owner nor place in the ready set are woken, and
 * the count of waiting messages is set to what Postgres says. One process at a time, by a key in Redis that lives one beat.
 */
export function createSweeper({ db, redis, clock, log, everyMs = 2_000, capacity = 100_000, onSweep }: SweeperOptions): Sweeper {
  const ready = createReadySet(redis)
  const gate = createGate(redis)
  const totals = { sweeps: 0, woken: 0, corrected: 0 }
  let last: SweepReport | null = null
  let quiet: { changes: string; sinceMs: number } = { changes: '', sinceMs: 0 }
  let cancel: (() => void) | null = null
  let running: Promise<unknown> = Promise.resolve()
  let stopped = false

  async function sweep(): Promise<SweepReport> {
    const before = await gate.depth()
    const lanes = await db.system('queue', waitingLanes)
    const waiting = lanes.reduce((sum, lane) => sum + lane.waiting, 0)
    const woken = await ready.wakeIdle(lanes.map((lane) => lane.numberId))
    if (await gate.correct(waiting, before, { slack: Math.max(1_000, capacity / 100), force: pendingIsDead(before) })) totals.corrected += 1
    totals.sweeps += 1
    totals.woken += woken
    last = { waiting, waitingLanes: lanes.length, woken }
    return last
  }

  function pendingIsDead(before: Depth | null): boolean {
    if (before === null || before.changes !== quiet.changes) quiet = { changes: before?.changes ?? '', sinceMs: clock.nowMs() }
    return clock.nowMs() - quiet.sinceMs > PENDING_DEAD_MS
  }

  async function beat(): Promise<void> {
    const mine = await redis.set(queueKey('sweep'), '1', 'PX', Math.ceil(everyMs * 0.9), 'NX')
    if (mine === 'OK') await sweep()
  }

  function schedule(): void {
    cancel = clock.after(everyMs, () => {
      running = beat()
        .catch((error: unknown) => log.warn({ error }, 'the queue could not be swept'))
        .finally(() => {
          onSweep?.()
          if (!stopped) schedule()
        })
    })
  }

  return {
    start: schedule,
    async stop() {
      stopped = true
      cancel?.()
      await running
    },
    sweep,
    stats: () => ({ ...totals, last }),
  }
}

/** The lanes where something waits. Reads the whole small table: an index on what moves would cost every retirement its HOT update. */
async function waitingLanes(tx: Tx): Promise<{ numberId: Id; waiting: number }[]> {
  const { rows } = await tx.query<{ number_id: Id; waiting: string }>(
    'SELECT number_id, next_seq - 1 - cursor_seq - cardinality(ahead) AS waiting FROM lanes WHERE next_seq - 1 > cursor_seq + cardinality(ahead)',
  )
  return rows.map((row) => ({ numberId: row.number_id, waiting: Number(row.waiting) }))
}

export type QueueDepth = { waiting: number; waitingLanes: number; /** 0 when nothing waits. */ oldestAgeMs: number }

/** For metrics: what waits, from the truth. The message after the cursor is never retired, so it is its lane's oldest. */
export async function queueDepth(db: Db): Promise<QueueDepth> {
  const { rows } = await db.system('queue', (tx) =>
    tx.query<{ waiting: string; lanes: string; age_ms: number }>(
      `SELECT coalesce(sum(l.next_seq - 1 - l.cursor_seq - cardinality(l.ahead)), 0) AS waiting, count(*) AS lanes,
         coalesce(extract(epoch FROM now() - min(i.received_at)) * 1000, 0)::float8 AS age_ms
       FROM lanes l LEFT JOIN LATERAL (SELECT received_at FROM inbox WHERE number_id = l.number_id AND seq = l.cursor_seq + 1) i ON true
       WHERE l.next_seq - 1 > l.cursor_seq + cardinality(l.ahead)`,
    ),
  )
  const row = rows[0]!
  return { waiting: Number(row.waiting), waitingLanes: Number(row.lanes), oldestAgeMs: Math.max(0, row.age_ms) }
}
