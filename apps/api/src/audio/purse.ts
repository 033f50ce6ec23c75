import { chargeDetails, rateSpeech, type ChargeLine } from '@trunkline/billing'
import { AppError, newId, type Id, type Micros, type SpeechUsage } from '@trunkline/core'
import { ledger, usage, type Db } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import type { ApiDeps } from '../deps.ts'

/** A hold of a request that died goes back by itself. */
const HOLD_MS = 3_600_000
/** Of what is known beforehand: numbers are spoken in words, and a stand-in speaks or hears again what broke off. */
const MARGIN = 2

export type Bounds = { kind: SpeechUsage['kind']; engines: readonly { engine: string; model: string; ownKey?: boolean }[]; audioMs: number; characters: number }

/** The money of one request of speech: held before an engine is asked, settled for what was used. */
export type Ticket = {
  /** Each engine's part, as the chain tells it. */
  used: (usage: SpeechUsage) => void
  /**
   * Charges, and writes down what was used, in one transaction; nothing that costs: the hold is given back. Idempotent. Never rejects: what cannot be charged is told to
   * the log, and its hold expires.
   */
  settle: () => Promise<void>
}

type PurseDeps = Pick<ApiDeps, 'clock' | 'log'> & { db: Pick<Db, 'system'>; onCharged: (tenantId: Id) => void }

/** Throws AppError `insufficient_credit`: then nothing may begin. */
export async function holdForSpeech({ db, clock, log, onCharged }: PurseDeps, request: FastifyRequest, bounds: Bounds): Promise<Ticket> {
  const { tenantId, projectId } = request.auth
  const [holdId, atMs] = [newId(), clock.nowMs()]
  const row = { tenantId, holdId, turnId: null, amountMicros: mostOf(bounds, atMs), idempotencyKey: `hold:audio:${holdId}`, expiresAtMs: atMs + HOLD_MS }
  const outcome = await db.system('ledger', (tx) => ledger.holdMany(tx, [row]))
  if (outcome.get(holdId) !== 'held') throw new AppError('insufficient_credit')
  const usages: SpeechUsage[] = []
  let settled: Promise<void> | null = null

  async function settle(): Promise<void> {
    const bill = billOf(usages, atMs)
    if (request.keyed && bill.totalMicros > 0n) request.keyed.charged = true
    try {
      await close(db, { tenantId, projectId, requestId: request.id, holdId }, bill)
      onCharged(tenantId)
    } catch (error) {
      log.error({ error, tenantId, holdId }, 'speech was not charged: its hold expires')
    }
  }
  return { used: (used) => void usages.push(used), settle: () => (settled ??= settle()) }
}

/** The dearest of those that may be asked; what the tenant pays itself is free. */
function mostOf({ kind, engines, audioMs, characters }: Bounds, atMs: number): bigint {
  return engines.reduce((most, engine) => {
    const rated = rateSpeech({ ...engine, kind, audioMs: audioMs * MARGIN, characters: characters * MARGIN, firstResultMs: null, latencyMs: 0, outcome: 'ok', requestId: null }, { atMs })
    return rated && rated.amountMicros > most ? rated.amountMicros : most
  }, 0n)
}

type Bill = { totalMicros: Micros; lines: ChargeLine[]; uses: usage.VendorUse[] }

function billOf(usages: readonly SpeechUsage[], atMs: number): Bill {
  const rated = usages.map((used) => ({ used, line: rateSpeech(used, { atMs }) }))
  return {
    totalMicros: rated.reduce((sum, { line }) => sum + (line?.amountMicros ?? 0n), 0n),
    lines: rated.flatMap(({ line }) => line ?? []),
    uses: rated.map(({ used, line }) => ({ kind: 'speech', usage: used, costMicros: line?.amountMicros ?? 0n })),
  }
}

type Closing = { tenantId: Id; projectId: Id | null; requestId: string; holdId: Id }

async function close(db: Pick<Db, 'system'>, { tenantId, projectId, requestId, holdId }: Closing, { totalMicros, lines, uses }: Bill): Promise<void> {
  await db.system('ledger', async (tx) => {
    if (totalMicros === 0n) await ledger.voidMany(tx, [{ tenantId, holdId, memo: 'audio, nothing to pay', idempotencyKey: `void:audio:${holdId}` }])
    else await ledger.settleMany(tx, [{ tenantId, holdId, turnId: null, amountMicros: totalMicros, memo: 'audio', details: { ...chargeDetails({ totalMicros, callMicros: [], lines }), request_id: requestId }, idempotencyKey: `settle:audio:${holdId}` }])
    await usage.insertUses(tx, { tenantId, projectId, conversationId: null, callId: null, causedBy: `request:${requestId}` }, uses)
  })
}
