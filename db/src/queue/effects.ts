import type { Clock, Id, Logger } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { subscribe } from '../redis/lease.ts'
import type { Db, Tx } from '../tenancy.ts'

/** `ignored`: nothing of ours is meant. `waiting`: its message is not known yet, try again later. */
export type EffectOutcome = 'applied' | 'ignored' | 'waiting'
/** `payloadSealed`: the event (an `EffectEvent`) as JSON, sealed with the tenant's id. */
export type QueuedEffect = { id: number; tenantId: Id; numberId: Id; receivedAtMs: number; payloadSealed: Buffer }
export type EffectHandler = {
  /** In one transaction for all rows; an effect without an entry in the answer waits. A throw undoes all: they are then tried one by one. */
  apply(tx: Tx, rows: QueuedEffect[]): Promise<Map<number, EffectOutcome>>
}

export type EffectsPumpOptions = {
  db: Db
  /** Null: only polled. */
  redis: Redis | null
  clock: Clock
  log: Logger
  handler: EffectHandler
  /** Default 200. */
  batchSize?: number
  /** Looks without being woken, and again at what waits. Default 2,000. */
  pollMs?: number
  /** An effect whose message stays unknown this long is ignored. Default 10 minutes. */
  waitingForMs?: number
}
export type EffectsPump = {
  start(): Promise<void>
  stop(): Promise<void>
  /** Applies what is open now; resolves when nothing fresh is left. */
  pump(): Promise<void>
  stats(): { applied: number; ignored: number; waiting: number; failed: number }
}

type Row = { id: string; tenant_id: Id; number_id: Id; received_ms: number; payload_sealed: Buffer }
type Turn = 'fresh' | 'waiting'

const effectOf = (row: Row): QueuedEffect => ({ id: Number(row.id), tenantId: row.tenant_id, numberId: row.number_id, receivedAtMs: row.received_ms, payloadSealed: row.payload_sealed })

const ATTEMPTS_MAX = 5
// SKIP LOCKED: several workers share the work, none waits for another. Fresh and waiting rows are told apart by `outcome`.
const PICK = (which: Turn) => `
  SELECT id, tenant_id, number_id, (extract(epoch FROM received_at) * 1000)::float8 AS received_ms, payload_sealed FROM effects
  WHERE applied_at IS NULL AND outcome IS ${which === 'fresh' ? 'NULL' : 'NOT NULL'} AND id > $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED`
const CLOSE = `
  UPDATE effects e SET outcome = c.outcome, applied_at = CASE WHEN c.outcome = 'waiting' THEN NULL ELSE now() END
  FROM unnest($1::bigint[], $2::text[]) AS c(id, outcome) WHERE e.id = c.id`

/** Drains `effects`: everything that is not a customer's message. No order among them; handlers let a status only rise. */
export function createEffectsPump(options: EffectsPumpOptions): EffectsPump {
  const { db, redis, clock, log, handler, batchSize = 200, pollMs = 2_000, waitingForMs = 600_000 } = options
  const totals = { applied: 0, ignored: 0, waiting: 0, failed: 0 }
  const attempts = new Map<number, number>()
  let running: Promise<void> | null = null
  const life = { again: false, stopped: false }
  let cancel: (() => void) | null = null
  let unsubscribe: (() => void) | null = null

  /** One batch. Answers the highest id it saw and whether there may be more. */
  async function batch(which: Turn, afterId: number, size: number): Promise<{ lastId: number; more: boolean }> {
    return db.system('queue', async (tx) => {
      const { rows } = await tx.query<Row>(PICK(which), [afterId, size])
      if (rows.length > 0) await close(tx, rows, await handler.apply(tx, rows.map(effectOf)))
      return { lastId: Number(rows.at(-1)?.id ?? afterId), more: rows.length === size }
    })
  }

  async function close(tx: Tx, rows: Row[], outcomes: Map<number, EffectOutcome>): Promise<void> {
    const closed = rows.map((row) => {
      const outcome = outcomes.get(Number(row.id)) ?? 'waiting'
      return outcome === 'waiting' && clock.nowMs() - row.received_ms > waitingForMs ? 'ignored' : outcome
    })
    for (const outcome of closed) totals[outcome] += 1
    await tx.query(CLOSE, [rows.map((row) => row.id), closed])
  }

  async function drain(which: Turn): Promise<void> {
    for (let afterId = 0, more = true; more && !life.stopped; ) {
      try {
        ;({ lastId: afterId, more } = await batch(which, afterId, batchSize))
      } catch (error) {
        log.warn({ error }, 'effects could not be applied together; trying them one by one')
        const next = await oneByOne(which, afterId)
        if (next === null) return
        afterId = next
      }
    }
  }

  /** Finds the row that spoils a batch. Null: not even one can be tried (no database). */
  async function oneByOne(which: Turn, afterId: number): Promise<number | null> {
    for (let tried = 0; tried < batchSize; tried++) {
      try {
        const { lastId, more } = await batch(which, afterId, 1)
        if (!more) return lastId
        afterId = lastId
      } catch (error) {
        const id = await nextId(which, afterId)
        if (id === null) return null
        await countFailure(id, error)
        afterId = id
      }
    }
    return afterId
  }

  const nextId = async (which: Turn, afterId: number): Promise<number | null> => {
    const found = await db.system('queue', (tx) => tx.query<Row>(PICK(which), [afterId, 1])).catch(() => null)
    return found?.rows[0] ? Number(found.rows[0].id) : null
  }

  /** One that fails again and again is closed as `failed`: its payload stays, and the others go on. */
  async function countFailure(id: number, error: unknown): Promise<void> {
    const count = (attempts.get(id) ?? 0) + 1
    attempts.set(id, count)
    if (count < ATTEMPTS_MAX) return
    attempts.delete(id)
    totals.failed += 1
    log.error({ error, effectId: id }, 'an effect was given up')
    await db.system('queue', (tx) => tx.query(CLOSE, [[id], ['failed']])).catch(() => {})
  }

  async function pump(): Promise<void> {
    if (running) {
      life.again = true
      return running
    }
    running = (async () => {
      do {
        life.again = false
        await drain('fresh')
      } while (life.again && !life.stopped)
    })().finally(() => (running = null))
    return running
  }

  const wake = () => void pump().catch((error: unknown) => log.warn({ error }, 'effects could not be read'))

  function poll(): void {
    cancel = clock.after(pollMs, () => {
      void pump()
        .then(() => drain('waiting'))
        .catch((error: unknown) => log.warn({ error }, 'effects could not be polled'))
        .finally(() => {
          if (!life.stopped) poll()
        })
    })
  }

  return {
    async start() {
      unsubscribe = redis && (await subscribe(redis, 'effects', wake))
      poll()
      wake()
    },
    async stop() {
      life.stopped = true
      cancel?.()
      unsubscribe?.()
      await running
    },
    pump,
    stats: () => ({ ...totals }),
  }
}
