import { AppError, Id, type RawWebhook } from '@trunkline/core'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ApiDeps } from '../deps.ts'
import { tellCall, voiceNumber, type Told, type VoiceDeps, type VoiceNumber } from './events.ts'
import type { VoiceStep } from './instructions.ts'

export type VoiceWebhookDeps = VoiceDeps & { ports: Pick<ApiDeps['ports'], 'routing'> }

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
  for (const event of place.carrier.normaliseCall(place.carrier.readBody(raw), deps.clock.nowMs())) told = (await tellCall(deps, place, step, event)) ?? told
  return told
}

async function placeOf(request: FastifyRequest, deps: VoiceWebhookDeps): Promise<{ place: VoiceNumber; step: { name: VoiceStep; callId: Id } | null }> {
  const { numberId, step, callId } = request.params as Params
  const id = Id.safeParse(numberId)
  const number = id.success ? await deps.ports.routing.numberForRouting(id.data) : null
  const isStep = step === undefined || (STEPS.has(step) && Id.safeParse(callId).success)
  if (!number || !isStep || number.channel !== 'voice' || number.status === 'deleted') throw new AppError('not_found', { message: 'There is no such webhook.' })
  return { place: voiceNumber(number), step: step === undefined ? null : { name: step as VoiceStep, callId: callId! } }
}
