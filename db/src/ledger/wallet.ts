import type { Id, Micros } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'

/** funding: money in, negative. available: may be spent. held: reserved by open holds. spent: charged. They sum to zero. */
export type AccountKind = 'funding' | 'available' | 'held' | 'spent'

export type Balance = { fundedMicros: Micros; availableMicros: Micros; heldMicros: Micros; spentMicros: Micros }

/** Creates the four accounts of a new tenant; changes nothing when they exist. */
export async function openAccounts(tx: Tx, tenantId: Id): Promise<void> {
  await tx.query(
    `INSERT INTO accounts (tenant_id, kind) SELECT $1::uuid, kind FROM unnest(ARRAY['funding', 'available', 'held', 'spent']) AS kind ON CONFLICT DO NOTHING`,
    [tenantId],
    'ledger-open',
  )
}

/**
 * Locks the wallets (rows `available`) of these tenants until the transaction ends, in the order of their ids, so that two batches
 * that share tenants cannot deadlock. Every writing function of the ledger does this first. A transaction that calls several of them
 * must lock all its tenants with one call before the first of them; the later locks then find everything locked.
 *
 * The lock is a statement of its own: the one after it has a snapshot taken when the lock was held (READ COMMITTED), and so sees
 * every transfer and hold that an earlier owner of the lock has committed.
 *
 * It also forbids sequential scans for the rest of the transaction: the plans of the next statements are kept by the connection, and
 * one that was made while the tables were nearly empty would read them whole when they are full (until the next ANALYZE).
 */
export function lockWallets(tx: Tx, tenantIds: Iterable<Id>): void {
  tx.send(
    `WITH plans AS MATERIALIZED (SELECT set_config('enable_seqscan', 'off', true))
     SELECT a.tenant_id FROM plans, accounts a WHERE a.kind = 'available' AND a.tenant_id = ANY($1::uuid[]) ORDER BY a.tenant_id FOR NO KEY UPDATE OF a`,
    [[...new Set(tenantIds)]],
    'ledger-lock',
  )
}

/** Zero everywhere for a tenant without accounts. A plain read: it takes no lock and may be a moment old when it arrives. */
export async function balance(tx: Tx, tenantId: Id): Promise<Balance> {
  const { rows } = await tx.query<{ kind: AccountKind; balance_micros: string }>(
    'SELECT kind, balance_micros FROM accounts WHERE tenant_id = $1',
    [tenantId],
    'ledger-balance',
  )
  const of = (kind: AccountKind) => BigInt(rows.find((row) => row.kind === kind)?.balance_micros ?? 0)
  return { fundedMicros: -of('funding'), availableMicros: of('available'), heldMicros: of('held'), spentMicros: of('spent') }
}
