import { AppError, newId, type Id, type VendorId } from '@trunkline/core'
import { eq, sql } from 'drizzle-orm'
import type { Keyring } from '../seal.ts'
import { vendorKeys } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'

/** A tenant's own key at an AI vendor, as its owner may see it. */
export type VendorKey = { vendor: VendorId; baseUrl: string | null; lastFour: string; createdAt: Date }

const shown = { vendor: sql<VendorId>`${vendorKeys.vendor}`, baseUrl: vendorKeys.baseUrl, lastFour: vendorKeys.lastFour, createdAt: vendorKeys.createdAt }

/** One key per vendor: a second one replaces the first. */
export async function putVendorKey(tx: Tx, keyring: Keyring, key: { tenantId: Id; vendor: VendorId; secret: string; baseUrl: string | null }): Promise<VendorKey> {
  const changed = { baseUrl: key.baseUrl, keySealed: keyring.seal(key.secret, key.tenantId), lastFour: key.secret.slice(-4), createdAt: new Date() }
  const [row] = await tx.orm
    .insert(vendorKeys)
    .values({ id: newId(), tenantId: key.tenantId, vendor: key.vendor, ...changed })
    .onConflictDoUpdate({ target: [vendorKeys.tenantId, vendorKeys.vendor], set: changed })
    .returning(shown)
  if (row === undefined) throw new AppError('internal')
  return row
}

export const listVendorKeys = (tx: Tx): Promise<VendorKey[]> => tx.orm.select(shown).from(vendorKeys).orderBy(vendorKeys.vendor)

export async function deleteVendorKey(tx: Tx, vendor: VendorId): Promise<boolean> {
  const rows = await tx.orm.delete(vendorKeys).where(eq(vendorKeys.vendor, vendor)).returning({ id: vendorKeys.id })
  return rows.length === 1
}

/** For the agents room: the key itself. Never answered over the API. */
export async function openVendorKey(tx: Tx, keyring: Keyring, tenantId: Id, vendor: VendorId): Promise<{ secret: string; baseUrl: string | null } | null> {
  const [row] = await tx.orm.select({ keySealed: vendorKeys.keySealed, baseUrl: vendorKeys.baseUrl }).from(vendorKeys).where(sql`${vendorKeys.vendor} = ${vendor} AND ${vendorKeys.tenantId} = ${tenantId}`)
  return row === undefined ? null : { secret: keyring.open(row.keySealed, tenantId).toString('utf8'), baseUrl: row.baseUrl }
}
