import { AppError, newId, type Id, type Micros } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import { lockWallets } from './wallet.ts'

export type HoldState = 'held' | 'settled' | 'voided' | 'expired'

export type SettleRow = {
  tenantId: Id
  holdId: Id
  /** What the work really cost; zero or more, also more than was held. */
  amountMicros: Micros
  turnId: Id | null
  messageId?: Id | null
  memo: string
  /** Lines of the charge, JSON-safe (amounts as strings). */
  details: Record<string, unknown> | null
  idempotencyKey: string
}

export type VoidRow = { tenantId: Id; holdId: Id; turnId?: Id | null; memo: string; idempotencyKey: string }

/**
 * - `done`: the hold is closed now.
 * - `replayed`: this very transfer was made before; nothing changed.
 * - `refused`: the hold was closed in another way before (`state` says how), or does not exist (`state` null); nothing changed.
 * - `mismatch`: the key belongs to another transfer; nothing changed.
 */
export type CloseOutcome = 'done' | 'replayed' | 'refused' | 'mismatch'

export type CloseResult = {
  outcome: CloseOutcome
  /** Of the hold, afterwards. */
  state: HoldState | null
  /** The part of a settlement that the hold did not cover and `available` paid; all of it when the hold had expired. */
  overrunMicros: Micros
  /** The tenant's, after the whole batch. Below zero only through an overrun or a late settlement: flag the tenant. */
  availableMicros: Micros
}

type Closing = {
  kind: 'settle' | 'void'
  becomes: Exclude<HoldState, 'held'>
  tenantId: Id
  holdId: Id
  amountMicros: Micros
  turnId: Id | null
  messageId: Id | null
  memo: string
  details: Record<string, unknown> | null
  idempotencyKey: string
}

// A settlement of an expired hold charges `available` directly: expiry is our guess that the work died, and the supplier's bill is
// the fact. A voided hold is a decision, so a settlement after it is refused.
const CLOSE = `
WITH asked AS MATERIALIZED (
  SELECT r.*, h.state, h.amount_micros AS reserved, t.id IS NOT NULL AS known,
    t.kind = r.kind AND t.hold_id = r.hold_id AND (r.kind = 'void' OR t.amount_micros = r.amount) AS same,
    (t.details->>'overrun_micros')::bigint AS past_overrun
  FROM json_to_recordset($1::json) AS r(n int, kind text, becomes text, tenant_id uuid, hold_id uuid, transfer_id uuid, turn_id uuid, message_id uuid, amount bigint, key text, memo text, details jsonb)
  LEFT JOIN LATERAL (SELECT * FROM transfers WHERE tenant_id = r.tenant_id AND idempotency_key = r.key LIMIT 1) t ON true
  LEFT JOIN LATERAL (SELECT * FROM holds WHERE id = r.hold_id AND tenant_id = r.tenant_id LIMIT 1) h ON true
), ready AS MATERIALIZED (
  SELECT *, CASE WHEN state = 'held' THEN reserved ELSE 0 END AS from_held, greatest(amount - CASE WHEN state = 'held' THEN reserved ELSE 0 END, 0) AS overrun
  FROM asked WHERE NOT known AND (state = 'held' OR (state = 'expired' AND kind = 'settle'))
), closed AS (
  UPDATE holds h SET state = ready.becomes, closed_at = now() FROM ready WHERE h.id = ready.hold_id
), made AS (
  INSERT INTO transfers (id, tenant_id, kind, idempotency_key, hold_id, turn_id, message_id, amount_micros, memo, details)
  SELECT transfer_id, tenant_id, kind, key, hold_id, turn_id, message_id, CASE kind WHEN 'settle' THEN amount ELSE from_held END, memo,
    CASE WHEN overrun > 0 THEN COALESCE(details, '{}') || jsonb_build_object('overrun_micros', overrun::text) ELSE details END
  FROM ready
), legs AS MATERIALIZED (
  SELECT tenant_id, transfer_id, leg.account, leg.amount FROM ready
  CROSS JOIN LATERAL (VALUES ('held', -from_held), ('spent', amount), ('available', from_held - amount)) AS leg(account, amount) WHERE leg.amount <> 0
), posted AS (
  INSERT INTO entries (tenant_id, transfer_id, account, amount_micros) SELECT tenant_id, transfer_id, account, amount FROM legs
), change AS MATERIALIZED (
  SELECT tenant_id, account, sum(amount)::bigint AS total FROM legs GROUP BY tenant_id, account HAVING sum(amount) <> 0
), moved AS (
  UPDATE accounts a SET balance_micros = a.balance_micros + change.total, updated_at = now()
  FROM change WHERE a.tenant_id = change.tenant_id AND a.kind = change.account
)
SELECT asked.hold_id,
  CASE WHEN ready.n IS NOT NULL THEN 'done' WHEN asked.same THEN 'replayed' WHEN asked.known THEN 'mismatch' ELSE 'refused' END AS outcome,
  COALESCE(ready.becomes, asked.state) AS state,
  COALESCE(ready.overrun, CASE WHEN asked.same THEN asked.past_overrun END, 0) AS overrun,
  COALESCE(wallet.balance_micros, 0) + COALESCE(change.total, 0) AS available
FROM asked
LEFT JOIN ready ON ready.n = asked.n
LEFT JOIN LATERAL (SELECT balance_micros FROM accounts WHERE tenant_id = asked.tenant_id AND kind = 'available' LIMIT 1) wallet ON true
LEFT JOIN change ON change.tenant_id = asked.tenant_id AND change.account = 'available'`

