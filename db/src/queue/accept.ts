import { AppError, type Clock, type InboundEvent, type Logger } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { createGate, type Admission, type Gate } from '../redis/gate.ts'
import type { Keyring } from '../seal.ts'
import type { Db } from '../tenancy.ts'
import { createBatcher, type BatchResult } from './batcher.ts'
import { appendEffects, appendMessages, countWaiting, effectKey, effectRow, lockLanes, messageKey, messageRow } from './log-rows.ts'
import type { EffectRow, MessageRow, NumberRef } from './log-rows.ts'

export type AcceptorDeps = { db: Db; redis: Redis | null; keyring: Keyring; clock: Clock; log: Logger }
export type AcceptorOptions = {
  /** Messages that may wait in the installation; over it bodies are refused. Default 100,000. */
  capacity?: number
  /** What a refused caller is told to wait. Default 1,000. */
  retryAfterMs?: number
  /** Events of one commit at most. Default 500. */
  batchSize?: number
}
export type Accepted = { accepted: number; duplicates: number }
export type AcceptorStats = Accepted & { refused: number; batches: number; withoutRedis: number }

export type Acceptor = {
  /**
   * Resolves once every event is committed. All events of the call are kept or none: AppError `system_busy` (full, with
   * retryAfterMs), `not_found` (no such number), `invalid_request`, `payload_too_large`, `unavailable` (no database).
   */
  accept(number: NumberRef, events: readonly InboundEvent[]): Promise<Accepted>
  /** Resolves when everything that was asked for is decided and told to Redis. */
  idle(): Promise<void>
  stats(): AcceptorStats
}

const MAX_EVENTS = 2_000
const REDIS_REST_MS = 3_000
const SAMPLE_MS = 500

/** One webhook body on its way. */
type Body = { number: NumberRef; messages: MessageRow[]; effects: EffectRow[] }
type Batch = { bodies: Body[]; results: BatchResult<Accepted>[]; reserved: number; known: Set<string> }

export function createAcceptor({ db, redis, keyring, clock, log }: AcceptorDeps, options: AcceptorOptions = {}): Acceptor {
  const { capacity = 100_000, retryAfterMs = 1_000, batchSize = 500 } = options
  const stats: AcceptorStats = { accepted: 0, duplicates: 0, refused: 0, batches: 0, withoutRedis: 0 }
  const admission = createAdmission({ db, gate: redis && createGate(redis), clock, log, capacity })
  const settling = new Set<Promise<void>>()
  const batcher = createBatcher<Body, Accepted>({ run: runBatch, maxSize: batchSize, maxInFlight: 2, restMs: 5, weigh: weightOf, isolate: isDataFault })

  async function runBatch(bodies: readonly Body[]): Promise<BatchResult<Accepted>[]> {
    const { admitted, known, byRedis } = await admission.admit(bodies).catch((error: unknown) => {
      throw asAcceptError(error)
    })
    if (!byRedis) stats.withoutRedis += 1
    const batch: Batch = { bodies: bodies.filter((_, index) => admitted[index]), results: [], reserved: 0, known }
    batch.reserved = byRedis ? batch.bodies.flatMap((body) => body.messages).filter((row) => !known.has(messageKey(row))).length : 0
    const outcome = new Map<Body, BatchResult<Accepted>>()
    await commit(batch, outcome)
    stats.batches += 1
    return bodies.map((body, index) => (admitted[index] ? outcome.get(body)! : refuse()))
  }

  function refuse(): AppError {
    stats.refused += 1
    return new AppError('system_busy', { retryAfterMs })
  }

  async function commit(batch: Batch, outcome: Map<Body, BatchResult<Accepted>>): Promise<void> {
    const messages = uniqueBy(batch.bodies.flatMap((body) => body.messages).filter((row) => !batch.known.has(messageKey(row))), messageKey)
    const effects = uniqueBy(batch.bodies.flatMap((body) => body.effects), effectKey)
    let written: Written = { messages: new Set(), effects: new Set(), missing: new Set() }
    try {
      if (messages.length + effects.length > 0) written = await withoutDeadlock(() => db.system('queue', (tx) => write(tx, keyring, messages, effects)))
    } catch (error) {
      settle(batch, 0, [], [], false)
      throw asAcceptError(error)
    }
    const fresh = messages.filter((row) => written.messages.has(row.messageId))
    const committed = messages.filter((row) => !written.missing.has(row.number.id))
    settle(batch, fresh.length, committed.map(messageKey), [...new Set(fresh.map((row) => row.number.id))], written.effects.size > 0)
    for (const body of batch.bodies) outcome.set(body, resultOf(body, written, stats))
  }

  /** Not waited for: the commit has happened, and what Redis misses the sweeper brings back. */
  function settle(batch: Batch, used: number, committed: string[], wake: string[], effects: boolean): void {
    const unused = batch.reserved - used
    if (batch.reserved === 0 && committed.length === 0 && !effects) return
    const done = admission.settle({ reserved: batch.reserved, unused, committed, wake, effects }).finally(() => settling.delete(done))
    settling.add(done)
  }

  return {
    async accept(number, events) {
      if (events.length === 0) return { accepted: 0, duplicates: 0 }
      if (events.length > MAX_EVENTS) throw new AppError('payload_too_large', { message: `A body may hold ${MAX_EVENTS} events.` })
      const body: Body = { number, messages: [], effects: [] }
      for (const event of events) {
        if (event.kind === 'message') body.messages.push(messageRow(number, event))
        else body.effects.push(effectRow(number, event))
      }
      return batcher.add(body)
    },
    async idle() {
      await batcher.idle()
      await Promise.all(settling)
    },
    stats: () => ({ ...stats }),
  }
}

