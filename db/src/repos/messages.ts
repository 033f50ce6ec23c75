import { AppError, newId, type ChannelId, type Id } from '@trunkline/core'
import { and, asc, desc, eq, getTableColumns, gt, gte, inArray, lt, type SQL } from 'drizzle-orm'
import { conversations, effects, messageReactions, messageRevisions, messages, outbox, phoneNumbers } from '../tables/schema.ts'
import { queueAgain } from '../queue/again.ts'
import type { Tx } from '../tenancy.ts'
import { lockWritable } from './conversations.ts'
import { idFloor, type Page, type PageRequest, pageOf } from './page.ts'

export type Direction = 'inbound' | 'outbound'
export type Author = 'customer' | 'agent' | 'human' | 'system'
export const MESSAGE_STATUSES = ['received', 'answered', 'rejected', 'queued', 'sending', 'sent', 'delivered', 'read', 'played', 'failed', 'unknown', 'parked', 'discarded'] as const
export type MessageStatus = (typeof MESSAGE_STATUSES)[number]

/** A message with its content still sealed: opening it is the caller's decision. */
export type Message = {
  id: Id
  tenantId: Id
  projectId: Id
  conversationId: Id
  numberId: Id
  channel: ChannelId
  contactId: Id
  turnId: Id | null
  agentId: Id | null
  promptId: Id | null
  promptVersion: number | null
  /** Position in its conversation, from 1. */
  seq: number
  direction: Direction
  author: Author
  authorUserId: Id | null
  kind: string
  contentSealed: Buffer
  providerMessageId: string | null
  replyTo: string | null
  status: MessageStatus
  /** Why it has this status, when it is not a good one. */
  reason: string | null
  details: Record<string, unknown> | null
  providerAt: Date | null
  createdAt: Date
}

const columns = { ...getTableColumns(messages), channel: phoneNumbers.channel, projectId: conversations.projectId, contactId: conversations.contactId }

const select = (tx: Tx) =>
  tx.orm.select(columns).from(messages).innerJoin(conversations, eq(conversations.id, messages.conversationId)).innerJoin(phoneNumbers, eq(phoneNumbers.id, messages.numberId))

export type MessageFilter = {
  projectId?: Id | undefined
  contactId?: Id | undefined
  conversationId?: Id | undefined
  numberId?: Id | undefined
  promptId?: Id | undefined
  agentId?: Id | undefined
  status?: MessageStatus | undefined
  direction?: Direction | undefined
  since?: Date | undefined
  until?: Date | undefined
}

export async function list(tx: Tx, filter: MessageFilter, page: PageRequest): Promise<Page<Message>> {
  const rows = await select(tx)
    .where(and(...conditions(filter, page)))
    .orderBy(desc(messages.id))
    .limit(page.limit + 1)
  return pageOf(rows as Message[], page.limit)
}

function conditions(filter: MessageFilter, page: PageRequest): SQL[] {
  const where: SQL[] = []
  if (filter.projectId) where.push(eq(conversations.projectId, filter.projectId))
  if (filter.contactId) where.push(eq(conversations.contactId, filter.contactId))
  if (filter.conversationId) where.push(eq(messages.conversationId, filter.conversationId))
  if (filter.numberId) where.push(eq(messages.numberId, filter.numberId))
  if (filter.promptId) where.push(eq(messages.promptId, filter.promptId))
  if (filter.agentId) where.push(eq(messages.agentId, filter.agentId))
  if (filter.status) where.push(eq(messages.status, filter.status))
  if (filter.direction) where.push(eq(messages.direction, filter.direction))
  if (filter.since) where.push(gte(messages.id, idFloor(filter.since)))
  if (filter.until) where.push(lt(messages.id, idFloor(filter.until)))
  if (page.before) where.push(lt(messages.id, page.before))
  return where
}

/** Those of the ids that exist, in their conversation's order. */
export async function byIds(tx: Tx, ids: readonly Id[]): Promise<Message[]> {
  if (ids.length === 0) return []
  const rows = await select(tx).where(inArray(messages.id, [...ids])).orderBy(asc(messages.seq))
  return rows as Message[]
}

