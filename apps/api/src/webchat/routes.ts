import { AppError } from '@trunkline/core'
import { webchat } from '@trunkline/db'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { ErrorResponse, Time } from '../wire.ts'
import { ChatParams, openChat, visitorOf, type Chat } from './chat.ts'
import { Held } from './held.ts'
import type { Hub, Listener } from './hub.ts'
import type { Limits } from './limits.ts'
import { HeldText, VisitorWords } from './protocol.ts'
import { readMissing, readPage, type Found } from './reader.ts'
import { assertRate, say } from './say.ts'
import { newVisitorId, type SessionTokens } from './tokens.ts'
import { MessageView } from './view.ts'

/** What every part of a visitor's door needs. */
export type ChatDeps = { api: ApiDeps; limits: Limits; hub: Hub; tokens: SessionTokens }

const ChatConfig = z
  .object({
    title: z.string(),
    greeting: z.string(),
    accent_colour: z.string(),
    launcher_position: z.enum(['bottom_right', 'bottom_left']),
    pre_chat_fields: z.array(z.object({ name: z.string(), label: z.string(), type: z.enum(['text', 'email', 'phone']), required: z.boolean() })),
  })
  .meta({ id: 'WebChatConfig', examples: [{ title: 'Chat with us', greeting: 'Hello! How can we help?', accent_colour: '#1a73e8', launcher_position: 'bottom_right', pre_chat_fields: [{ name: 'email', label: 'E-mail', type: 'email', required: true }] }] })

const configOf = ({ settings }: Chat): z.infer<typeof ChatConfig> => {
  const { title, greeting, accent_colour, launcher_position, pre_chat_fields } = settings
  return { title, greeting, accent_colour, launcher_position, pre_chat_fields }
}

const OpenSession = z.strictObject({ session_token: z.string().max(2_048).optional().meta({ description: 'Of an earlier visit' }) }).nullish().meta({ examples: [{}] })
const Session = z
  .object({
    session_token: z.string().meta({ examples: ['eyJhbGciOiJIUzI1NiIsInR5cCI6InZpc2l0b3Irand0In0...'] }),
    expires_at: Time,
    visitor_id: z.string().meta({ examples: ['v_5kQ2'] }),
    config: ChatConfig,
    messages: z.array(MessageView).meta({ description: 'The last ones, oldest first' }),
    has_more: z.boolean(),
  })
  .meta({ id: 'WebChatSession' })