const weightOf = (body: Body): number => body.messages.length + body.effects.length

type Written = { messages: Set<string>; effects: Set<string>; /** Numbers without a lane, or with one of another tenant. */ missing: Set<string> }

async function write(tx: Parameters<typeof lockLanes>[0], keyring: Keyring, messages: MessageRow[], effects: EffectRow[]): Promise<Written> {
  const rows = [...messages, ...effects]
  const lanes = await lockLanes(tx, [...new Set(rows.map((row) => row.number.id))])
  const missing = new Set(rows.filter((row) => lanes.get(row.number.id) !== row.number.tenantId).map((row) => row.number.id))
  const present = (row: { number: NumberRef }) => !missing.has(row.number.id)
  const appended = Promise.all([appendMessages(tx, keyring, messages.filter(present)), appendEffects(tx, keyring, effects.filter(present))])
  tx.commit()
  const [newMessages, newEffects] = await appended
  return { missing, messages: newMessages, effects: newEffects }
}

/** Takes what is its own out of `written`: of twins in one batch only the first is the new one. */
function resultOf(body: Body, written: Written, stats: AcceptorStats): BatchResult<Accepted> {
  if (written.missing.has(body.number.id)) return new AppError('not_found', { message: 'There is no such number.' })
  let accepted = 0
  for (const row of body.messages) if (written.messages.has(row.messageId)) accepted += 1
  for (const row of body.effects) if (written.effects.delete(effectKey(row))) accepted += 1
  const duplicates = weightOf(body) - accepted
  stats.accepted += accepted
  stats.duplicates += duplicates
  return { accepted, duplicates }
}

function uniqueBy<Row>(rows: readonly Row[], keyOf: (row: Row) => string): Row[] {
  const first = new Map<string, Row>()
  for (const row of rows) if (!first.has(keyOf(row))) first.set(keyOf(row), row)
  return [...first.values()]
}

const sqlState = (error: unknown): string => (error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '')
/** Class 22 (data exception) and 54 (too large for an index): one body's own fault, https://www.postgresql.org/docs/current/errcodes-appendix.html. */
const isDataFault = (error: unknown): boolean => error instanceof AppError && error.code === 'invalid_request'

/** PostgreSQL ends one of two transactions that wait for each other and expects it to be tried again: 40P01, and 40001 for the like. */
async function withoutDeadlock<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let again = 2; ; again--) {
    try {
      return await work()
    } catch (error) {
      if (again === 0 || !['40P01', '40001'].includes(sqlState(error))) throw error
    }
  }
}

function asAcceptError(cause: unknown): AppError {
  if (/^(22|54)/.test(sqlState(cause))) return new AppError('invalid_request', { message: 'The event holds text that cannot be stored.', cause })
  return new AppError('unavailable', { message: 'The message could not be stored. Try again.', retryAfterMs: 1_000, cause })
}

type AdmissionDeps = { db: Db; gate: Gate | null; clock: Clock; log: Logger; capacity: number }
type Admitted = { admitted: boolean[]; known: Set<string>; byRedis: boolean }

/** Who may come in: Redis decides exactly; while it is away, a recent count in Postgres does. */
function createAdmission({ db, gate, clock, log, capacity }: AdmissionDeps) {
  let restUntilMs = 0
  let sample = { atMs: -Infinity, waiting: 0 }

  async function askGate(bodies: readonly Body[]): Promise<Admission | null> {
    if (!gate || clock.nowMs() < restUntilMs) return null
    const keys = bodies.map((body) => body.messages.map(messageKey))
    try {
      const answer = await gate.admit(capacity, keys, clock.nowMs())
      if (answer) return answer
      await gate.correct(await db.single('queue', countWaiting), null, { slack: 0, force: false })
      return await gate.admit(capacity, keys, clock.nowMs())
    } catch (error) {
      if (error instanceof AppError) throw error
      // A silent Redis costs a time-out: ask again only after a rest.
      restUntilMs = clock.nowMs() + REDIS_REST_MS
      log.warn({ error }, 'Redis does not answer: messages are accepted without it')
      return null
    }
  }

  async function bySample(bodies: readonly Body[]): Promise<Admitted> {
    if (clock.nowMs() - sample.atMs > SAMPLE_MS) sample = { atMs: clock.nowMs(), waiting: await db.single('queue', countWaiting) }
    const admitted = bodies.map((body) => {
      if (body.messages.length > 0 && sample.waiting + body.messages.length > capacity) return false
      sample.waiting += body.messages.length
      return true
    })
    return { admitted, known: new Set(), byRedis: false }
  }

  return {
    async admit(bodies: readonly Body[]): Promise<Admitted> {
      if (bodies.every((body) => body.messages.length === 0)) return { admitted: bodies.map(() => true), known: new Set(), byRedis: true }
      const answer = await askGate(bodies)
      if (!answer) return bySample(bodies)
      const keys = bodies.flatMap((body) => body.messages.map(messageKey))
      return { admitted: answer.admitted, known: new Set(keys.filter((_, index) => answer.known[index])), byRedis: true }
    },
    async settle(settlement: Parameters<Gate['settle']>[0]): Promise<void> {
      if (!gate || clock.nowMs() < restUntilMs) return
      await gate.settle(settlement, clock.nowMs()).catch((error: unknown) => log.warn({ error }, 'Redis was not told of accepted messages: the sweeper will'))
    },
  }
}
