import { AppError, type Id } from '@trunkline/core'
import { and, desc, eq, isNotNull, isNull, lt, sql, type SQL } from 'drizzle-orm'
import { numberNotices } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { type Page, type PageRequest, pageOf } from './page.ts'

/** What a supplier said about one of our numbers: quality, restrictions, template reviews. */
export type Notice = {
  id: Id
  tenantId: Id
  numberId: Id
  topic: string
  severity: 'info' | 'warning' | 'critical'
  data: Record<string, unknown>
  acknowledgedAt: Date | null
  createdAt: Date
}

export type NoticeFilter = { numberId: Id; acknowledged?: boolean | undefined; severity?: Notice['severity'] | undefined }

export async function list(tx: Tx, filter: NoticeFilter, page: PageRequest): Promise<Page<Notice>> {
  const where: SQL[] = [eq(numberNotices.numberId, filter.numberId)]
  if (filter.acknowledged !== undefined) where.push(filter.acknowledged ? isNotNull(numberNotices.acknowledgedAt) : isNull(numberNotices.acknowledgedAt))
  if (filter.severity) where.push(eq(numberNotices.severity, filter.severity))
  if (page.before) where.push(lt(numberNotices.id, page.before))
  const rows = await tx.orm.select().from(numberNotices).where(and(...where)).orderBy(desc(numberNotices.id)).limit(page.limit + 1)
  return pageOf(rows as Notice[], page.limit)
}

/** The first acknowledgement counts; repeating it changes nothing. Throws AppError `not_found`. */
export async function acknowledge(tx: Tx, numberId: Id, id: Id): Promise<Notice> {
  const rows = await tx.orm
    .update(numberNotices)
    .set({ acknowledgedAt: sql`coalesce(${numberNotices.acknowledgedAt}, now())` })
    .where(and(eq(numberNotices.id, id), eq(numberNotices.numberId, numberId)))
    .returning()
  if (rows.length === 0) throw new AppError('not_found', { message: 'There is no such notice.' })
  return rows[0] as Notice
}
