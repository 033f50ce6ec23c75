import { AppError, type Id, type IdentityKind } from '@trunkline/core'
import { and, asc, desc, eq, getTableColumns, ilike, isNotNull, isNull, lt, sql, type SQL } from 'drizzle-orm'
import { contactIdentities, contacts } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { type Page, type PageRequest, pageOf } from './page.ts'

/** An outside person of the tenant. `fields` is the tenant's own. */
export type Contact = { id: Id; tenantId: Id; name: string | null; fields: Record<string, unknown>; optedOutAt: Date | null; createdAt: Date; /** Set: merged away, and empty since. */ mergedInto: Id | null }

/** One way a contact is known. `endedAt`: known by it before. */
export type ContactIdentity = { id: Id; contactId: Id; kind: IdentityKind; scope: string; value: string; source: string; endedAt: Date | null; createdAt: Date }

export type ContactFilter = { identity?: string | undefined; name?: string | undefined; optedOut?: boolean | undefined }

/** `identity` is an exact value of a live identity; `name` a part of the name, any case. Contacts that were merged away are not listed. */
export async function list(tx: Tx, filter: ContactFilter, page: PageRequest): Promise<Page<Contact>> {
  const where: SQL[] = [isNull(contacts.mergedInto)]
  if (filter.identity !== undefined) {
    where.push(sql`EXISTS (SELECT 1 FROM contact_identities ci WHERE ci.contact_id = ${contacts.id} AND ci.value = ${filter.identity} AND ci.ended_at IS NULL)`)
  }
  if (filter.name !== undefined) where.push(ilike(contacts.name, `%${filter.name.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`))
  if (filter.optedOut !== undefined) where.push(filter.optedOut ? isNotNull(contacts.optedOutAt) : isNull(contacts.optedOutAt))
  if (page.before) where.push(lt(contacts.id, page.before))
  const rows = await tx.orm.select().from(contacts).where(and(...where)).orderBy(desc(contacts.id)).limit(page.limit + 1)
  return pageOf(rows as Contact[], page.limit)
}

/** Throws AppError `not_found`. */
export async function get(tx: Tx, id: Id): Promise<Contact> {
  const rows = await tx.orm.select().from(contacts).where(eq(contacts.id, id))
  return (rows[0] as Contact | undefined) ?? missing()
}

/** `optedOut: true` keeps the time of the first opt-out. `fields` replaces all of them. */
export async function update(tx: Tx, id: Id, patch: { name?: string | null | undefined; fields?: Record<string, unknown> | undefined; optedOut?: boolean | undefined }): Promise<Contact> {
  const rows = await tx.orm
    .update(contacts)
    .set({
      id,
      ...(patch.name === undefined ? {} : { name: patch.name }),
      ...(patch.fields === undefined ? {} : { fields: patch.fields }),
      ...(patch.optedOut === undefined ? {} : { optedOutAt: patch.optedOut ? sql`coalesce(${contacts.optedOutAt}, now())` : null }),
    })
    .where(eq(contacts.id, id))
    .returning()
  return (rows[0] as Contact | undefined) ?? missing()
}

/** Live and former, oldest first. */
export async function identities(tx: Tx, contactId: Id): Promise<ContactIdentity[]> {
  const { tenantId: _, ...columns } = getTableColumns(contactIdentities)
  const rows = await tx.orm.select(columns).from(contactIdentities).where(eq(contactIdentities.contactId, contactId)).orderBy(asc(contactIdentities.id)).limit(200)
  return rows as ContactIdentity[]
}

function missing(): never {
  throw new AppError('not_found', { message: 'There is no such contact.' })
}
