import type { CallEvent, VoiceStep } from '@trunkline/channels'
import { AppError, Id, type RawWebhook } from '@trunkline/core'
import { calls } from '@trunkline/db'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ApiDeps } from '../deps.ts'
import { tellCall, voiceNumber, type Told, type VoiceDeps, type VoiceNumber } from './events.ts'

export type VoiceWebhookDeps = VoiceDeps & { ports: Pick<ApiDeps['ports'], 'routing' | 'numberByAddress'> }

const BODY_LIMIT_BYTES = 1024 * 1024
const STEPS: ReadonlySet<string> = new Set<VoiceStep>(['status', 'next', 'transferred'])

/**
 * `POST /webhooks/voice/{number_id}` and its steps: what carriers tell of calls, and ask. The signature is over the address as the carrier
 * knows it, so PUBLIC_URL has to be that one.
 */
export function registerVoiceWebhooks(app: FastifyInstance, deps: VoiceWebhookDeps): void {
  const options = { bodyLimit: BODY_LIMIT_BYTES }
  app.post('/webhooks/voice/:numberId', options, async (request, reply) => send(reply, await tell(request, deps)))
  app.post('/webhooks/voice/:numberId/:step/:callId', options, async (request, reply) => send(reply, await tell(request, deps)))
}

type Params = { numberId: string; step?: string; callId?: string }
type Reply = { code(status: number): Reply; type(type: string): Reply; send(body: unknown): unknown }

const send = (reply: Reply, told: Told): unknown => (told ? reply.code(200).type(told.contentType).send(told.body) : reply.code(200).send({ ok: true }))

async function tell(request: FastifyRequest, deps: VoiceWebhookDeps): Promise<Told> {
  const { step, place } = await placeOf(request, deps)
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
  const raw: RawWebhook = { headers: request.headers as RawWebhook['headers'], body, query: request.query as RawWebhook['query'] }
  if (!place.carrier.verify(raw, place.config, `${deps.addresses.publicUrl}${request.url}`)) throw new AppError('signature_invalid')
  let told: Told = null
  for (const event of place.carrier.normaliseCall(place.carrier.readBody(raw), deps.clock.nowMs())) told = (await tellCall(deps, step === null ? await ownerOf(deps, place, event) : place, step, event)) ?? told
  return told
}

/**
 * All numbers of an application of Telnyx ring at one address, that of the number which was connected last: an event is the number's that it
 * names, or that its call is at. One that names none of the tenant's is left to the address's own.
 */
async function ownerOf(deps: VoiceWebhookDeps, place: VoiceNumber, event: CallEvent): Promise<VoiceNumber> {
  const { number, settings } = place
  const isNew = event.kind === 'call.initiated' && event.direction === 'inbound'
  if (isNew && event.to === number.address) return place
  const id = isNew ? await deps.ports.numberByAddress(number.tenantId, 'voice', event.to) : await deps.db.tenant(number.tenantId, (tx) => calls.numberOf(tx, settings.carrier, event.carrierCallId))
  const owner = id === null || id === number.id ? null : await deps.ports.routing.numberForRouting(id)
  const other = owner && voiceNumber(owner)
  return other?.settings.carrier === settings.carrier ? other : place
}

async function placeOf(request: FastifyRequest, deps: VoiceWebhookDeps): Promise<{ place: VoiceNumber; step: { name: VoiceStep; callId: Id } | null }> {
  const { numberId, step, callId } = request.params as Params
  const id = Id.safeParse(numberId)
  const number = id.success ? await deps.ports.routing.numberForRouting(id.data) : null
  const isStep = step === undefined || (STEPS.has(step) && Id.safeParse(callId).success)
  if (!number || !isStep || number.channel !== 'voice' || number.status === 'deleted') throw new AppError('not_found', { message: 'There is no such webhook.' })
  return { place: voiceNumber(number), step: step === undefined ? null : { name: step as VoiceStep, callId: callId! } }
}
