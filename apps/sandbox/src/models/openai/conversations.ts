import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { strikeBefore } from '../../faults/effects.ts'
import type { World } from '../../world.ts'
import type { Conversation } from './conversation-store.ts'
import type { OpenAiRefusal } from './errors.ts'
import { invalidRequest, keyOf, locked, notFound, refuseOpenAi, sendOpenAiRefusal } from './errors.ts'
import type { Item } from './items.ts'
import { isRefusal, itemsOf } from './items.ts'

const TARGET = 'openai.conversations'
const MAX_ITEMS = 20

type Params = { id?: string; itemId?: string }
type Handler = (input: { request: FastifyRequest; owner: string; conversation: Conversation }) => unknown

/** `/v1/conversations` and their items, with real state. */
export function conversationRoutes(app: FastifyInstance, world: World): void {
  const on = (handler: Handler) => (request: FastifyRequest, reply: FastifyReply) => serve(world, request, reply, handler)
  const exact = '/v1/conversations/:id'
  app.post('/v1/conversations', (request, reply) => serve(world, request, reply, ({ owner }) => create(world, owner, request.body)))
  app.get(exact, on(({ conversation }) => wire(conversation)))
  app.post(exact, on(({ conversation, request }) => {
    conversation.metadata = { ...(request.body as { metadata?: Record<string, string> } | null)?.metadata }
    return wire(conversation)
  }))
  app.delete(exact, on(({ conversation }) => {
    world.conversations.delete(conversation.id)
    return { id: conversation.id, object: 'conversation.deleted', deleted: true }
  }))
  app.post(`${exact}/items`, on(({ conversation, request }) => addItems(conversation, request.body)))
  app.get(`${exact}/items`, on(({ conversation, request }) => listItems(conversation.items, request.query as ListQuery)))
  app.get(`${exact}/items/:itemId`, on(({ conversation, request }) => itemOf(conversation, request)))
  app.delete(`${exact}/items/:itemId`, on(({ conversation, request }) => {
    const item = itemOf(conversation, request)
    if (typeof item.status === 'number') return item
    conversation.items = conversation.items.filter((other) => other !== item)
    return wire(conversation)
  }))
}

/** Key, faults, the conversation itself, the journal: the same for every route. */
async function serve(world: World, request: FastifyRequest, reply: FastifyReply, handler: Handler): Promise<FastifyReply | void> {
  const { id } = request.params as Params
  const kind = `${request.method} ${request.routeOptions.url ?? ''}`
  const fault = world.faults.pick(TARGET, { to: id, text: kind })
  const status = fault ? await strikeBefore(fault, reply, refuseOpenAi) : null
  if (status !== null) return void world.journal.add({ target: TARGET, outcome: 'fault', status, to: id, kind, fault: fault?.id })
  const result = answer(world, request, id, handler)
  const refused = typeof (result as OpenAiRefusal).status === 'number'
  world.journal.add({ target: TARGET, outcome: refused ? 'refused' : 'accepted', status: refused ? (result as OpenAiRefusal).status : 200, to: id ?? (result as { id?: string }).id, kind, fault: fault?.id })
  return refused ? sendOpenAiRefusal(reply, result as OpenAiRefusal) : reply.send(result)
}

function answer(world: World, request: FastifyRequest, id: string | undefined, handler: Handler): unknown {
  const auth = keyOf(request)
  if ('refusal' in auth) return auth.refusal
  const conversation = id === undefined ? undefined : world.conversations.get(auth.key, id)
  if (id !== undefined && !conversation) return notFound(`Conversation with id '${id}' not found.`)
  return handler({ request, owner: auth.key, conversation: conversation! })
}

const wire = ({ id, createdAt, metadata }: Conversation) => ({ id, object: 'conversation', created_at: createdAt, metadata })

function create(world: World, owner: string, body: unknown): unknown {
  const { items: given, metadata } = (body ?? {}) as { items?: unknown[] | null; metadata?: Record<string, string> | null }
  const items = checked(given ?? [])
  return isRefusal(items) ? items : wire(world.conversations.create(owner, items, metadata ?? {}))
}

function checked(given: unknown): Item[] | OpenAiRefusal {
  if (!Array.isArray(given)) return invalidRequest("Missing required parameter: 'items'.", 'items', 'missing_required_parameter')
  if (given.length > MAX_ITEMS) return invalidRequest(`Invalid 'items': array too long. Expected an array with maximum length ${MAX_ITEMS}, but got an array with length ${given.length} instead.`, 'items', 'array_above_max_length')
  return itemsOf(given)
}

function addItems(conversation: Conversation, body: unknown): unknown {
  if (conversation.locked) return locked
  const items = checked((body as { items?: unknown } | null)?.items)
  if (isRefusal(items)) return items
  conversation.items.push(...items)
  return page(items, false)
}

type ListQuery = { limit?: string; order?: string; after?: string }

function listItems(items: readonly Item[], { limit = '20', order = 'desc', after }: ListQuery): unknown {
  const count = Number(limit)
  if (!Number.isInteger(count) || count < 1 || count > 100) return invalidRequest("Invalid 'limit': expected an integer between 1 and 100.", 'limit', 'invalid_value')
  const sorted = order === 'asc' ? items : [...items].reverse()
  const start = after === undefined ? 0 : sorted.findIndex(({ id }) => id === after) + 1
  const found = sorted.slice(start, start + count)
  return page(found, start + count < sorted.length)
}

const page = (data: readonly Item[], hasMore: boolean) => ({ object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: hasMore })

function itemOf(conversation: Conversation, request: FastifyRequest): Item | OpenAiRefusal {
  const { itemId } = request.params as Params
  return conversation.items.find(({ id }) => id === itemId) ?? notFound(`Item with id '${itemId}' not found.`)
}
