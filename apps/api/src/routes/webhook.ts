import { AppError, MessageChannelId, Id, type Channel, type InboundEvent, type NumberConfig, type RawWebhook } from '@trunkline/core'
import type { RoutedNumber } from '@trunkline/db'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ApiDeps } from '../deps.ts'

/** Meta's largest webhook body is 3 MB (developers.facebook.com/docs/graph-api/webhooks/getting-started, "Payloads can be up to 3 MB"). */
const BODY_LIMIT_BYTES = 3 * 1024 * 1024

export type WebhookDeps = Pick<ApiDeps, 'channels' | 'log'> & { ports: Pick<ApiDeps['ports'], 'routing' | 'accept' | 'numberByAddress'> }

/**
 * `GET|POST /webhooks/{channel}/{number_id}`: suppliers' events in. The handshake and the signature are the channel's; 200 says
 * that every event is committed. A supplier that hears anything else sends again, so nothing is lost and repeats end here.
 */
export function registerWebhooks(app: FastifyInstance, deps: WebhookDeps): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES }, (_request, body, done) => done(null, body))

  app.get('/webhooks/:channel/:numberId', async (request, reply) => {
    const { channel, number } = await place(request, deps)
    const challenge = channel.challenge(request.query as RawWebhook['query'], configOf(number))
    if (challenge === null) throw new AppError('permission_denied', { message: 'The verify token does not match.' })
    return reply.type('text/plain; charset=utf-8').send(challenge)
  })

  app.post('/webhooks/:channel/:numberId', async (request, reply) => {
    const { channel, number } = await place(request, deps)
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
    const raw: RawWebhook = { headers: request.headers as RawWebhook['headers'], body, query: {} }
    if (!channel.verify(raw, configOf(number))) throw new AppError('signature_invalid')
    if (number.tenantStatus === 'suspended') throw new AppError('tenant_suspended')
    await acceptAll(deps, number, channel.normalise(parse(body), Date.now()))
    return reply.code(200).send({ ok: true })
  })
}

async function place(request: FastifyRequest, deps: WebhookDeps): Promise<{ channel: Channel; number: RoutedNumber }> {
  const { channel, numberId } = request.params as { channel: string; numberId: string }
  const known = MessageChannelId.safeParse(channel)
  const id = Id.safeParse(numberId)
  const number = known.success && id.success ? await deps.ports.routing.numberForRouting(id.data) : null
  if (!known.success || !number || number.channel !== channel || number.status === 'deleted') throw new AppError('not_found', { message: 'There is no such webhook.' })
  return { channel: deps.channels[known.data], number }
}

const configOf = (number: RoutedNumber): NumberConfig => ({ numberId: number.id, address: number.address, credentials: number.credentials, settings: number.settings })

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw new AppError('invalid_json')
  }
}

/**
 * One app at the supplier may serve several numbers of a tenant through one webhook: an event goes to the number it names. What
 * names none of ours is told in the log and answered with 200, or the supplier would send it for a week.
 */
async function acceptAll(deps: WebhookDeps, number: RoutedNumber, events: InboundEvent[]): Promise<void> {
  if (events.every((event) => isFor(number, event))) {
    if (events.length > 0) await deps.ports.accept({ id: number.id, tenantId: number.tenantId }, events)
    return
  }
  const byAddress = Map.groupBy(events, (event) => (isFor(number, event) ? number.address : event.to))
  for (const [address, mine] of byAddress) {
    const id = address === number.address ? number.id : await deps.ports.numberByAddress(number.tenantId, number.channel, address)
    if (id) await deps.ports.accept({ id, tenantId: number.tenantId }, mine)
    else deps.log.warn({ numberId: number.id, events: mine.length }, 'webhook events for an address that is not ours')
  }
}

/** Notices about the whole account name no number: they are shown at the one whose webhook brought them. */
const isFor = (number: RoutedNumber, event: InboundEvent) => event.to === number.address || event.to === '' || event.kind === 'notice'
