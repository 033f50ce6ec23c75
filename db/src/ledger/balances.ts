import type { Id, Micros } from '@trunkline/core'
import type { Cache } from '../redis/cache.ts'
import type { Db, Tx } from '../tenancy.ts'
import { balance, type Balance } from './wallet.ts'

/** A balance for people and dashboards. Whether work may begin is never decided here but by `holdMany`, in Postgres. */
export type Standing = Balance & { /** A notice is due below it; null: none is wanted. */ lowBalanceMicros: Micros | null; low: boolean }

export type Balances = {
  read(tenantId: Id): Promise<Standing>
  /** Call after the commit that moved money or the threshold, with every tenant of the batch. */
  changed(tenantIds: Iterable<Id>): Promise<void>
}

const KEY = 'balance'
// Short: every batch of the worker changes it anyway, and a reader that overtakes an invalidation may keep an old value this long.
const TTL_MS = 15_000

type Stored = Record<'funded' | 'available' | 'held' | 'spent', string> & { low: string | null }

/** Balances through the Redis cache. */
export function createBalances(db: Pick<Db, 'tenant'>, cache: Cache): Balances {
  const load = (tenantId: Id) => db.tenant(tenantId, async (tx) => store(await balance(tx, tenantId), await lowBalance(tx, tenantId)))
  return {
    read: async (tenantId) => restore(await cache.read(tenantId, KEY, () => load(tenantId), { ttlMs: TTL_MS })),
    async changed(tenantIds) {
      await Promise.all([...new Set(tenantIds)].map((tenantId) => cache.invalidate(tenantId, KEY)))
    },
  }
}

/** Sets from which balance on a tenant is "low"; null: never. */
export async function setLowBalance(tx: Tx, tenantId: Id, amountMicros: Micros | null): Promise<void> {
  await tx.query(`UPDATE tenants SET settings = settings || jsonb_build_object('low_balance_micros', $2::text) WHERE id = $1`, [tenantId, amountMicros])
}

async function lowBalance(tx: Tx, tenantId: Id): Promise<string | null> {
  const { rows } = await tx.query<{ low: string | null }>(`SELECT settings->>'low_balance_micros' AS low FROM tenants WHERE id = $1`, [tenantId])
  return rows[0]?.low ?? null
}

const store = (now: Balance, low: string | null): Stored => ({
  funded: now.fundedMicros.toString(), available: now.availableMicros.toString(), held: now.heldMicros.toString(), spent: now.spentMicros.toString(), low,
})

function restore(stored: Stored): Standing {
  const availableMicros = BigInt(stored.available)
  const lowBalanceMicros = stored.low === null ? null : BigInt(stored.low)
  return {
    fundedMicros: BigInt(stored.funded), availableMicros, heldMicros: BigInt(stored.held), spentMicros: BigInt(stored.spent),
    lowBalanceMicros, low: lowBalanceMicros !== null && availableMicros < lowBalanceMicros,
  }
}
