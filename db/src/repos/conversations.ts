import { type ChannelId, AppError, type Id, type Identity } from '@trunkline/core'
import { and, desc, eq, getTableColumns, gte, lt, type SQL } from 'drizzle-orm'
import { contacts, conversations, phoneNumbers } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { idFloor, type Page, type PageRequest, pageOf } from './page.ts'

export type ConversationStatus = 'open' | 'closed' | 'archived'
export type Handler = 'agent' | 'human'

export type Conversation = {
  id: Id
  tenantId: Id
  projectId: Id
  numberId: Id
  channel: ChannelId
  agentId: Id | null
  contactId: Id
  contactName: string | null
  status: ConversationStatus
  archiveId: Id | null
  handler: Handler
  /** Raised by every change of hands; text made under an older epoch is discarded when it is about to be sent. */
  handlerEpoch: number
  /** The contact's address to answer to. */
  replyTo: Identity
  lastSeq: number
  lastMessageAt: Date
  /** The messaging window is counted from here. */
  lastInboundAt: Date | null
  createdAt: Date
}

const own = getTableColumns(conversations)
const columns = {
  id: own.id,
  tenantId: own.tenantId,
  projectId: own.projectId,
  numberId: own.numberId,
  channel: phoneNumbers.channel,
  agentId: own.agentId,
  contactId: own.contactId,
  contactName: contacts.name,
  status: own.status,
  archiveId: own.archiveId,
  handler: own.handler,
  handlerEpoch: own.handlerEpoch,
  replyTo: own.replyTo,
  lastSeq: own.lastSeq,
  lastMessageAt: own.lastMessageAt,
  lastInboundAt: own.lastInboundAt,
  createdAt: own.createdAt,
}

export type ConversationFilter = {
  projectId?: Id | undefined
  numberId?: Id | undefined
  agentId?: Id | undefined
  contactId?: Id | undefined
  archiveId?: Id | undefined
  status?: ConversationStatus | undefined
  handler?: Handler | undefined
  channel?: ChannelId | undefined
  /** When it began. */
  since?: Date | undefined
  until?: Date | undefined
  /** Only those with a message after this. */
  activeSince?: Date | undefined
}

const select = (tx: Tx) =>
  tx.orm.select(columns).from(conversations).innerJoin(phoneNumbers, eq(phoneNumbers.id, conversations.numberId)).innerJoin(contacts, eq(contacts.id, conversations.contactId))

export async function list(tx: Tx, filter: ConversationFilter, page: PageRequest): Promise<Page<Conversation>> {
  const rows = await select(tx)
    .where(and(...conditions(filter, page)))
    .orderBy(desc(conversations.id))
    .limit(page.limit + 1)
  return pageOf(rows as Conversation[], page.limit)
}

function conditions(filter: ConversationFilter, page: PageRequest): SQL[] {
  const where: SQL[] = []
  if (filter.projectId) where.push(eq(conversations.projectId, filter.projectId))
  if (filter.numberId) where.push(eq(conversations.numberId, filter.numberId))
  if (filter.agentId) where.push(eq(conversations.agentId, filter.agentId))
  if (filter.contactId) where.push(eq(conversations.contactId, filter.contactId))
  if (filter.archiveId) where.push(eq(conversations.archiveId, filter.archiveId))
  if (filter.status) where.push(eq(conversations.status, filter.status))
  if (filter.handler) where.push(eq(conversations.handler, filter.handler))
  if (filter.channel) where.push(eq(phoneNumbers.channel, filter.channel))
  if (filter.since) where.push(gte(conversations.id, idFloor(filter.since)))
  if (filter.until) where.push(lt(conversations.id, idFloor(filter.until)))
  if (filter.activeSince) where.push(gte(conversations.lastMessageAt, filter.activeSince))
  if (page.before) where.push(lt(conversations.id, page.before))
  return where
}

/** Throws AppError `not_found`. */
export async function get(tx: Tx, id: Id): Promise<Conversation> {
  const rows = await select(tx).where(eq(conversations.id, id))
  return (rows[0] as Conversation | undefined) ?? missing()
}

/** Locks the conversation against other writers until commit. Throws AppError `invalid_state` for an archived one. */
export async function lockWritable(tx: Tx, id: Id): Promise<Conversation> {
  const rows = await tx.query<{ status: ConversationStatus }>('SELECT status FROM conversations WHERE id = $1 FOR NO KEY UPDATE', [id])
  if (rows.rows.length === 0) missing()
  if (rows.rows[0]!.status === 'archived') throw new AppError('invalid_state', { message: 'This conversation is archived: it can be read, not changed.' })
  return get(tx, id)
}

/** Changes hands. Doing it twice changes nothing: the epoch rises only when the handler does. */
export async function setHandler(tx: Tx, id: Id, handler: Handler): Promise<Conversation> {
  const conversation = await lockWritable(tx, id)
  if (conversation.handler === handler) return conversation
  await tx.query('UPDATE conversations SET handler = $2, handler_epoch = handler_epoch + 1 WHERE id = $1', [id, handler])
  return get(tx, id)
}

/** The next message of the customer begins another conversation. Text of the agent that is not sent yet is discarded. */
export async function close(tx: Tx, id: Id): Promise<Conversation> {
  const conversation = await lockWritable(tx, id)
  if (conversation.status === 'closed') return conversation
  await tx.query("UPDATE conversations SET status = 'closed', handler_epoch = handler_epoch + 1 WHERE id = $1", [id])
  return get(tx, id)
}

/** Throws AppError `conflict` when the contact has another open conversation on the number. */
export async function reopen(tx: Tx, id: Id): Promise<Conversation> {
  const conversation = await lockWritable(tx, id)
  if (conversation.status === 'open') return conversation
  const other = await tx.query<{ id: Id }>("SELECT id FROM conversations WHERE number_id = $1 AND contact_id = $2 AND status = 'open'", [conversation.numberId, conversation.contactId])
  if (other.rows[0]) throw new AppError('conflict', { message: 'The contact has an open conversation on this number.', details: { conversation_id: other.rows[0].id } })
  await tx.query("UPDATE conversations SET status = 'open' WHERE id = $1", [id])
  return get(tx, id)
}

function missing(): never {
  throw new AppError('not_found', { message: 'There is no such conversation.' })
}
