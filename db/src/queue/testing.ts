import { AppError, newId, systemClock, silentLogger, type Id, type InboundMessage } from '@trunkline/core'
import { afterAll, beforeAll } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../../tests/harness/database.ts'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { connectRedis, redisReady } from '../redis/connect.ts'
import { createKeyring } from '../seal.ts'
import { connectDb, type Db } from '../tenancy.ts'
import type { QueuedTurn, TurnHandler } from './contract.ts'
import { createDrainer, type DrainerOptions } from './drainer.ts'
import { createLane, retireTurns } from './lanes.ts'
import type { NumberRef } from './log-rows.ts'
import type { LaneSettings } from './order.ts'

export const keyring = createKeyring(['a test secret of at least 32 characters'])
export const deps = { keyring, clock: systemClock, log: silentLogger }
export type Place = { db: Db; redis: ReturnType<typeof connectRedis>; redisUrl: string; prefix: string; tenantId: Id; projectId: Id }

/** A database and a Redis of the test file, with one tenant. Filled in before the first test. */
export function queuePlace(): Place {
  const place = {} as Place
  let database: FreshDatabase
  beforeAll(async () => {
    database = await freshDatabase()
    const { url, prefix } = freshRedis()
    const [tenantId, projectId] = [newId(), newId()]
    Object.assign(place, { db: connectDb({ url: database.url, secret: TEST_SECRET, maxConnections: 20 }), redis: connectRedis({ url, prefix }), redisUrl: url, prefix, tenantId, projectId })
    await redisReady(place.redis, 5_000)
    await place.db.system('test', async (tx) => {
      await tx.query('INSERT INTO tenants (id, name) VALUES ($1, $2)', [tenantId, 'Test'])
      await tx.query("INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $2, 'p', 'production')", [projectId, tenantId])
    })
  })
  afterAll(async () => {
    place.redis.disconnect()
    await place.db.close()
    await database.drop()
  })
  return place
}

export async function makeNumbers({ db, tenantId, projectId }: Place, count: number, settings: Partial<LaneSettings> = {}): Promise<NumberRef[]> {
  const { orderMode = 'number', windowSize = 16, coalesceMs = 0, headDeadlineMs = 120_000 } = settings
  const numbers = Array.from({ length: count }, () => ({ id: newId(), tenantId }))
  await db.system('test', async (tx) => {
    await tx.query(
      `INSERT INTO phone_numbers (id, tenant_id, project_id, channel, address, name, credentials_sealed, order_mode, window_size, coalesce_ms, head_deadline_ms)
       SELECT id, $2, $3, 'whatsapp', id::text, 'n', '', $4, $5, $6, $7 FROM unnest($1::uuid[]) AS n(id)`,
      [numbers.map((number) => number.id), tenantId, projectId, orderMode, windowSize, coalesceMs, headDeadlineMs],
    )
    for (const number of numbers) await createLane(tx, tenantId, number.id)
  })
  return numbers
}

export const message = (id: string, from = '491', text = id): InboundMessage => ({
  kind: 'message',
  to: 'address',
  atMs: 1,
  providerMessageId: id,
  from: { identities: [{ kind: 'phone', value: from }] },
  content: { kind: 'text', text },
})

export type LaneRow = { next_seq: number; cursor_seq: number; ahead: number[]; epoch: number }
export async function laneOf(db: Db, numberId: Id): Promise<LaneRow> {
  const { rows } = await db.system('test', (tx) => tx.query<{ next_seq: string; cursor_seq: string; ahead: string[]; epoch: string }>('SELECT * FROM lanes WHERE number_id = $1', [numberId]))
  const row = rows[0]!
  return { next_seq: Number(row.next_seq), cursor_seq: Number(row.cursor_seq), ahead: row.ahead.map(Number), epoch: Number(row.epoch) }
}

/** What a handler did, in order, and a way to await that a number of messages is retired (of certain numbers: what an earlier test left may be drained, too). */
export type Diary = { sent: QueuedTurn[]; texts: string[]; parked: { turn: QueuedTurn; reason: string }[]; messages(count: number, timeoutMs?: number, of?: readonly NumberRef[]): Promise<void> }

/** Retires at once; `before` may fail or wait for a turn's step. */
export function diaryHandler(db: Db, before: { answer?: (turn: QueuedTurn, signal: AbortSignal) => Promise<void>; send?: (turn: QueuedTurn, signal: AbortSignal) => Promise<void> } = {}): { handler: TurnHandler; diary: Diary } {
  const listeners = new Set<() => void>()
  const done = new Map<Id, number>()
  const countOf = (ids: readonly Id[]) => ids.reduce((sum, id) => sum + (done.get(id) ?? 0), 0)
  const diary: Diary = {
    sent: [],
    texts: [],
    parked: [],
    messages: (count, timeoutMs = 8_000, of) =>
      new Promise((resolve, reject) => {
        const retired = () => countOf(of?.map((number) => number.id) ?? [...done.keys()])
        const timer = setTimeout(() => reject(new Error(`${retired()} of ${count} messages within ${timeoutMs} ms`)), timeoutMs)
        const look = () => {
          if (retired() < count) return
          clearTimeout(timer)
          listeners.delete(look)
          resolve()
        }
        listeners.add(look)
        look()
      }),
  }
  const retire = async (turn: QueuedTurn, then: () => void) => {
    const refused = await db.system('queue', (tx) => retireTurns(tx, [turn]))
    if (refused.size > 0) throw new AppError('fenced')
    then()
    done.set(turn.numberId, countOf([turn.numberId]) + turn.seqs.length)
    listeners.forEach((look) => look())
  }
  const textOf = (turn: QueuedTurn) => turn.items.map((item) => (item.message.content.kind === 'text' ? item.message.content.text : '?')).join('+')
  const handler: TurnHandler = {
    async answer(turn, signal) {
      await before.answer?.(turn, signal)
      return 'ready'
    },
    async send(turn, signal) {
      await before.send?.(turn, signal)
      await retire(turn, () => {
        diary.sent.push(turn)
        diary.texts.push(textOf(turn))
      })
      return 'retired'
    },
    park: (turn, reason) => retire(turn, () => void diary.parked.push({ turn, reason })),
  }
  return { handler, diary }
}

export function testDrainer({ db, redis }: Place, handler: TurnHandler, options: Partial<DrainerOptions> = {}) {
  return createDrainer({ db, redis, ...deps, handler, limits: { retryBaseMs: 20, retryMaxMs: 100, abortGraceMs: 50 }, ...options })
}