export type SeqPage = { limit: number; order: 'asc' | 'desc'; after?: number | undefined }

/** A conversation's messages by position, either way; `next` is the position to go on after. */
export async function ofConversation(tx: Tx, conversationId: Id, page: SeqPage): Promise<{ items: Message[]; next: number | null }> {
  const where: SQL[] = [eq(messages.conversationId, conversationId)]
  if (page.after !== undefined) where.push(page.order === 'asc' ? gt(messages.seq, page.after) : lt(messages.seq, page.after))
  const rows = await select(tx)
    .where(and(...where))
    .orderBy(page.order === 'asc' ? asc(messages.seq) : desc(messages.seq))
    .limit(page.limit + 1)
  const items = rows.slice(0, page.limit) as Message[]
  return { items, next: rows.length > page.limit ? items.at(-1)!.seq : null }
}

/** Throws AppError `not_found`. */
export async function get(tx: Tx, id: Id): Promise<Message> {
  const rows = await select(tx).where(eq(messages.id, id))
  return (rows[0] as Message | undefined) ?? missing()
}

export type Attempt = {
  part: number
  state: string
  attempt: number
  providerMessageId: string | null
  policy: string | null
  errorCode: string | null
  errorMessage: string | null
  nextAttemptAt: Date | null
  createdAt: Date
  sendingAt: Date | null
  settledAt: Date | null
}

export type History = {
  attempts: Attempt[]
  reactions: { actor: string; emoji: string; at: Date }[]
  revisions: { change: 'deleted' | 'edited'; contentSealed: Buffer | null; at: Date }[]
  /** What the supplier told about it, sealed as it came, oldest first. */
  receipts: { payloadSealed: Buffer; receivedAt: Date; outcome: string | null }[]
}

const HISTORY_ROWS = 200

/** Everything that happened to one message since. */
export async function history(tx: Tx, message: Message): Promise<History> {
  const attempts = await attemptsOf(tx, message.id)
  const before = retriesOf(message).flatMap((retry) => retry.attempts)
  const providerIds = [message, ...attempts, ...before].map((known) => known.providerMessageId).filter((id) => id !== null)
  const { actor, emoji, at } = getTableColumns(messageReactions)
  const revision = getTableColumns(messageRevisions)
  const reactions = await tx.orm.select({ actor, emoji, at }).from(messageReactions).where(eq(messageReactions.messageId, message.id)).orderBy(asc(at)).limit(HISTORY_ROWS)
  const revisions = await tx.orm
    .select({ change: revision.change, contentSealed: revision.contentSealed, at: revision.at })
    .from(messageRevisions)
    .where(eq(messageRevisions.messageId, message.id))
    .orderBy(asc(messageRevisions.id))
    .limit(HISTORY_ROWS)
  return { attempts, reactions, revisions: revisions as History['revisions'], receipts: await receiptsOf(tx, message.numberId, providerIds) }
}

async function attemptsOf(tx: Tx, messageId: Id): Promise<Attempt[]> {
  const { part, state, attempt, providerMessageId, policy, errorCode, errorMessage, nextAttemptAt, createdAt, sendingAt, settledAt } = getTableColumns(outbox)
  return tx.orm
    .select({ part, state, attempt, providerMessageId, policy, errorCode, errorMessage, nextAttemptAt, createdAt, sendingAt, settledAt })
    .from(outbox)
    .where(eq(outbox.messageId, messageId))
    .orderBy(asc(outbox.part))
    .limit(HISTORY_ROWS)
}

/** What a person's retry leaves on the message, so that every attempt stays visible. */
export type RetryRecord = { by: string; at: string; was: MessageStatus; reason: string | null; attempts: PastAttempt[] }
type PastAttempt = Pick<Attempt, 'part' | 'state' | 'attempt' | 'providerMessageId' | 'errorCode' | 'errorMessage'> & { settledAt: string | null }

export const retriesOf = (message: Message): RetryRecord[] => (message.details?.['retries'] as RetryRecord[] | undefined) ?? []

