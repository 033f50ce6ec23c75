import type { Id, Micros } from '@trunkline/core'
import { idFloor, pageOf, type Page, type PageRequest } from '../repos/page.ts'
import type { Tx } from '../tenancy.ts'
import type { HoldState } from './close.ts'
import type { AccountKind } from './wallet.ts'

export type TransferKind = 'topup' | 'hold' | 'settle' | 'void' | 'adjust'

export type Transfer = {
  id: Id
  kind: TransferKind
  amountMicros: Micros
  holdId: Id | null
  turnId: Id | null
  messageId: Id | null
  memo: string
  details: Record<string, unknown> | null
  createdAt: Date
  entries: { account: AccountKind; amountMicros: Micros }[]
}

export type TransferFilter = { kind?: TransferKind; turnId?: Id; /** Inclusive. */ from?: Date; /** Exclusive. */ to?: Date }

export type Hold = { id: Id; amountMicros: Micros; state: HoldState; turnId: Id | null; expiresAt: Date; createdAt: Date; closedAt: Date | null }

const TRANSFERS = `
SELECT t.id, t.kind, t.amount_micros, t.hold_id, t.turn_id, t.message_id, t.memo, t.details, t.created_at,
  (SELECT COALESCE(json_agg(json_build_object('account', e.account, 'amount', e.amount_micros::text) ORDER BY e.id), '[]') FROM entries e WHERE e.transfer_id = t.id) AS entries
FROM transfers t
WHERE t.tenant_id = $1 AND ($2::uuid IS NULL OR t.id < $2) AND ($3::text IS NULL OR t.kind = $3) AND ($4::uuid IS NULL OR t.turn_id = $4)
  AND ($5::uuid IS NULL OR t.id >= $5) AND ($6::uuid IS NULL OR t.id < $6)
ORDER BY t.id DESC LIMIT $7`

type TransferRow = {
  id: Id; kind: TransferKind; amount_micros: string; hold_id: Id | null; turn_id: Id | null; message_id: Id | null
  memo: string; details: Record<string, unknown> | null; created_at: Date; entries: { account: AccountKind; amount: string }[]
}

/** A tenant's transfers with their entries, the newest first. */
export async function listTransfers(tx: Tx, tenantId: Id, filter: TransferFilter, page: PageRequest): Promise<Page<Transfer>> {
  const { rows } = await tx.query<TransferRow>(TRANSFERS, [
    tenantId, page.before ?? null, filter.kind ?? null, filter.turnId ?? null, filter.from ? idFloor(filter.from) : null, filter.to ? idFloor(filter.to) : null, page.limit + 1,
  ])
  return pageOf(rows.map(toTransfer), page.limit)
}

const toTransfer = (row: TransferRow): Transfer => ({
  id: row.id, kind: row.kind, amountMicros: BigInt(row.amount_micros), holdId: row.hold_id, turnId: row.turn_id, messageId: row.message_id,
  memo: row.memo, details: row.details, createdAt: row.created_at,
  entries: row.entries.map((entry) => ({ account: entry.account, amountMicros: BigInt(entry.amount) })),
})

// Through the transfers: they are indexed by tenant, and every hold has exactly one of kind 'hold'.
const HOLDS = `
SELECT h.id, h.amount_micros, h.state, h.turn_id, h.expires_at, h.created_at, h.closed_at, t.id AS cursor
FROM transfers t JOIN holds h ON h.id = t.hold_id
WHERE t.tenant_id = $1 AND t.kind = 'hold' AND ($2::uuid IS NULL OR t.id < $2) AND ($3::text IS NULL OR h.state = $3) AND ($4::uuid IS NULL OR h.turn_id = $4)
ORDER BY t.id DESC LIMIT $5`

type HoldRecord = { cursor: Id; id: Id; amount_micros: string; state: HoldState; turn_id: Id | null; expires_at: Date; created_at: Date; closed_at: Date | null }

/** A tenant's holds, the newest first. The cursor is the id of the hold's transfer. */
export async function listHolds(tx: Tx, tenantId: Id, filter: { state?: HoldState; turnId?: Id }, page: PageRequest): Promise<Page<Hold>> {
  const { rows } = await tx.query<HoldRecord>(HOLDS, [tenantId, page.before ?? null, filter.state ?? null, filter.turnId ?? null, page.limit + 1])
  const items = rows.slice(0, page.limit)
  return { items: items.map(toHold), next: rows.length > page.limit ? items.at(-1)!.cursor : null }
}

const toHold = (row: HoldRecord): Hold => ({
  id: row.id, amountMicros: BigInt(row.amount_micros), state: row.state, turnId: row.turn_id,
  expiresAt: row.expires_at, createdAt: row.created_at, closedAt: row.closed_at,
})
