import { AppError, type Id } from '@trunkline/core'
import { and, desc, eq, gte, lt, type SQL } from 'drizzle-orm'
import { leads } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { idFloor, type Page, type PageRequest, pageOf } from './page.ts'

export const LEAD_STATUSES = ['new', 'contacted', 'qualified', 'won', 'lost'] as const
export type LeadStatus = (typeof LEAD_STATUSES)[number]

/** What extraction found in one conversation. Null means "not said". */
export type Lead = {
  id: Id
  tenantId: Id
  projectId: Id
  conversationId: Id
  numberId: Id
  contactId: Id
  status: LeadStatus
  name: string | null
  email: string | null
  phone: string | null
  company: string | null
  intent: string | null
  urgency: string | null
  budget: string | null
  fit: string | null
  engagement: string | null
  demoDatetime: Date | null
  smartNotification: string | null
  evidenceMessageIds: Id[]
  extractedSeq: number
  extractedBy: string
  createdAt: Date
  updatedAt: Date
}

export type LeadFilter = {
  projectId?: Id | undefined
  numberId?: Id | undefined
  contactId?: Id | undefined
  conversationId?: Id | undefined
  status?: LeadStatus | undefined
  urgency?: string | undefined
  fit?: string | undefined
  since?: Date | undefined
  until?: Date | undefined
}

export async function list(tx: Tx, filter: LeadFilter, page: PageRequest): Promise<Page<Lead>> {
  const rows = await tx.orm
    .select()
    .from(leads)
    .where(and(...conditions(filter, page)))
    .orderBy(desc(leads.id))
    .limit(page.limit + 1)
  return pageOf(rows as Lead[], page.limit)
}

function conditions(filter: LeadFilter, page: PageRequest): SQL[] {
  const where: SQL[] = []
  if (filter.projectId) where.push(eq(leads.projectId, filter.projectId))
  if (filter.numberId) where.push(eq(leads.numberId, filter.numberId))
  if (filter.contactId) where.push(eq(leads.contactId, filter.contactId))
  if (filter.conversationId) where.push(eq(leads.conversationId, filter.conversationId))
  if (filter.status) where.push(eq(leads.status, filter.status))
  if (filter.urgency) where.push(eq(leads.urgency, filter.urgency))
  if (filter.fit) where.push(eq(leads.fit, filter.fit))
  if (filter.since) where.push(gte(leads.id, idFloor(filter.since)))
  if (filter.until) where.push(lt(leads.id, idFloor(filter.until)))
  if (page.before) where.push(lt(leads.id, page.before))
  return where
}

/** Throws AppError `not_found`. */
export async function get(tx: Tx, id: Id): Promise<Lead> {
  const rows = await tx.orm.select().from(leads).where(eq(leads.id, id))
  return (rows[0] as Lead | undefined) ?? missing()
}

export async function setStatus(tx: Tx, id: Id, status: LeadStatus): Promise<Lead> {
  const rows = await tx.orm.update(leads).set({ status, updatedAt: new Date() }).where(eq(leads.id, id)).returning()
  return (rows[0] as Lead | undefined) ?? missing()
}

function missing(): never {
  throw new AppError('not_found', { message: 'There is no such lead.' })
}
