import { AppError, type Id, type MediaRef, newId } from '@trunkline/core'
import { and, desc, eq, getTableColumns, lt, type SQL } from 'drizzle-orm'
import { media, phoneNumbers } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { type Page, type PageRequest, pageOf } from './page.ts'

export type MediaState = 'pending' | 'stored' | 'failed'

/** A file with a life of its own: its download has its own retries, whatever became of the message. */
export type Media = {
  id: Id
  tenantId: Id
  projectId: Id
  numberId: Id
  messageId: Id | null
  /** Where it comes from. */
  source: MediaRef
  state: MediaState
  attempts: number
  nextAttemptAt: Date | null
  error: string | null
  mimeType: string | null
  sizeBytes: number | null
  sha256: string | null
  /** Set once stored; a key of the media store. */
  storageKey: string | null
  filename: string | null
  createdAt: Date
  storedAt: Date | null
}

const columns = { ...getTableColumns(media), projectId: phoneNumbers.projectId }
const select = (tx: Tx) => tx.orm.select(columns).from(media).innerJoin(phoneNumbers, eq(phoneNumbers.id, media.numberId))

export type MediaFilter = { projectId?: Id | undefined; numberId?: Id | undefined; messageId?: Id | undefined; state?: MediaState | undefined }

export async function list(tx: Tx, filter: MediaFilter, page: PageRequest): Promise<Page<Media>> {
  const where: SQL[] = []
  if (filter.projectId) where.push(eq(phoneNumbers.projectId, filter.projectId))
  if (filter.numberId) where.push(eq(media.numberId, filter.numberId))
  if (filter.messageId) where.push(eq(media.messageId, filter.messageId))
  if (filter.state) where.push(eq(media.state, filter.state))
  if (page.before) where.push(lt(media.id, page.before))
  const rows = await select(tx)
    .where(and(...where))
    .orderBy(desc(media.id))
    .limit(page.limit + 1)
  return pageOf(rows as Media[], page.limit)
}

/** Throws AppError `not_found`. */
export async function get(tx: Tx, id: Id): Promise<Media> {
  const rows = await select(tx).where(eq(media.id, id))
  return (rows[0] as Media | undefined) ?? missing()
}

export type StoredFile = { storageKey: string; sha256: string; sizeBytes: number; mimeType: string; filename?: string | null | undefined }

/** A file that is in the store already (an upload). */
export async function insertStored(tx: Tx, file: StoredFile & { tenantId: Id; numberId: Id }): Promise<Media> {
  const source = { mimeType: file.mimeType, sha256: file.sha256, sizeBytes: file.sizeBytes }
  const id = newId()
  await tx.orm.insert(media).values({ ...file, id, source, state: 'stored', storedAt: new Date() })
  return get(tx, id)
}

/** Makes a failed download due now, with a fresh count of attempts. Throws AppError `invalid_state` unless it has failed. */
export async function retry(tx: Tx, id: Id): Promise<Media> {
  const due = await tx.orm
    .update(media)
    .set({ state: 'pending', attempts: 0, nextAttemptAt: new Date(), error: null })
    .where(and(eq(media.id, id), eq(media.state, 'failed')))
    .returning({ id: media.id })
  const found = await get(tx, id)
  if (due.length > 0) return found
  throw new AppError('invalid_state', { message: `Only a failed download can be retried; this one is ${found.state}.` })
}

function missing(): never {
  throw new AppError('not_found', { message: 'There is no such file.' })
}