/**
 * Charges what the work of many holds really cost: held -> spent, the rest back to available; what the hold does not cover is taken
 * from available and flagged. Two statements, whatever the size. At most one row per hold counts (the first).
 */
export async function settleMany(tx: Tx, rows: readonly SettleRow[]): Promise<Map<Id, CloseResult>> {
  if (rows.some((row) => row.amountMicros < 0n)) throw new AppError('internal', { cause: new Error('a settlement is never negative') })
  return closeMany(tx, rows.map((row) => ({ ...row, kind: 'settle', becomes: 'settled', messageId: row.messageId ?? null })))
}

/** Gives the reserve of many holds back in full. Two statements, whatever the size. */
export function voidMany(tx: Tx, rows: readonly VoidRow[]): Promise<Map<Id, CloseResult>> {
  return closeMany(tx, rows.map((row) => voiding(row, 'voided')))
}

/** Gives back what was reserved until `nowMs` and never closed, the oldest first, at most `limit`. Answers what expired. */
export async function expireHolds(tx: Tx, nowMs: number, limit: number): Promise<{ tenantId: Id; holdId: Id; turnId: Id | null }[]> {
  const due = await tx.query<{ tenantId: Id; holdId: Id; turnId: Id | null }>(
    `SELECT tenant_id AS "tenantId", id AS "holdId", turn_id AS "turnId" FROM holds
     WHERE state = 'held' AND expires_at <= to_timestamp($1::float8 / 1000) ORDER BY expires_at LIMIT $2`,
    [nowMs, limit],
    'ledger-due',
  )
  // A hold may be settled between this look and the lock: its closing is then refused and it is not in the answer.
  const results = await closeMany(tx, due.rows.map((row) => voiding({ ...row, memo: 'hold expired', idempotencyKey: `expire:${row.holdId}` }, 'expired')))
  return due.rows.filter((row) => results.get(row.holdId)?.outcome === 'done')
}

function voiding(row: VoidRow, becomes: 'voided' | 'expired'): Closing {
  return { ...row, kind: 'void', becomes, amountMicros: 0n, turnId: row.turnId ?? null, messageId: null, details: null }
}

async function closeMany(tx: Tx, rows: readonly Closing[]): Promise<Map<Id, CloseResult>> {
  const { first, repeated } = withoutTwins(rows)
  if (first.length === 0) return new Map()
  lockWallets(tx, first.map((row) => row.tenantId))
  const answer = await tx.query<{ hold_id: Id; outcome: CloseOutcome; state: HoldState | null; overrun: string; available: string }>(
    CLOSE, [JSON.stringify(first.map(toJson))], 'ledger-close')
  const results = new Map(answer.rows.map((row): [Id, CloseResult] =>
    [row.hold_id, { outcome: row.outcome, state: row.state, overrunMicros: BigInt(row.overrun), availableMicros: BigInt(row.available) }]))
  for (const holdId of repeated) results.set(holdId, { outcome: 'mismatch', state: null, overrunMicros: 0n, availableMicros: 0n })
  return results
}

const toJson = (row: Closing, n: number) => ({
  n, kind: row.kind, becomes: row.becomes, tenant_id: row.tenantId, hold_id: row.holdId, transfer_id: newId(), turn_id: row.turnId,
  message_id: row.messageId, amount: row.amountMicros.toString(), key: row.idempotencyKey, memo: row.memo, details: row.details,
})

/** The second row of one hold is dropped (it would be a replay or refused); one key for two holds is a mismatch for the second. */
function withoutTwins(rows: readonly Closing[]): { first: Closing[]; repeated: Id[] } {
  const keys = new Set<string>()
  const holds = new Set<Id>()
  const repeated: Id[] = []
  const first = rows.filter((row) => {
    if (holds.has(row.holdId)) return false
    holds.add(row.holdId)
    const key = `${row.tenantId} ${row.idempotencyKey}`
    if (!keys.has(key)) return keys.add(key)
    repeated.push(row.holdId)
    return false
  })
  return { first, repeated }
}