async function receiptsOf(tx: Tx, numberId: Id, providerIds: string[]): Promise<History['receipts']> {
  if (providerIds.length === 0) return []
  const { payloadSealed, receivedAt, outcome } = getTableColumns(effects)
  return tx.orm
    .select({ payloadSealed, receivedAt, outcome })
    .from(effects)
    .where(and(eq(effects.numberId, numberId), inArray(effects.providerMessageId, providerIds), eq(effects.kind, 'receipt')))
    .orderBy(asc(effects.id))
    .limit(HISTORY_ROWS)
}

export type NewOutbound = {
  conversationId: Id
  kind: string
  contentSealed: Buffer
  author: 'human' | 'system'
  authorUserId?: Id | null | undefined
  replyTo?: string | null | undefined
  details?: Record<string, unknown> | null | undefined
}

/** Adds a message of ours at the end of a conversation, `queued`. The caller holds the conversation (`lockWritable`) and queues the sending in the same transaction. */
export async function append(tx: Tx, message: NewOutbound): Promise<Message> {
  const place = await tx.query<{ tenant_id: Id; number_id: Id; agent_id: Id | null; last_seq: string }>(
    `UPDATE conversations SET last_seq = last_seq + 1, last_message_at = now(),
       first_unextracted_at = coalesce(first_unextracted_at, now()), extraction_due_at = coalesce(extraction_due_at, now() + interval '5 minutes')
     WHERE id = $1 RETURNING tenant_id, number_id, agent_id, last_seq`,
    [message.conversationId],
  )
  const row = place.rows[0] ?? missing()
  const id = newId()
  await tx.orm.insert(messages).values({
    ...message,
    id,
    tenantId: row.tenant_id,
    numberId: row.number_id,
    agentId: row.agent_id,
    seq: Number(row.last_seq),
    direction: 'outbound',
    status: 'queued',
  })
  return get(tx, id)
}

/** What leaves for one message, in order: sealed wire requests of the channel. They wait in the outbox for the worker's direct lane. */
export async function queueParts(tx: Tx, message: Pick<Message, 'id' | 'tenantId' | 'numberId' | 'conversationId'>, requestsSealed: Buffer[]): Promise<void> {
  const { id: messageId, tenantId, numberId, conversationId } = message
  const ids = risingIds(requestsSealed.length)
  await tx.orm.insert(outbox).values(requestsSealed.map((requestSealed, part) => ({ id: ids[part]!, tenantId, numberId, conversationId, messageId, part, state: 'pending', requestSealed })))
}

/** The direct lane serves a conversation by id and a message by part: ids that fall would make two parts wait for each other for ever. */
const risingIds = (count: number): Id[] => Array.from({ length: count }, () => newId()).toSorted((a, b) => (a < b ? -1 : 1))

const RETRYABLE: readonly MessageStatus[] = ['failed', 'unknown', 'parked']

export type RetryWish = {
  actor: string
  /** The asker knows that an `unknown` message may arrive twice. */
  confirm: boolean
  /** Supplier's ids of parts that were accepted and refused afterwards, by a receipt. */
  refusedIds: readonly string[]
  /** Throws when the message cannot be sent now. */
  check?: (message: Message) => void
}

/**
 * Puts what did not arrive of a message of ours back into the outbox, with a record of who asked and of what had happened.
 * Of two people who ask at once one gets AppError `invalid_state`: there is one new attempt. An `unknown` outcome may have
 * been delivered, so it needs `confirm`. Locks in the order of the senders: conversation, outbox, message.
 */
