import { newId, type Id } from '@trunkline/core'
import type { Db } from '../tenancy.ts'
import { openAccounts, topUp, type HoldRow, type SettleRow, type VoidRow } from './index.ts'

// What the tests and the bench of the ledger say often.

const SYSTEM_ACTOR = { kind: 'system', id: 'test' } as const

/** New tenants with this much credit each. */
export async function tenantsWith(db: Db, count: number, amountMicros: bigint): Promise<Id[]> {
  const ids = Array.from({ length: count }, () => newId())
  await db.system('test', async (tx) => {
    await tx.query("INSERT INTO tenants (id, name) SELECT id, 'T' FROM unnest($1::uuid[]) AS id", [ids])
    for (const tenantId of ids) {
      if (amountMicros > 0n) await topUp(tx, { tenantId, amountMicros, idempotencyKey: 'opening', memo: '', actor: SYSTEM_ACTOR })
      else await openAccounts(tx, tenantId)
    }
  })
  return ids
}

export function holdOf(tenantId: Id, amountMicros: bigint, over: Partial<HoldRow> = {}): HoldRow {
  const holdId = over.holdId ?? newId()
  return { tenantId, holdId, turnId: newId(), amountMicros, idempotencyKey: `hold:${holdId}`, expiresAtMs: Date.now() + 600_000, ...over }
}

export const settleOf = (hold: HoldRow, amountMicros: bigint, over: Partial<SettleRow> = {}): SettleRow =>
  ({ tenantId: hold.tenantId, holdId: hold.holdId, turnId: hold.turnId, amountMicros, memo: 'turn', details: null, idempotencyKey: `settle:${hold.holdId}`, ...over })

export const voidOf = (hold: HoldRow, over: Partial<VoidRow> = {}): VoidRow =>
  ({ tenantId: hold.tenantId, holdId: hold.holdId, turnId: hold.turnId, memo: 'not sent', idempotencyKey: `void:${hold.holdId}`, ...over })
