import { AppError, newId, type Id } from '@trunkline/core'
import { and, desc, eq, getTableColumns, gte, lt, type SQL } from 'drizzle-orm'
import { conversationArchives, phoneNumbers } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { idFloor, type Page, type PageRequest, pageOf } from './page.ts'

export type ArchiveReason = 'relink' | 'number_deleted'

/** Conversations that a relink or the deletion of a number closed for ever: readable, never written again by people. */
export type Archive = {
  id: Id
  tenantId: Id
  projectId: Id
  numberId: Id
  agentId: Id | null
  promptId: Id | null
  reason: ArchiveReason
  conversationCount: number
  archivedBy: string
  createdAt: Date
}

export type NewArchive = Omit<Archive, 'id' | 'projectId' | 'conversationCount' | 'createdAt'>

/**
 * Moves every conversation of the number that is not archived yet into a new archive. Call it with the number's binding
 * locked: a conversation that opens at the same time would otherwise be left outside.
 */
export async function archiveNumber(tx: Tx, archive: NewArchive): Promise<Archive> {
  const id = newId()
  await tx.orm.insert(conversationArchives).values({ ...archive, id })
  const moved = await tx.query("UPDATE conversations SET status = 'archived', archive_id = $2 WHERE number_id = $1 AND status <> 'archived'", [archive.numberId, id])
  await tx.orm.update(conversationArchives).set({ conversationCount: moved.rowCount ?? 0 }).where(eq(conversationArchives.id, id))
  return get(tx, id)
}

const columns = { ...getTableColumns(conversationArchives), projectId: phoneNumbers.projectId }
const select = (tx: Tx) => tx.orm.select(columns).from(conversationArchives).innerJoin(phoneNumbers, eq(phoneNumbers.id, conversationArchives.numberId))

export type ArchiveFilter = {
  projectId?: Id | undefined
  numberId?: Id | undefined
  agentId?: Id | undefined
  promptId?: Id | undefined
  reason?: ArchiveReason | undefined
  since?: Date | undefined
  until?: Date | undefined
}

export async function list(tx: Tx, filter: ArchiveFilter, page: PageRequest): Promise<Page<Archive>> {
  const where: SQL[] = []
  if (filter.projectId) where.push(eq(phoneNumbers.projectId, filter.projectId))
  if (filter.numberId) where.push(eq(conversationArchives.numberId, filter.numberId))
  if (filter.agentId) where.push(eq(conversationArchives.agentId, filter.agentId))
  if (filter.promptId) where.push(eq(conversationArchives.promptId, filter.promptId))
  if (filter.reason) where.push(eq(conversationArchives.reason, filter.reason))
  if (filter.since) where.push(gte(conversationArchives.id, idFloor(filter.since)))
  if (filter.until) where.push(lt(conversationArchives.id, idFloor(filter.until)))
  if (page.before) where.push(lt(conversationArchives.id, page.before))
  const rows = await select(tx)
    .where(and(...where))
    .orderBy(desc(conversationArchives.id))
    .limit(page.limit + 1)
  return pageOf(rows as Archive[], page.limit)
}

/** Throws AppError `not_found`. */
export async function get(tx: Tx, id: Id): Promise<Archive> {
  const rows = await select(tx).where(eq(conversationArchives.id, id))
  if (rows.length === 0) throw new AppError('not_found', { message: 'There is no such archive.' })
  return rows[0] as Archive
}
