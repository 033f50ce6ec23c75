import type { Id } from '@trunkline/core'
import { holdMany, lockWallets, settleMany, voidMany } from '../ledger/index.ts'
import type { Tx } from '../tenancy.ts'

// A message that answers no turn is paid for by itself: the hold has the id of its outbox row, stays over pauses between
// attempts and while the outcome is unknown, and is closed by whatever settles the row.

const HOLD_HOURS = 24

export type DirectPrice = { outboxId: Id; tenantId: Id; amountMicros: bigint }

/** The rows that the balance does not cover; the others are held for. */
export async function holdDirect(tx: Tx, rows: DirectPrice[]): Promise<Set<Id>> {
  const priced = rows.filter((row) => row.amountMicros > 0n)
  if (priced.length === 0) return new Set()
  const expiresAtMs = Date.now() + HOLD_HOURS * 3_600_000
  const outcome = await holdMany(
    tx,
    priced.map((row) => ({ tenantId: row.tenantId, holdId: row.outboxId, turnId: null, amountMicros: row.amountMicros, idempotencyKey: `hold:direct:${row.outboxId}`, expiresAtMs })),
  )
  return new Set(priced.flatMap((row) => (['held', 'replayed'].includes(outcome.get(row.outboxId) ?? '') ? [] : [row.outboxId])))
}

/** Settles what the supplier accepted and gives back what it refused. Rows without a hold cost nothing. */
export async function closeDirect(tx: Tx, rows: { outboxId: Id; accepted: boolean }[]): Promise<void> {
  if (rows.length === 0) return
  const { rows: holds } = await tx.query<{ id: Id; tenant_id: Id; amount_micros: string }>(
    "SELECT id, tenant_id, amount_micros FROM holds WHERE id = ANY ($1::uuid[]) AND state IN ('held', 'expired')",
    [rows.map((row) => row.outboxId)],
    'direct_holds',
  )
  if (holds.length === 0) return
  lockWallets(tx, holds.map((hold) => hold.tenant_id))
  const accepted = new Set(rows.filter((row) => row.accepted).map((row) => row.outboxId))
  const base = (hold: (typeof holds)[number]) => ({ tenantId: hold.tenant_id, holdId: hold.id, turnId: null, memo: 'message' })
  const [sent, refused] = [holds.filter((hold) => accepted.has(hold.id)), holds.filter((hold) => !accepted.has(hold.id))]
  if (sent.length > 0) {
    await settleMany(tx, sent.map((hold) => ({ ...base(hold), amountMicros: BigInt(hold.amount_micros), details: { outbox_id: hold.id }, idempotencyKey: `settle:direct:${hold.id}` })))
  }
  if (refused.length > 0) await voidMany(tx, refused.map((hold) => ({ ...base(hold), idempotencyKey: `void:direct:${hold.id}` })))
}
