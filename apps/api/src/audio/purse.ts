import { chargeDetails, rateSpeech } from '@trunkline/billing'
import { AppError, newId, type Id, type SpeechUsage } from '@trunkline/core'
import { ledger, type Db } from '@trunkline/db'
import type { ApiDeps } from '../deps.ts'

/** A hold of a request that died goes back by itself. */
const HOLD_MS = 3_600_000
/** Of what is known beforehand: numbers are spoken in words, and a stand-in speaks or hears again what broke off. */
const MARGIN = 2

export type Bounds = { kind: SpeechUsage['kind']; engines: readonly { engine: string; model: string }[]; audioMs: number; characters: number }

/** The money of one request of speech: held before an engine is asked, settled for what was used. */
export type Ticket = {
  /** Each engine's part, as the chain tells it. */
  used: (usage: SpeechUsage) => void
  /** Idempotent. Nothing used that costs: the hold is given back. Never rejects: what cannot be charged is told to the log, and its hold expires. */
  settle: () => Promise<void>
}

type PurseDeps = Pick<ApiDeps, 'clock' | 'log'> & { db: Pick<Db, 'system'>; onCharged: (tenantId: Id) => void }

/** Throws AppError `insufficient_credit`: then nothing may begin. */
export async function holdForSpeech({ db, clock, log, onCharged }: PurseDeps, tenantId: Id, bounds: Bounds): Promise<Ticket> {
  const [holdId, atMs] = [newId(), clock.nowMs()]
  const row = { tenantId, holdId, turnId: null, amountMicros: mostOf(bounds, atMs), idempotencyKey: `hold:audio:${holdId}`, expiresAtMs: atMs + HOLD_MS }
  const outcome = await db.system('ledger', (tx) => ledger.holdMany(tx, [row]))
  if (outcome.get(holdId) !== 'held') throw new AppError('insufficient_credit')
  const usages: SpeechUsage[] = []
  let settled: Promise<void> | null = null
  return {
    used: (usage) => void usages.push(usage),
    settle: () =>
      (settled ??= close(db, { tenantId, holdId, atMs, usages }).then(
        () => onCharged(tenantId),
        (error: unknown) => log.error({ error, tenantId, holdId }, 'speech was not charged: its hold expires'),
      )),
  }
}

function mostOf({ kind, engines, audioMs, characters }: Bounds, atMs: number): bigint {
  return engines.reduce((most, engine) => {
    const rated = rateSpeech({ ...engine, kind, audioMs: audioMs * MARGIN, characters: characters * MARGIN, firstResultMs: null, latencyMs: 0, outcome: 'ok', requestId: null }, { atMs })
    return rated && rated.amountMicros > most ? rated.amountMicros : most
  }, 0n)
}

type Closing = { tenantId: Id; holdId: Id; atMs: number; usages: readonly SpeechUsage[] }

async function close(db: Pick<Db, 'system'>, { tenantId, holdId, atMs, usages }: Closing): Promise<void> {
  const lines = usages.flatMap((usage) => rateSpeech(usage, { atMs }) ?? [])
  const totalMicros = lines.reduce((sum, { amountMicros }) => sum + amountMicros, 0n)
  await db.system('ledger', async (tx) => {
    if (totalMicros === 0n) await ledger.voidMany(tx, [{ tenantId, holdId, memo: 'audio, nothing used', idempotencyKey: `void:audio:${holdId}` }])
    else await ledger.settleMany(tx, [{ tenantId, holdId, turnId: null, amountMicros: totalMicros, memo: 'audio', details: chargeDetails({ totalMicros, callMicros: [], lines }), idempotencyKey: `settle:audio:${holdId}` }])
  })
}

