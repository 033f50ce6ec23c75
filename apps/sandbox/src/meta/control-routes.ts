import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { ControlError, parseOr400 } from '../control/input.ts'
import type { World } from '../world.ts'
import { shakeHands } from './handshake.ts'
import { InstagramCustomerMessage, accountDestination, findAccount, instagramCustomerWrites } from './instagram/customer.ts'
import { InstagramAccount, WhatsAppNumber } from './registry.ts'
import { CustomerMessage, customerWrites, destinationOf, findNumber } from './whatsapp/customer.ts'

const Verify = z.strictObject({ webhook_url: z.url().max(2048).optional(), verify_token: z.string().max(255).optional() })
const RawWebhook = z.strictObject({ payload: z.looseObject({}), kind: z.string().max(64).default('raw') })

type ById = { Params: { id: string } }
const HANDSHAKE_MS = 10_000

/** Registers numbers and accounts, and writes as their customers. */
export function metaControlRoutes(app: FastifyInstance, world: World): void {
  numberRoutes(app, world)
  customerRoutes(app, world)
  deliveryRoutes(app, world)
}

function numberRoutes(app: FastifyInstance, world: World): void {
  const { meta } = world
  app.get('/sandbox/whatsapp/numbers', () => ({ data: [...meta.whatsapp.values()] }))
  app.post('/sandbox/whatsapp/numbers', (request, reply) => {
    const number = parseOr400(WhatsAppNumber, withOld(meta.whatsapp, request.body, 'phone_number_id'), 'body')
    meta.whatsapp.set(number.phone_number_id, number)
    return reply.code(201).send(number)
  })
  app.delete<ById>('/sandbox/whatsapp/numbers/:id', (request, reply) => reply.code(meta.whatsapp.delete(request.params.id) ? 204 : 404).send())
  app.post<ById>('/sandbox/whatsapp/numbers/:id/verify', (request) => {
    const input = parseOr400(Verify, request.body ?? {}, 'body')
    const number = findNumber(world, request.params.id)
    return shakeHands(input.webhook_url ?? destinationOf(number).url, input.verify_token ?? number.verify_token, HANDSHAKE_MS)
  })
  app.get('/sandbox/instagram/accounts', () => ({ data: [...meta.instagram.values()] }))
  app.post('/sandbox/instagram/accounts', (request, reply) => {
    const account = parseOr400(InstagramAccount, withOld(meta.instagram, request.body, 'ig_id'), 'body')
    meta.instagram.set(account.ig_id, account)
    return reply.code(201).send(account)
  })
  app.delete<ById>('/sandbox/instagram/accounts/:id', (request, reply) => reply.code(meta.instagram.delete(request.params.id) ? 204 : 404).send())
  app.post<ById>('/sandbox/instagram/accounts/:id/verify', (request) => {
    const input = parseOr400(Verify, request.body ?? {}, 'body')
    const account = findAccount(world, request.params.id)
    return shakeHands(input.webhook_url ?? accountDestination(account).url, input.verify_token ?? account.verify_token, HANDSHAKE_MS)
  })
}

/** A second registration changes what it names and keeps the rest. */
function withOld(known: ReadonlyMap<string, object>, body: unknown, key: string): unknown {
  if (typeof body !== 'object' || body === null) return body
  return { ...known.get(String((body as Record<string, unknown>)[key])), ...body }
}

function customerRoutes(app: FastifyInstance, world: World): void {
  app.post<ById>('/sandbox/whatsapp/customers/:id/messages', async (request, reply) => {
    if (!/^\d{5,32}$/.test(request.params.id)) throw new ControlError(400, 'The customer must be a phone number in digits', 'wa_id')
    return reply.code(201).send(await customerWrites(world, request.params.id, parseOr400(CustomerMessage, request.body, 'body')))
  })
  app.post<ById>('/sandbox/instagram/customers/:id/messages', async (request, reply) => {
    if (!/^\d{1,32}$/.test(request.params.id)) throw new ControlError(400, 'The customer must be an Instagram-scoped id in digits', 'igsid')
    return reply.code(201).send(await instagramCustomerWrites(world, request.params.id, parseOr400(InstagramCustomerMessage, request.body, 'body')))
  })
  // Any payload at all, signed: user_id_update, template reviews, account notices, nonsense.
  app.post<ById>('/sandbox/whatsapp/numbers/:id/webhook', async (request, reply) => {
    const { payload, kind } = parseOr400(RawWebhook, request.body, 'body')
    return reply.code(201).send(await world.webhooks.deliver(destinationOf(findNumber(world, request.params.id)), kind, payload))
  })
  app.post<ById>('/sandbox/instagram/accounts/:id/webhook', async (request, reply) => {
    const { payload, kind } = parseOr400(RawWebhook, request.body, 'body')
    return reply.code(201).send(await world.webhooks.deliver(accountDestination(findAccount(world, request.params.id)), kind, payload))
  })
}

function deliveryRoutes(app: FastifyInstance, world: World): void {
  app.get<{ Querystring: { number?: string } }>('/sandbox/webhooks', (request) => ({
    data: world.webhooks.deliveries(request.query.number).slice(-1000),
    pending: world.webhooks.pending,
  }))
  app.get<ById>('/sandbox/webhooks/:id', (request) => {
    const delivery = world.webhooks.delivery(request.params.id)
    if (!delivery) throw new ControlError(404, `There is no delivery ${request.params.id}`)
    return delivery
  })
  app.post<{ Body: { media_id?: string } | null }>('/sandbox/media/expire', (request, reply) => {
    world.media.expire(request.body?.media_id)
    return reply.code(204).send()
  })
}