const Said = z.object({ client_message_id: z.string(), message_id: z.string(), duplicate: z.boolean() }).meta({ id: 'VisitorMessageAccepted', examples: [{ client_message_id: 'c_9f2k3d', message_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', duplicate: false }] })
const ListQuery = z.object({
  after: z.coerce.number().int().min(0).max(webchat.POSITION_MAX).optional().meta({ description: 'The last `seq` that the client has: waits for newer ones' }),
  have: HeldText.optional().meta({ description: 'Instead of `after`: exactly what the client has, as ranges. Also finds what was missing in between.' }),
  before: z.coerce.number().int().min(1).max(webchat.POSITION_MAX).optional().meta({ description: 'History: the messages before this `seq`' }),
  wait_ms: z.coerce.number().int().min(0).max(25_000).default(0).meta({ description: 'How long to wait for a new message' }),
  limit: z.coerce.number().int().min(1).max(100).default(50),
})
const Messages = z.object({ data: z.array(MessageView), has_more: z.boolean() }).meta({ id: 'VisitorMessages' })

const tags = ['web chat']
const refusals = { 401: ErrorResponse, 403: ErrorResponse, 404: ErrorResponse }
/** A visitor is no principal of the API: the routes check the session token themselves. */
const open = { access: 'public' } as const
const creates = { access: 'public', idempotent: false } as const

export function registerVisitorRoutes(app: ApiApp, deps: ChatDeps): void {
  registerSession(app, deps)
  registerSaying(app, deps)
  registerReading(app, deps)
}

function registerSession(app: ApiApp, { api, limits, tokens }: ChatDeps): void {
  app.get('/v1/webchat/:number_id/config', { config: open, schema: { tags, summary: 'How a web chat looks', params: ChatParams, response: { 200: ChatConfig, ...refusals } } }, async (request) => configOf(await openChat(api, request)))

  const description = 'A returning visitor sends the old token, stays the same person and gets a new one for 30 days. A token that is not good begins a new visitor.'
  app.post('/v1/webchat/:number_id/sessions', { config: creates, schema: { tags, summary: 'Open a session of a visitor', description, params: ChatParams, body: OpenSession, response: { 201: Session, ...refusals } } }, async (request, reply) => {
    const chat = await openChat(api, request)
    await assertRate(api, `webchat-session:${request.ip}`, limits.sessionsPerMinute)
    const old = request.body?.session_token
    const visitorId = (old === undefined ? undefined : await tokens.verify(old, chat.number.id).catch(() => undefined)) ?? newVisitorId()
    const { token, expiresAt } = await tokens.sign(visitorId, chat.number.id)
    const visitor = { tenantId: chat.number.tenantId, numberId: chat.number.id, visitorId }
    const { messages, hasMore } = await readPage(api, visitor, webchat.POSITION_MAX, limits.pageSize)
    return reply.code(201).send({ session_token: token, expires_at: expiresAt.toISOString(), visitor_id: visitorId, config: configOf(chat), messages, has_more: hasMore })
  })
}

function registerSaying(app: ApiApp, { api, limits, tokens }: ChatDeps): void {
  const description = 'For clients without a socket. Answers when the message is committed; the same `client_message_id` again changes nothing.'
  app.post('/v1/webchat/:number_id/messages', { config: creates, schema: { tags, summary: 'Write as a visitor', description, params: ChatParams, body: VisitorWords, response: { 202: Said, ...refusals } } }, async (request, reply) => {
    const chat = await openChat(api, request)
    const { visitorId } = await visitorOf(tokens, chat, request)
    return reply.code(202).send(await say(api, limits, chat, visitorId, request.body))
  })
}

function registerReading(app: ApiApp, deps: ChatDeps): void {
  const { api, tokens } = deps
  const waiting = new Set<() => void>()
  app.addHook('preClose', async () => waiting.forEach((stop) => stop()))
  const description = 'With `after` or `have`: what is new, waiting up to `wait_ms` for it. With `before` or nothing: a page of history, oldest first.'
  app.get('/v1/webchat/:number_id/messages', { config: open, schema: { tags, summary: 'Read as a visitor', description, params: ChatParams, querystring: ListQuery, response: { 200: Messages, ...refusals } } }, async (request, reply) => {
    const chat = await openChat(api, request)
    const visitor = await visitorOf(tokens, chat, request)
    const { after, have, before, wait_ms: waitMs, limit } = request.query
    if ([after, have, before].filter((given) => given !== undefined).length > 1) throw new AppError('invalid_request', { message: 'Give one of after, have and before.', param: 'query' })
    if (after === undefined && have === undefined) {
      const page = await readPage(api, visitor, before ?? webchat.POSITION_MAX, limit)
      return { data: page.messages, has_more: page.hasMore }
    }
    const held = have === undefined ? Held.upTo(after!) : Held.parse(have, 'query.have')
    const found = await readOrWait(deps, visitor, held, waitMs, stopOf(reply, waiting))
    return { data: found.messages, has_more: found.more }
  })
}

/** Aborts when the client goes or the server closes. */
function stopOf(reply: FastifyReply, waiting: Set<() => void>): AbortSignal {
  const aborter = new AbortController()
  const stop = () => aborter.abort()
  waiting.add(stop)
  reply.raw.once('close', () => {
    waiting.delete(stop)
    stop()
  })
  return aborter.signal
}

/** Reads; when there is nothing, waits for the bell or a sweep and reads again, until the time is over. */
async function readOrWait({ api, limits, hub }: ChatDeps, visitor: webchat.Visitor, held: Held, waitMs: number, signal: AbortSignal): Promise<Found> {
  const deadlineMs = api.clock.nowMs() + waitMs
  const bell = createWaiter()
  const listener: Listener = { wake: bell.wake, typing: () => {}, restless: false }
  const unwatch = waitMs > 0 ? hub.watch(visitor, listener) : () => {}
  signal.addEventListener('abort', bell.wake, { once: true })
  try {
    for (;;) {
      bell.rest()
      const found = await readMissing(api, limits, visitor, held)
      const leftMs = deadlineMs - api.clock.nowMs()
      if (found.messages.length > 0 || found.more || leftMs <= 0 || signal.aborted) return found
      listener.restless = found.restless
      const cancel = api.clock.after(leftMs, bell.wake)
      await bell.wait()
      cancel()
    }
  } finally {
    unwatch()
  }
}

/** A bell that remembers that it rang while nobody waited. */
function createWaiter() {
  let { promise, resolve } = Promise.withResolvers<void>()
  return {
    wake: () => resolve(),
    wait: () => promise,
    rest: () => {
      ;({ promise, resolve } = Promise.withResolvers<void>())
    },
  }
}
