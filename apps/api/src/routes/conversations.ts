import { AppError, ChannelId, Id, OutboundContent } from '@trunkline/core'
import { contacts, conversations, messages, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeCursor, decodeIdCursor, encodeCursor, fromWire, IdParams, pageOf, PageQuery, Time } from '../wire.ts'
import { inProject, projectFilter } from './caller.ts'
import { ContactView, contactView } from './contact-view.ts'
import { ConversationView, conversationView } from './conversation-view.ts'
import { tellHandler, writeAsHuman } from './human-message.ts'
import { messageView, MessageView } from './message-view.ts'
import { wirePage, wireSchema } from './wire-schema.ts'

const ConversationDetail = ConversationView.extend({ contact: ContactView }).meta({ id: 'ConversationDetail' })
const ListQuery = PageQuery.extend({
  project_id: Id.optional(),
  number_id: Id.optional(),
  agent_id: Id.optional(),
  contact_id: Id.optional(),
  status: ConversationView.shape.status.optional(),
  handler: ConversationView.shape.handler.optional(),
  channel: ChannelId.optional(),
  since: Time.optional().meta({ description: 'Begun at or after' }),
  until: Time.optional().meta({ description: 'Begun before' }),
  active_since: Time.optional().meta({ description: 'With a message at or after' }),
})
const MessagesQuery = PageQuery.extend({ order: z.enum(['asc', 'desc']).default('asc').meta({ description: '`asc`: oldest first' }) })
const UpdateConversation = z.strictObject({ status: z.enum(['open', 'closed']).optional(), handler: ConversationView.shape.handler.optional() })
const SendMessage = z
  .strictObject({ content: wireSchema(OutboundContent).meta({ description: 'By `kind`; what the channel cannot show is degraded and said so' }), reply_to_message_id: Id.optional().meta({ description: 'The message to quote' }) })
  .meta({ examples: [{ content: { kind: 'text', text: 'We open at nine.' } }, { content: { kind: 'template', name: 'appointment_reminder', language: 'en', parameters: ['Monday'] } }] })

const tags = ['conversations']
const read = { access: { scope: 'conversations:read' } } as const
const write = { access: { scope: 'conversations:write' }, idempotent: false } as const

const date = (text: string | undefined): Date | undefined => (text === undefined ? undefined : new Date(text))
const find = async (tx: Tx, request: FastifyRequest, id: Id): Promise<conversations.Conversation> => inProject(request.auth, await conversations.get(tx, id))

/** `/v1/conversations`: what customers and we said to each other. */
export function registerConversations(app: ApiApp, deps: ApiDeps): void {
  registerReads(app, deps)
  registerHands(app, deps)
  registerSending(app, deps)
}

function registerReads(app: ApiApp, deps: ApiDeps): void {
  const { db, keyring } = deps
  const view = conversationView(deps.channels)
  app.get('/v1/conversations', { config: read, schema: { tags, summary: 'List conversations', querystring: ListQuery, response: { 200: pageOf(ConversationView) } } }, async ({ auth, query }) => {
    const { limit, cursor, project_id, since, until, active_since, ...rest } = query
    const filter = { ...fromWire(rest), projectId: projectFilter(auth, project_id), since: date(since), until: date(until), activeSince: date(active_since) }
    return wirePage(await db.tenant(auth.tenantId, (tx) => conversations.list(tx, filter, { limit, before: decodeIdCursor(cursor) })), view)
  })

  app.get('/v1/conversations/:id', { config: read, schema: { tags, summary: 'Read a conversation with its contact', params: IdParams, response: { 200: ConversationDetail } } }, async (request) =>
    db.tenant(request.auth.tenantId, async (tx) => {
      const conversation = await find(tx, request, request.params.id)
      return { ...view(conversation), contact: contactView(await contacts.get(tx, conversation.contactId), await contacts.identities(tx, conversation.contactId)) }
    }),
  )

  app.get('/v1/conversations/:id/messages', { config: read, schema: { tags, summary: 'Read the messages of a conversation', description: 'Oldest first, or newest first with `order=desc`.', params: IdParams, querystring: MessagesQuery, response: { 200: pageOf(MessageView) } } }, async (request) => {
    const { auth, params, query } = request
    const after = decodeCursor(query.cursor, z.tuple([z.coerce.number().int().nonnegative()]))?.[0]
    const page = await db.tenant(auth.tenantId, async (tx) => {
      await find(tx, request, params.id)
      return messages.ofConversation(tx, params.id, { limit: query.limit, order: query.order, after })
    })
    return { data: page.items.map((message) => messageView(keyring, auth, message)), has_more: page.next !== null, next_cursor: page.next === null ? null : encodeCursor(String(page.next)) }
  })
}

