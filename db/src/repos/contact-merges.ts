import { AppError, newId, type Id } from '@trunkline/core'
import { and, desc, eq, lt, type SQL } from 'drizzle-orm'
import { contactMerges, contacts } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { get, type Contact } from './contacts.ts'
import { type Page, type PageRequest, pageOf } from './page.ts'

/** Every row that changed its owner, and what the receiving contact took over. */
type Moved = { identityIds: Id[]; conversationIds: Id[]; leadIds: Id[]; /** Merges of before there were calls have none. */ callIds?: Id[]; closedIds: Id[]; tookName: boolean; tookOptOut: boolean }

/** Two contacts that turned out to be one person. The giving contact stays, empty, so that the merge can be taken back. */
export type ContactMerge = { id: Id; tenantId: Id; fromId: Id; intoId: Id; moved: Moved; mergedBy: string; createdAt: Date; undoneAt: Date | null }

/**
 * Moves identities, conversations, calls and leads. Where both have an open conversation on one number, that of the giving contact
 * is closed: a contact has one open conversation on a number. An opt-out of either holds for both.
 * Throws AppError `not_found`, `invalid_request` (the same contact) or `invalid_state` (one has been merged away).
 */
export async function merge(tx: Tx, wish: { fromId: Id; intoId: Id; actor: string }): Promise<ContactMerge> {
  const { fromId, intoId, actor } = wish
  if (fromId === intoId) throw new AppError('invalid_request', { message: 'A contact cannot be merged with itself.', param: 'body.contact_id' })
  const { from, into } = await lockPair(tx, fromId, intoId)
  const closedIds = await closeTwins(tx, fromId, intoId)
  const moved: Moved = {
    identityIds: await move(tx, 'contact_identities', fromId, intoId),
    conversationIds: await move(tx, 'conversations', fromId, intoId),
    leadIds: await move(tx, 'leads', fromId, intoId),
    callIds: await move(tx, 'calls', fromId, intoId),
    closedIds,
    tookName: into.name === null && from.name !== null,
    tookOptOut: into.optedOutAt === null && from.optedOutAt !== null,
  }
  await tx.orm.update(contacts).set({ name: into.name ?? from.name, optedOutAt: into.optedOutAt ?? from.optedOutAt }).where(eq(contacts.id, intoId))
  await tx.orm.update(contacts).set({ mergedInto: intoId }).where(eq(contacts.id, fromId))
  const rows = await tx.orm.insert(contactMerges).values({ id: newId(), tenantId: into.tenantId, fromId, intoId, moved, mergedBy: actor }).returning()
  return rows[0] as ContactMerge
}

/** In the order of their ids, so that two merges of the same pair cannot wait for each other. */
async function lockPair(tx: Tx, fromId: Id, intoId: Id): Promise<{ from: Contact; into: Contact }> {
  await tx.query('SELECT 1 FROM contacts WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE', [[fromId, intoId]])
  const into = await get(tx, intoId)
  const from = await get(tx, fromId).catch((cause: unknown) => {
    throw cause instanceof AppError ? new AppError('not_found', { message: 'There is no such contact.', param: 'body.contact_id', cause }) : cause
  })
  for (const contact of [from, into]) {
    if (contact.mergedInto) throw new AppError('invalid_state', { message: 'This contact has been merged into another.', details: { contact_id: contact.id, merged_into: contact.mergedInto } })
  }
  return { from, into }
}

async function closeTwins(tx: Tx, fromId: Id, intoId: Id): Promise<Id[]> {
  const { rows } = await tx.query<{ id: Id }>(
    `UPDATE conversations f SET status = 'closed', handler_epoch = f.handler_epoch + 1 FROM conversations i
     WHERE f.contact_id = $1 AND f.status = 'open' AND i.contact_id = $2 AND i.status = 'open' AND i.number_id = f.number_id RETURNING f.id`,
    [fromId, intoId],
  )
  return rows.map((row) => row.id)
}

type Owned = 'contact_identities' | 'conversations' | 'leads' | 'calls'

async function move(tx: Tx, table: Owned, fromId: Id, intoId: Id): Promise<Id[]> {
  const { rows } = await tx.query<{ id: Id }>(`UPDATE ${table} SET contact_id = $2 WHERE contact_id = $1 RETURNING id`, [fromId, intoId])
  return rows.map((row) => row.id)
}

/**
 * Gives back what the merge had moved, and the conversations that its identities began since. What was closed stays closed.
 * Throws AppError `invalid_state` when it has been undone, or when the receiving contact has been merged on.
 */
export async function undo(tx: Tx, intoId: Id, mergeId: Id): Promise<ContactMerge> {
  const found = await tx.orm.select().from(contactMerges).where(and(eq(contactMerges.id, mergeId), eq(contactMerges.intoId, intoId))).for('update')
  const merged = found[0] as ContactMerge | undefined
  if (!merged) throw new AppError('not_found', { message: 'There is no such merge.' })
  if (merged.undoneAt) throw new AppError('invalid_state', { message: 'This merge has been undone.' })
  const into = await get(tx, intoId)
  if (into.mergedInto) throw new AppError('invalid_state', { message: 'The contact has been merged into another since; undo that first.', details: { merged_into: into.mergedInto } })
  await tx.query('SELECT 1 FROM contacts WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE', [[merged.fromId, intoId]])
  await giveBack(tx, merged)
  const { tookName, tookOptOut } = merged.moved
  if (tookName || tookOptOut) await tx.orm.update(contacts).set({ ...(tookName ? { name: null } : {}), ...(tookOptOut ? { optedOutAt: null } : {}) }).where(eq(contacts.id, intoId))
  await tx.orm.update(contacts).set({ mergedInto: null }).where(eq(contacts.id, merged.fromId))
  const rows = await tx.orm.update(contactMerges).set({ undoneAt: new Date() }).where(eq(contactMerges.id, mergeId)).returning()
  return rows[0] as ContactMerge
}

async function giveBack(tx: Tx, { fromId, intoId, moved, createdAt }: ContactMerge): Promise<void> {
  await tx.query('UPDATE contact_identities SET contact_id = $1 WHERE contact_id = $2 AND id = ANY ($3::uuid[])', [fromId, intoId, moved.identityIds])
  const { rows } = await tx.query<{ id: Id }>(
    `UPDATE conversations c SET contact_id = $1 WHERE c.contact_id = $2 AND (c.id = ANY ($3::uuid[]) OR (c.created_at > $5 AND EXISTS (
       SELECT 1 FROM contact_identities ci WHERE ci.id = ANY ($4::uuid[]) AND ci.kind = c.reply_to ->> 'kind' AND ci.value = c.reply_to ->> 'value')))
     RETURNING c.id`,
    [fromId, intoId, moved.conversationIds, moved.identityIds, createdAt],
  )
  const conversationIds = rows.map((row) => row.id)
  for (const table of ['leads', 'calls'] as const) await tx.query(`UPDATE ${table} SET contact_id = $1 WHERE contact_id = $2 AND conversation_id = ANY ($3::uuid[])`, [fromId, intoId, conversationIds])
}

/** Merges into this contact, newest first. */
export async function list(tx: Tx, intoId: Id, page: PageRequest): Promise<Page<ContactMerge>> {
  const where: SQL[] = [eq(contactMerges.intoId, intoId)]
  if (page.before) where.push(lt(contactMerges.id, page.before))
  const rows = await tx.orm.select().from(contactMerges).where(and(...where)).orderBy(desc(contactMerges.id)).limit(page.limit + 1)
  return pageOf(rows as ContactMerge[], page.limit)
}
