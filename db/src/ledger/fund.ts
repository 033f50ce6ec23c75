import { AppError, newId, type Id, type Micros } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import { lockWallets, openAccounts } from './wallet.ts'

/** Who moved the money; kept with the transfer. */
export type LedgerActor = { kind: 'user' | 'api_key' | 'system'; id: string }

export type FundingRow = { tenantId: Id; amountMicros: Micros; idempotencyKey: string; memo: string; actor: LedgerActor }

export type Funded = { transferId: Id; replayed: boolean; /** After it. */ availableMicros: Micros }

const FUND = `
WITH known AS (
  SELECT id, kind, amount_micros FROM transfers WHERE tenant_id = $1::uuid AND idempotency_key = $2::text
), wallet AS (
  SELECT balance_micros FROM accounts WHERE tenant_id = $1::uuid AND kind = 'available'
), fresh AS MATERIALIZED (
  SELECT balance_micros FROM wallet WHERE NOT EXISTS (SELECT FROM known) AND ($5::bigint > 0 OR balance_micros + $5::bigint >= 0)
), made AS (
  INSERT INTO transfers (id, tenant_id, kind, idempotency_key, amount_micros, memo, details) SELECT $3::uuid, $1::uuid, $4::text, $2::text, $5::bigint, $6::text, $7::jsonb FROM fresh
), posted AS (
  INSERT INTO entries (tenant_id, transfer_id, account, amount_micros)
  SELECT $1::uuid, $3::uuid, leg.account, leg.amount FROM fresh CROSS JOIN LATERAL (VALUES ('funding', -$5::bigint), ('available', $5::bigint)) AS leg(account, amount)
), moved AS (
  UPDATE accounts SET balance_micros = accounts.balance_micros + CASE kind WHEN 'available' THEN $5::bigint ELSE -$5::bigint END, updated_at = now()
  FROM fresh WHERE tenant_id = $1::uuid AND kind IN ('available', 'funding')
)
SELECT known.id AS known_id, known.kind AS known_kind, known.amount_micros AS known_amount, EXISTS (SELECT FROM fresh) AS done, wallet.balance_micros AS available
FROM wallet LEFT JOIN known ON true`

/** Adds credit. A replay answers the first transfer. Throws AppError `idempotency_mismatch` when the key was used for something else. */
export function topUp(tx: Tx, row: FundingRow): Promise<Funded> {
  if (row.amountMicros <= 0n) throw new AppError('invalid_request', { message: 'A top-up is more than zero.', param: 'amountMicros' })
  return fund(tx, 'topup', row)
}

/** A correction by hand, up or down. Throws AppError `insufficient_credit` where it would take more than is available. */
export function adjust(tx: Tx, row: FundingRow): Promise<Funded> {
  if (row.amountMicros === 0n) throw new AppError('invalid_request', { message: 'An adjustment is not zero.', param: 'amountMicros' })
  return fund(tx, 'adjust', row)
}

async function fund(tx: Tx, kind: 'topup' | 'adjust', row: FundingRow): Promise<Funded> {
  const transferId = newId()
  await openAccounts(tx, row.tenantId)
  lockWallets(tx, [row.tenantId])
  const { rows } = await tx.query<{ known_id: Id | null; known_kind: string; known_amount: string; done: boolean; available: string }>(
    FUND,
    [row.tenantId, row.idempotencyKey, transferId, kind, row.amountMicros, row.memo, JSON.stringify({ actor: row.actor })],
    'ledger-fund',
  )
  const answer = rows[0]!
  if (answer.done) return { transferId, replayed: false, availableMicros: BigInt(answer.available) + row.amountMicros }
  if (answer.known_id === null) throw new AppError('insufficient_credit')
  if (answer.known_kind !== kind || BigInt(answer.known_amount) !== row.amountMicros) throw new AppError('idempotency_mismatch')
  return { transferId: answer.known_id, replayed: true, availableMicros: BigInt(answer.available) }
}