function registerHands(app: ApiApp, deps: ApiDeps): void {
  const view = conversationView(deps.channels)
  const change = (request: FastifyRequest, id: Id, action: string, work: (tx: Tx) => Promise<conversations.Conversation>) =>
    deps.db.tenant(request.auth.tenantId, async (tx) => {
      const before = await find(tx, request, id)
      const after = await work(tx)
      const changes = { handler: [before.handler, after.handler], status: [before.status, after.status] }
      await audit(tx, request, { action, target: { kind: 'conversation', id }, changes })
      tellHandler(tx, before, after)
      return view(after)
    })
  const response = { 200: ConversationView }

  app.post('/v1/conversations/:id/take-over', { config: write, schema: { tags, summary: 'A person answers from now on', description: 'Text the agent has not sent yet is discarded.', params: IdParams, response } }, async (request) =>
    change(request, request.params.id, 'conversation.taken_over', (tx) => conversations.setHandler(tx, request.params.id, 'human')),
  )
  app.post('/v1/conversations/:id/hand-back', { config: write, schema: { tags, summary: 'The agent answers from now on', params: IdParams, response } }, async (request) =>
    change(request, request.params.id, 'conversation.handed_back', (tx) => conversations.setHandler(tx, request.params.id, 'agent')),
  )
  app.post('/v1/conversations/:id/close', { config: write, schema: { tags, summary: 'Close a conversation', description: 'The next message of the customer begins another.', params: IdParams, response } }, async (request) =>
    change(request, request.params.id, 'conversation.closed', (tx) => conversations.close(tx, request.params.id)),
  )
  app.patch('/v1/conversations/:id', { config: write, schema: { tags, summary: 'Change status or handler', params: IdParams, body: UpdateConversation, response } }, async (request) => {
    const { params, body } = request
    return change(request, params.id, 'conversation.updated', async (tx) => {
      if (body.handler !== undefined) await conversations.setHandler(tx, params.id, body.handler)
      if (body.status === 'closed') await conversations.close(tx, params.id)
      if (body.status === 'open') await conversations.reopen(tx, params.id)
      return conversations.get(tx, params.id)
    })
  })
}

function registerSending(app: ApiApp, deps: ApiDeps): void {
  const description = 'Takes the conversation over when the agent has it, and opens it again when it was closed. Outside the messaging window only a template can be sent (`window_closed`).'
  const config = { access: { scope: 'messages:write' }, idempotent: true } as const
  app.post('/v1/conversations/:id/messages', { config, schema: { tags, summary: 'Send a message as a person', description, params: IdParams, body: SendMessage, response: { 202: MessageView } } }, async (request, reply) => {
    const { auth, params, body } = request
    const content = parsedContent(body.content)
    const message = await deps.db.tenant(auth.tenantId, async (tx) => {
      await find(tx, request, params.id)
      const userId = auth.actor.kind === 'user' ? auth.actor.id : null
      const written = await writeAsHuman(tx, deps, { conversationId: params.id, content, replyToMessageId: body.reply_to_message_id, userId })
      await audit(tx, request, { action: 'message.sent', target: { kind: 'message', id: written.id }, changes: { conversation_id: params.id, kind: written.kind } })
      return written
    })
    await deps.ports.wakeDirectSends(message.numberId)
    return reply.code(202).send(messageView(deps.keyring, auth, message))
  })
}

function parsedContent(wire: unknown): OutboundContent {
  const parsed = OutboundContent.safeParse(fromWire(wire))
  if (!parsed.success) throw new AppError('invalid_request', { param: 'body.content', cause: parsed.error })
  if (parsed.data.kind === 'text' && parsed.data.text.trim() === '') throw new AppError('invalid_request', { message: 'body.content.text: The text is empty.', param: 'body.content.text' })
  return parsed.data
}
