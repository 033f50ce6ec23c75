import { Id, messageChannel, Receipt } from '@trunkline/core'
import { conversations, messages, openJson, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, IdParams, OpaqueJson, pageOf, PageQuery, Time, toWire } from '../wire.ts'
import { actorOf, inProject, projectFilter } from './caller.ts'
import { assertWindow } from './human-message.ts'
import { ContentView, messageView, MessageView } from './message-view.ts'
import { contentToWire, wirePage } from './wire-schema.ts'

const Attempt = z
  .object({
    part: z.number().int(),
    state: z.string(),
    attempt: z.number().int(),
    provider_message_id: z.string().nullable(),
    policy: z.string().nullable(),
    error_code: z.string().nullable(),
    error_message: z.string().nullable(),
    next_attempt_at: Time.nullable(),
    created_at: Time,
    sending_at: Time.nullable(),
    settled_at: Time.nullable(),
  })
  .meta({ id: 'SendAttempt' })
const ReceiptView = z.object({
  status: z.string(),
  at: Time.meta({ description: "The supplier's time" }),
  received_at: Time,
  outcome: z.string().nullable(),
  error: z.object({ code: z.string(), title: z.string() }).nullable(),
  pricing: OpaqueJson.nullable(),
})
const MessageDetail = MessageView.extend({
  details: OpaqueJson.nullable().meta({ description: 'Referral, forwarded flag, what the supplier sent beside our words' }),
  attempts: z.array(Attempt).meta({ description: 'What left for this message, part by part' }),
  receipts: z.array(ReceiptView).meta({ description: 'What the supplier said about it, as it came' }),
  reactions: z.array(z.object({ actor: z.string(), emoji: z.string(), at: Time })),
  revisions: z.array(z.object({ change: z.enum(['deleted', 'edited']), content: ContentView.nullable(), at: Time })).meta({ description: 'The customer took it back, or changed it to `content`; the message itself keeps what was said first' }),
}).meta({ id: 'MessageDetail' })

const ListQuery = PageQuery.extend({
  project_id: Id.optional(),
  contact_id: Id.optional().meta({ description: 'The outside person' }),
  conversation_id: Id.optional(),
  number_id: Id.optional(),
  agent_id: Id.optional(),
  prompt_id: Id.optional(),
  status: z.enum(messages.MESSAGE_STATUSES).optional(),
  direction: z.enum(['inbound', 'outbound']).optional(),
  since: Time.optional(),
  until: Time.optional(),
})
const RetryMessage = z.strictObject({ confirm: z.boolean().default(false).meta({ description: 'Needed for an `unknown` outcome: the customer may get it twice' }) }).nullish()

const tags = ['messages']
const read = { access: { scope: 'messages:read' } } as const
const write = { access: { scope: 'messages:write' }, idempotent: true } as const

const find = async (tx: Tx, request: FastifyRequest, id: Id): Promise<messages.Message> => inProject(request.auth, await messages.get(tx, id))

/** `/v1/messages`: every message of the tenant, with what became of it. */
export function registerMessages(app: ApiApp, deps: ApiDeps): void {
  const { db, keyring } = deps

  app.get('/v1/messages', { config: read, schema: { tags, summary: 'List messages', description: 'Newest first.', querystring: ListQuery, response: { 200: pageOf(MessageView) } } }, async ({ auth, query }) => {
    const filter: messages.MessageFilter = {
      projectId: projectFilter(auth, query.project_id),
      contactId: query.contact_id,
      conversationId: query.conversation_id,
      numberId: query.number_id,
      agentId: query.agent_id,
      promptId: query.prompt_id,
      status: query.status,
      direction: query.direction,
      since: query.since === undefined ? undefined : new Date(query.since),
      until: query.until === undefined ? undefined : new Date(query.until),
    }
    const page = await db.tenant(auth.tenantId, (tx) => messages.list(tx, filter, { limit: query.limit, before: decodeIdCursor(query.cursor) }))
    return wirePage(page, (message) => messageView(keyring, auth, message))
  })

  app.get('/v1/messages/:id', { config: read, schema: { tags, summary: 'Read a message with its delivery history', params: IdParams, response: { 200: MessageDetail } } }, async (request) => {
    const [message, history] = await db.tenant(request.auth.tenantId, async (tx) => {
      const found = await find(tx, request, request.params.id)
      return [found, await messages.history(tx, found)] as const
    })
    return { ...messageView(keyring, request.auth, message), details: message.details, ...historyView(deps, message.tenantId, history) }
  })

  const description = 'Of ours: for `failed`, `parked` and, with `confirm`, `unknown`; makes one new attempt, whoever asks. Of a customer: for `parked`, `rejected` and `failed`; it waits in its number’s line again and is answered. A second request while it runs is refused.'
  app.post('/v1/messages/:id/retry', { config: write, schema: { tags, summary: 'Send or answer a message again', description, params: IdParams, body: RetryMessage, response: { 202: MessageView } } }, async (request, reply) => {
    const { auth, params, body } = request
    const message = await db.tenant(auth.tenantId, async (tx) => {
      const found = await find(tx, request, params.id)
      await audit(tx, request, { action: 'message.retried', target: { kind: 'message', id: params.id }, changes: { was: found.status } })
      if (found.direction === 'inbound') return messages.answerAgain(tx, params.id, actorOf(auth))
      const conversation = await conversations.get(tx, found.conversationId)
      const check = (locked: messages.Message) => assertWindow(deps, conversation, deps.channels[messageChannel(conversation.channel)], locked.kind)
      const refusedIds = receiptsOf(deps, found.tenantId, await messages.history(tx, found)).flatMap(({ receipt }) => (receipt.status === 'failed' && receipt.providerMessageId ? [receipt.providerMessageId] : []))
      return messages.retry(tx, params.id, { actor: actorOf(auth), confirm: body?.confirm ?? false, refusedIds, check })
    })
    await deps.ports.wakeDirectSends(message.numberId)
    return reply.code(202).send(messageView(keyring, auth, message))
  })
}

function historyView({ keyring }: Pick<ApiDeps, 'keyring'>, tenantId: Id, history: messages.History) {
  return {
    attempts: history.attempts.map((attempt) => toWire(attempt)),
    reactions: history.reactions.map((reaction) => toWire(reaction)),
    revisions: history.revisions.map(({ change, contentSealed, at }) => ({
      change,
      content: contentSealed && contentToWire(openJson(keyring, contentSealed, tenantId) as Record<string, unknown>),
      at: at.toISOString(),
    })),
    receipts: receiptsOf({ keyring }, tenantId, history).map(({ receipt: { status, atMs, error, pricing }, receivedAt, outcome }) => ({
      status,
      at: new Date(atMs).toISOString(),
      received_at: receivedAt.toISOString(),
      outcome,
      error: error ?? null,
      pricing: pricing ?? null,
    })),
  }
}

function receiptsOf({ keyring }: Pick<ApiDeps, 'keyring'>, tenantId: Id, history: messages.History): { receipt: Receipt; receivedAt: Date; outcome: string | null }[] {
  return history.receipts.flatMap(({ payloadSealed, receivedAt, outcome }) => {
    const receipt = Receipt.safeParse(openJson(keyring, payloadSealed, tenantId))
    return receipt.success ? [{ receipt: receipt.data, receivedAt, outcome }] : []
  })
}
