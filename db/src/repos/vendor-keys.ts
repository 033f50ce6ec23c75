import { AppError, newId, SpeechKeyVendorId, type Id, type KeyVendorId } from '@trunkline/core'
import { eq, inArray, sql } from 'drizzle-orm'
import type { Keyring } from '../seal.ts'
import { vendorKeys } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'

/** A tenant's own key at an AI vendor, as its owner may see it. */
export type VendorKey = { vendor: KeyVendorId; baseUrl: string | null; lastFour: string; createdAt: Date }

const shown = { vendor: sql<KeyVendorId>`${vendorKeys.vendor}`, baseUrl: vendorKeys.baseUrl, lastFour: vendorKeys.lastFour, createdAt: vendorKeys.createdAt }

/** One key per vendor: a second one replaces the first. `secret`: the key, or the JSON of one that has parts; `shownAs`: what its last four characters are shown of. */
export async function putVendorKey(tx: Tx, keyring: Keyring, key: { tenantId: Id; vendor: KeyVendorId; secret: string; baseUrl: string | null; shownAs?: string }): Promise<VendorKey> {
  const changed = { baseUrl: key.baseUrl, keySealed: keyring.seal(key.secret, key.tenantId), lastFour: (key.shownAs ?? key.secret).slice(-4), createdAt: new Date() }
  const [row] = await tx.orm
    .insert(vendorKeys)
    .values({ id: newId(), tenantId: key.tenantId, vendor: key.vendor, ...changed })
    .onConflictDoUpdate({ target: [vendorKeys.tenantId, vendorKeys.vendor], set: changed })
    .returning(shown)
  if (row === undefined) throw new AppError('internal')
  return row
}

export const listVendorKeys = (tx: Tx): Promise<VendorKey[]> => tx.orm.select(shown).from(vendorKeys).orderBy(vendorKeys.vendor)

export async function deleteVendorKey(tx: Tx, vendor: KeyVendorId): Promise<boolean> {
  const rows = await tx.orm.delete(vendorKeys).where(eq(vendorKeys.vendor, vendor)).returning({ id: vendorKeys.id })
  return rows.length === 1
}

/** For the agents room: the key itself. Never answered over the API. */
export async function openVendorKey(tx: Tx, keyring: Keyring, tenantId: Id, vendor: KeyVendorId): Promise<{ secret: string; baseUrl: string | null } | null> {
  const [row] = await tx.orm.select({ keySealed: vendorKeys.keySealed, baseUrl: vendorKeys.baseUrl }).from(vendorKeys).where(sql`${vendorKeys.vendor} = ${vendor} AND ${vendorKeys.tenantId} = ${tenantId}`)
  return row === undefined ? null : { secret: keyring.open(row.keySealed, tenantId).toString('utf8'), baseUrl: row.baseUrl }
}

/** Said over the bell when a tenant's keys are not what they were; the word is the tenant's id. A hint: whoever has a copy also looks again by itself. */
export const VENDOR_KEYS_BELL = 'vendor-keys'

export type OpenedSpeechKey = { vendor: SpeechKeyVendorId; secret: string; baseUrl: string | null }

/** For the engines of speech: all of a tenant's keys at such suppliers. Never answered over the API. */
export async function openSpeechKeys(tx: Tx, keyring: Keyring, tenantId: Id): Promise<OpenedSpeechKey[]> {
  const rows = await tx.orm
    .select({ vendor: sql<SpeechKeyVendorId>`${vendorKeys.vendor}`, keySealed: vendorKeys.keySealed, baseUrl: vendorKeys.baseUrl })
    .from(vendorKeys)
    .where(sql`${vendorKeys.tenantId} = ${tenantId} AND ${inArray(vendorKeys.vendor, [...SpeechKeyVendorId.options])}`)
    .orderBy(vendorKeys.vendor)
  return rows.map(({ vendor, keySealed, baseUrl }) => ({ vendor, secret: keyring.open(keySealed, tenantId).toString('utf8'), baseUrl }))
}