export async function retry(tx: Tx, id: Id, wish: RetryWish): Promise<Message> {
  const { conversationId } = await get(tx, id)
  await lockWritable(tx, conversationId)
  await tx.query('SELECT 1 FROM outbox WHERE message_id = $1 ORDER BY part FOR UPDATE', [id])
  await tx.query('SELECT 1 FROM messages WHERE id = $1 FOR NO KEY UPDATE', [id])
  const message = await get(tx, id)
  assertRetryable(message, wish.confirm)
  wish.check?.(message)
  const attempts = await attemptsOf(tx, id)
  await requeue(tx, message, wish.refusedIds)
  const record: RetryRecord = { by: wish.actor, at: new Date().toISOString(), was: message.status, reason: message.reason, attempts: attempts.map(snapshot) }
  const retries = [...retriesOf(message), record]
  await tx.orm
    .update(messages)
    .set({ status: 'queued', reason: null, details: { ...message.details, retries } })
    .where(eq(messages.id, id))
  return get(tx, id)
}

const ANSWERABLE: readonly MessageStatus[] = ['parked', 'rejected', 'failed']

/**
 * Puts a customer's message that was not answered at the end of its number's line once more. Of two people who ask at once one
 * gets AppError `invalid_state`.
 */
export async function answerAgain(tx: Tx, id: Id, actor: string): Promise<Message> {
  await tx.query('SELECT 1 FROM messages WHERE id = $1 FOR NO KEY UPDATE', [id])
  const message = await get(tx, id)
  if (!ANSWERABLE.includes(message.status)) {
    throw new AppError('invalid_state', { message: `A message that is ${message.status} cannot be answered again.`, details: { status: message.status } })
  }
  if (!(await queueAgain(tx, id))) throw new AppError('invalid_state', { message: 'This message never waited for an answer.' })
  const record: RetryRecord = { by: actor, at: new Date().toISOString(), was: message.status, reason: message.reason, attempts: [] }
  await tx.orm
    .update(messages)
    .set({ status: 'received', reason: null, details: { ...message.details, retries: [...retriesOf(message), record] } })
    .where(eq(messages.id, id))
  return get(tx, id)
}

/**
 * Without their turn, which has ended: the parts now belong to the direct lane, behind what waits there. Parts that arrived
 * are not sent again. A new attempt has a new id and no supplier's id, so that a late receipt for the old one does not judge it.
 */
async function requeue(tx: Tx, message: Message, refusedIds: readonly string[]): Promise<void> {
  const turn = await tx.query('SELECT 1 FROM turns WHERE id = $1 AND state <> $2', [message.turnId, 'retired'])
  if (turn.rows.length > 0) throw new AppError('invalid_state', { message: 'The turn of this message is still under way.' })
  const { rows } = await tx.query<{ id: Id }>(
    `SELECT id FROM outbox WHERE message_id = $1 AND (state IN ('failed', 'unknown', 'parked', 'pending') OR (state = 'accepted' AND provider_message_id = ANY ($2::text[]))) ORDER BY part`,
    [message.id, refusedIds],
  )
  if (rows.length === 0) throw new AppError('invalid_state', { message: 'Nothing of this message is left to send.' })
  await tx.query(
    `UPDATE outbox o SET id = i.new_id, state = 'pending', turn_id = NULL, next_attempt_at = NULL, policy = NULL, error_code = NULL, error_message = NULL, settled_at = NULL, provider_message_id = NULL
     FROM unnest($1::uuid[], $2::uuid[]) AS i (id, new_id) WHERE o.id = i.id`,
    [rows.map((row) => row.id), risingIds(rows.length)],
  )
}

function assertRetryable(message: Message, confirm: boolean): void {
  if (message.direction !== 'outbound') throw new AppError('invalid_state', { message: 'Only a message of ours can be sent again.' })
  if (!RETRYABLE.includes(message.status)) {
    throw new AppError('invalid_state', { message: `A message that is ${message.status} cannot be sent again.`, details: { status: message.status } })
  }
  if (message.status === 'unknown' && !confirm) {
    throw new AppError('invalid_state', { message: 'This message may have arrived. Set "confirm" to send it again all the same.', param: 'body.confirm' })
  }
}

const snapshot = ({ part, state, attempt, providerMessageId, errorCode, errorMessage, settledAt }: Attempt): PastAttempt => ({ part, state, attempt, providerMessageId, errorCode, errorMessage, settledAt: settledAt?.toISOString() ?? null })

function missing(): never {
  throw new AppError('not_found', { message: 'There is no such message.' })
}
