import type { Id } from '@trunkline/core'
import { and, desc, eq, lt, sql } from 'drizzle-orm'
import { tenants } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'

export type Tenant = { id: string; name: string; status: 'active' | 'suspended'; settings: Record<string, unknown>; createdAt: Date; suspendedAt: Date | null }

const shown = {
  id: tenants.id,
  name: tenants.name,
  status: sql<Tenant['status']>`${tenants.status}`,
  settings: sql<Tenant['settings']>`${tenants.settings}`,
  createdAt: tenants.createdAt,
  suspendedAt: tenants.suspendedAt,
}

export async function insertTenant(tx: Tx, tenant: { id: Id; name: string }): Promise<Tenant> {
  const [row] = await tx.orm.insert(tenants).values(tenant).returning(shown)
  return row!
}

export async function findTenant(tx: Tx, id: Id): Promise<Tenant | null> {
  const [row] = await tx.orm.select(shown).from(tenants).where(eq(tenants.id, id))
  return row ?? null
}

/** Newest first. Under `platform-admin` all tenants, else only the caller's own. */
export const listTenants = (tx: Tx, filter: { limit: number; before?: Id; status?: Tenant['status'] }): Promise<Tenant[]> =>
  tx.orm
    .select(shown)
    .from(tenants)
    .where(and(filter.before === undefined ? undefined : lt(tenants.id, filter.before), filter.status === undefined ? undefined : eq(tenants.status, filter.status)))
    .orderBy(desc(tenants.id))
    .limit(filter.limit)

export async function updateTenant(tx: Tx, id: Id, change: { name?: string; settings?: Record<string, unknown> }): Promise<Tenant | null> {
  const [row] = await tx.orm.update(tenants).set(change).where(eq(tenants.id, id)).returning(shown)
  return row ?? null
}

/** Idempotent: suspending twice keeps the first time. */
export async function setTenantStatus(tx: Tx, id: Id, status: Tenant['status']): Promise<Tenant | null> {
  const suspendedAt = status === 'active' ? null : sql`coalesce(${tenants.suspendedAt}, now())`
  const [row] = await tx.orm.update(tenants).set({ status, suspendedAt }).where(eq(tenants.id, id)).returning(shown)
  return row ?? null
}
