import { AppError, type CallDirection, type CallEventKind, type CallStatus, type CarrierId, type Id } from '@trunkline/core'
import { and, asc, desc, eq, gt, gte, isNotNull, isNull, lt, or, type SQL } from 'drizzle-orm'
import { callEvents, calls, messages } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { idFloor, type Page, type PageRequest, pageOf } from '../repos/page.ts'
import { callOf, type Call, type StoredCallEvent } from './contract.ts'

export type CallFilter = {
  projectId?: Id | undefined
  numberId?: Id | undefined
  agentId?: Id | undefined
  contactId?: Id | undefined
  conversationId?: Id | undefined
  direction?: CallDirection | undefined
  status?: CallStatus | undefined
  /** True: not ended yet. */
  live?: boolean | undefined
  /** An exact address at either end. */
  address?: string | undefined
  /** When it began. */
  since?: Date | undefined
  until?: Date | undefined
}

export async function list(tx: Tx, filter: CallFilter, page: PageRequest): Promise<Page<Call>> {
  const rows = await tx.orm.select().from(calls).where(and(...conditions(filter, page))).orderBy(desc(calls.id)).limit(page.limit + 1)
  return pageOf(rows.map(callOf), page.limit)
}

function conditions(filter: CallFilter, page: PageRequest): SQL[] {
  const where: SQL[] = []
  if (filter.projectId) where.push(eq(calls.projectId, filter.projectId))
  if (filter.numberId) where.push(eq(calls.numberId, filter.numberId))
  if (filter.agentId) where.push(eq(calls.agentId, filter.agentId))
  if (filter.contactId) where.push(eq(calls.contactId, filter.contactId))
  if (filter.conversationId) where.push(eq(calls.conversationId, filter.conversationId))
  if (filter.direction) where.push(eq(calls.direction, filter.direction))
  if (filter.status) where.push(eq(calls.status, filter.status))
  if (filter.live !== undefined) where.push(filter.live ? isNull(calls.endedAt) : isNotNull(calls.endedAt))
  if (filter.address) where.push(or(eq(calls.fromAddress, filter.address), eq(calls.toAddress, filter.address))!)
  if (filter.since) where.push(gte(calls.id, idFloor(filter.since)))
  if (filter.until) where.push(lt(calls.id, idFloor(filter.until)))
  if (page.before) where.push(lt(calls.id, page.before))
  return where
}

/** Throws AppError `not_found`. */
export async function get(tx: Tx, id: Id): Promise<Call> {
  const call = await find(tx, id)
  if (!call) throw new AppError('not_found', { message: 'There is no such call.' })
  return call
}

/** Null: there is none. */
export async function find(tx: Tx, id: Id): Promise<Call | null> {
  const [row] = await tx.orm.select().from(calls).where(eq(calls.id, id))
  return row ? callOf(row) : null
}

/** Null for a call that the carrier names and we do not know. */
export async function findByCarrier(tx: Tx, numberId: Id, carrierCallId: string): Promise<Call | null> {
  const [row] = await tx.orm.select().from(calls).where(and(eq(calls.numberId, numberId), eq(calls.carrierCallId, carrierCallId)))
  return row ? callOf(row) : null
}

/** The number of the call that a carrier names, whichever of the tenant's it is at. Null for a call that we do not know. */
export async function numberOf(tx: Tx, carrier: CarrierId, carrierCallId: string): Promise<Id | null> {
  const { rows } = await tx.query<{ number_id: Id }>(
    `SELECT c.number_id FROM phone_numbers n JOIN calls c ON c.number_id = n.id AND c.carrier_call_id = $2 WHERE n.channel = 'voice' AND c.carrier = $1 LIMIT 1`,
    [carrier, carrierCallId],
    'calls_number_of',
  )
  return rows[0]?.number_id ?? null
}

export type TranscriptRow = { id: Id; seq: number; author: 'customer' | 'agent'; contentSealed: Buffer; details: Record<string, unknown> | null; createdAt: Date }

/** What was said, in the order it was kept. A call of four hours has some thousands of rows; `after` is a position in the conversation. */
export async function transcript(tx: Tx, callId: Id, page: { limit: number; after?: number | undefined }): Promise<{ items: TranscriptRow[]; next: number | null }> {
  const rows = await tx.orm
    .select({ id: messages.id, seq: messages.seq, author: messages.author, contentSealed: messages.contentSealed, details: messages.details, createdAt: messages.createdAt })
    .from(messages)
    .where(and(eq(messages.callId, callId), ...(page.after === undefined ? [] : [gte(messages.seq, page.after + 1)])))
    .orderBy(asc(messages.seq))
    .limit(page.limit + 1)
  const items = rows.slice(0, page.limit) as TranscriptRow[]
  return { items, next: rows.length > page.limit ? items.at(-1)!.seq : null }
}

/** What happened, in order. `after` is the id of the last one seen. */
export async function events(tx: Tx, callId: Id, filter: { kind?: CallEventKind | undefined; limit: number; after?: number | undefined }): Promise<StoredCallEvent[]> {
  const rows = await tx.orm
    .select({ id: callEvents.id, kind: callEvents.kind, atMs: callEvents.atMs, data: callEvents.data, createdAt: callEvents.createdAt })
    .from(callEvents)
    .where(and(eq(callEvents.callId, callId), ...(filter.kind ? [eq(callEvents.kind, filter.kind)] : []), ...(filter.after === undefined ? [] : [gt(callEvents.id, filter.after)])))
    .orderBy(asc(callEvents.id))
    .limit(filter.limit)
  return rows as StoredCallEvent[]
}

/** The last thing of one kind that happened; null: none did. */
export async function latestEvent(tx: Tx, callId: Id, kind: CallEventKind): Promise<StoredCallEvent | null> {
  const [row] = await tx.orm
    .select({ id: callEvents.id, kind: callEvents.kind, atMs: callEvents.atMs, data: callEvents.data, createdAt: callEvents.createdAt })
    .from(callEvents)
    .where(and(eq(callEvents.callId, callId), eq(callEvents.kind, kind)))
    .orderBy(desc(callEvents.id))
    .limit(1)
  return (row as StoredCallEvent | undefined) ?? null
}
