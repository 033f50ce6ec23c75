import { AppError, newId, type Id, type Micros } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import { lockWallets } from './wallet.ts'

export type HoldRow = {
  tenantId: Id
  holdId: Id
  turnId: Id | null
  /** Zero is allowed: a free turn still has a hold that is settled. */
  amountMicros: Micros
  /** One per attempt to reserve, e.g. `hold:<turnId>:<attempt>`. */
  idempotencyKey: string
  /** Unix milliseconds. After it the reserve goes back (`expireHolds`); a late settlement still charges. */
  expiresAtMs: number
}

/**
 * - `held`: reserved now.
 * - `insufficient`: less is available than asked. Nothing was written: the same key may succeed after a top-up.
 * - `replayed`: this very hold was made before and is still open.
 * - `closed`: it was made before and has been settled, voided or has expired: it reserves nothing any more.
 * - `mismatch`: the key belongs to another transfer, or the hold id to another key. A fault of the caller; nothing was written.
 */
export type HoldOutcome = 'held' | 'insufficient' | 'replayed' | 'closed' | 'mismatch'

// `place` numbers a tenant's new rows in the order asked; `granted` walks the places of all tenants side by side and carries what
// is left, so a row that does not fit is passed over and a smaller one behind it may still fit. LATERAL ... LIMIT 1 keeps the look-ups
// index probes, whatever the planner thinks of the tables' size.
const HOLD = `
WITH RECURSIVE asked AS MATERIALIZED (
  SELECT r.*,
    CASE
      WHEN t.id IS NULL AND h.id IS NULL THEN NULL
      WHEN t.id IS NULL OR h.id IS NULL OR t.kind <> 'hold' OR t.hold_id <> r.hold_id OR t.amount_micros <> r.amount THEN 'mismatch'
      WHEN h.state = 'held' THEN 'replayed'
      ELSE 'closed'
    END AS past
  FROM json_to_recordset($1::json) AS r(n int, tenant_id uuid, hold_id uuid, turn_id uuid, transfer_id uuid, amount bigint, key text, expires_ms float8)
  LEFT JOIN LATERAL (SELECT * FROM transfers WHERE tenant_id = r.tenant_id AND idempotency_key = r.key LIMIT 1) t ON true
  LEFT JOIN LATERAL (SELECT * FROM holds WHERE id = r.hold_id AND tenant_id = r.tenant_id LIMIT 1) h ON true
), fresh AS MATERIALIZED (
  SELECT *, row_number() OVER (PARTITION BY tenant_id ORDER BY n) AS place FROM asked WHERE past IS NULL
), granted AS (
  SELECT tenant_id, 0::bigint AS place, NULL::int AS n, balance_micros AS left_micros, false AS fits
  FROM accounts WHERE kind = 'available' AND tenant_id IN (SELECT tenant_id FROM fresh)
  UNION ALL
  SELECT f.tenant_id, f.place, f.n, CASE WHEN g.left_micros >= f.amount THEN g.left_micros - f.amount ELSE g.left_micros END, g.left_micros >= f.amount
  FROM granted g JOIN fresh f ON f.tenant_id = g.tenant_id AND f.place = g.place + 1
), won AS MATERIALIZED (
  SELECT f.* FROM fresh f JOIN granted g ON g.n = f.n WHERE g.fits
), made_holds AS (
  INSERT INTO holds (id, tenant_id, amount_micros, turn_id, expires_at) SELECT hold_id, tenant_id, amount, turn_id, to_timestamp(expires_ms / 1000) FROM won
), made_transfers AS (
  INSERT INTO transfers (id, tenant_id, kind, idempotency_key, hold_id, turn_id, amount_micros) SELECT transfer_id, tenant_id, 'hold', key, hold_id, turn_id, amount FROM won
), posted AS (
  INSERT INTO entries (tenant_id, transfer_id, account, amount_micros)
  SELECT tenant_id, transfer_id, leg.account, leg.amount FROM won CROSS JOIN LATERAL (VALUES ('available', -amount), ('held', amount)) AS leg(account, amount) WHERE leg.amount <> 0
), moved AS (
  UPDATE accounts a SET balance_micros = a.balance_micros + CASE a.kind WHEN 'held' THEN d.total ELSE -d.total END, updated_at = now()
  FROM (SELECT tenant_id, sum(amount)::bigint AS total FROM won GROUP BY tenant_id HAVING sum(amount) > 0) d
  WHERE a.tenant_id = d.tenant_id AND a.kind IN ('available', 'held')
)
SELECT asked.hold_id, COALESCE(asked.past, CASE WHEN won.n IS NULL THEN 'insufficient' ELSE 'held' END) AS outcome
FROM asked LEFT JOIN won ON won.n = asked.n`

/**
 * Reserves credit for many turns at once, of any number of tenants, in two statements. Rows of one tenant are granted in the order
 * given while `available` covers them, so no hold makes a wallet negative. A wallet below zero gets nothing, not even a hold of zero.
 * A key or a hold id that comes twice in a batch counts once (the first); a later twin that differs is a `mismatch`.
 */
export async function holdMany(tx: Tx, rows: readonly HoldRow[]): Promise<Map<Id, HoldOutcome>> {
  if (rows.some((row) => row.amountMicros < 0n)) throw new AppError('internal', { cause: new Error('a hold is never negative') })
  const { first, outcomes } = withoutTwins(rows)
  if (first.length === 0) return outcomes
  lockWallets(tx, first.map((row) => row.tenantId))
  const answer = await tx.query<{ hold_id: Id; outcome: HoldOutcome }>(HOLD, [JSON.stringify(first.map(toJson))], 'ledger-hold')
  for (const row of answer.rows) outcomes.set(row.hold_id, row.outcome)
  return outcomes
}

const toJson = (row: HoldRow, n: number) => ({
  n, tenant_id: row.tenantId, hold_id: row.holdId, turn_id: row.turnId, transfer_id: newId(),
  amount: row.amountMicros.toString(), key: row.idempotencyKey, expires_ms: row.expiresAtMs,
})

/** A twin under another hold id gets an answer of its own; one with the same hold id shares the answer of the first. */
function withoutTwins(rows: readonly HoldRow[]): { first: HoldRow[]; outcomes: Map<Id, HoldOutcome> } {
  const keys = new Set<string>()
  const holds = new Set<Id>()
  const outcomes = new Map<Id, HoldOutcome>()
  const first = rows.filter((row) => {
    if (holds.has(row.holdId)) return false
    holds.add(row.holdId)
    const key = `${row.tenantId} ${row.idempotencyKey}`
    if (keys.has(key)) outcomes.set(row.holdId, 'mismatch')
    else keys.add(key)
    return !outcomes.has(row.holdId)
  })
  return { first, outcomes }
}
