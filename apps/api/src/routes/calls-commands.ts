import { CallAddress, DtmfDigits } from '@trunkline/channels'
import { AppError, CallOptions, E164, Id, type Id as IdOf } from '@trunkline/core'
import { calls, numbers } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { voiceNumber, type VoiceNumber } from '../voice/events.ts'
import { placeCall } from '../voice/place.ts'
import { hangUpCall, pressKeys, transferCall, type Steered } from '../voice/steer.ts'
import { IdParams } from '../wire.ts'
import { actorOf } from './caller.ts'
import type { FindCall } from './calls-transcript.ts'
import { CallView, callView } from './calls-view.ts'

const METADATA_KEYS_MAX = 16
const Metadata = z
  .record(z.string().regex(/^[\w.-]{1,64}$/, 'letters, digits, _, . and -, at most 64'), z.string().max(512))
  .refine((all) => Object.keys(all).length <= METADATA_KEYS_MAX, `At most ${METADATA_KEYS_MAX} keys.`)

/** A call that nobody takes for longer is given up by the recovery (db/src/calls/end.ts). */
const RING_SECONDS_MAX = 90

const PlaceCall = z
  .strictObject({
    from: z.union([Id, E164]).meta({ description: 'A telephone number of yours: its id, or the number itself', examples: ['+4722334455'] }),
    to: CallAddress.meta({ description: 'E.164, or a sip: address', examples: ['+4799887766'] }),
    greeting: CallOptions.shape.greeting.meta({ description: "What the agent says when the phone is taken, instead of the number's own greeting; null: the other side begins" }),
    max_duration_seconds: CallOptions.shape.max_duration_seconds.meta({ description: "Instead of the number's own" }),
    machine_detection: z.enum(['off', 'detect', 'carrier']).default('off').meta({ description: '`detect`: who has answered is found out before the agent speaks, by their words, pauses and tones (an event of kind `machine`). `carrier`: the carrier says so, at its price, and the call goes on meanwhile' }),
    voicemail_message: CallOptions.shape.voicemail_message.meta({ description: 'With `detect`: left when a machine has answered, after its tone. Without it the call is hung up then (`end_reason` is `voicemail` both times)' }),
    timeout_seconds: z.number().int().min(5).max(RING_SECONDS_MAX).default(30).meta({ description: 'How long it may ring' }),
    send_digits: DtmfDigits.optional().meta({ description: 'Pressed when the phone is taken: an extension', examples: ['ww42'] }),
    metadata: Metadata.default({}).meta({ description: `Yours: at most ${METADATA_KEYS_MAX} keys with short texts. It comes back with the call.` }),
  })
  .meta({ examples: [{ from: '+4722334455', to: '+4799887766', greeting: 'Hello, this is Harbour Bikes: your bicycle is ready.', metadata: { order: '1044' } }] })
const TransferCall = z
  .strictObject({
    to: CallAddress.meta({ description: 'E.164, or a sip: address' }),
    from: E164.optional().meta({ description: 'Shown to whom is called; a number of yours at the same carrier. Default: the number of the call.' }),
    timeout_seconds: z.number().int().min(5).max(120).optional().meta({ description: "How long it may ring. Default: the number's `transfer_timeout_seconds`." }),
  })
  .meta({ examples: [{ to: '+4799887766', timeout_seconds: 20 }] })
const PressKeys = z.strictObject({ digits: DtmfDigits.meta({ description: '0-9, A-D, * and #; `w` waits half a second, `W` a whole one' }) }).meta({ examples: [{ digits: '1w42#' }] })

const tags = ['calls']
const access = { scope: 'calls:write' } as const

/** Calls are placed, hung up, put through, and keys are pressed in them. */
export function registerCallCommands(app: ApiApp, deps: ApiDeps, find: FindCall): void {
  registerPlacing(app, deps)
  registerSteering(app, deps, find)
}

function registerPlacing(app: ApiApp, deps: ApiDeps): void {
  const description = 'The agent of the number speaks when the phone is taken. 201: the carrier has taken the call. 202: it did not say; the call itself tells. Without credit 402, with too many calls at a time 429: then the call is kept with its reason (`details.call_id`).'
  app.post('/v1/calls', { config: { access, idempotent: true }, schema: { tags, summary: 'Call somebody', description, body: PlaceCall, response: { 201: CallView, 202: CallView } } }, async (request, reply) => {
    const { auth, body } = request
    const place = await telephoneOf(deps, request, body.from)
    if (body.to === place.number.address) throw new AppError('invalid_request', { message: 'body.to: A number cannot call itself.', param: 'body.to' })
    const { outcome, call } = await placeCall(deps, {
      place, to: body.to, placedBy: actorOf(auth), metadata: body.metadata, detectMachine: body.machine_detection === 'carrier', timeoutSeconds: body.timeout_seconds, sendDigits: body.send_digits,
      options: { ...CallOptions.parse(body), ...(body.machine_detection === 'detect' ? { detect_machine: true } : {}) },
      also: (tx, { id, status }) => audit(tx, request, { action: 'call.placed', target: { kind: 'call', id }, changes: { number_id: place.number.id, status } }),
    })
    return reply.code(outcome === 'accepted' ? 201 : 202).send(callView(deps)(call))
  })
}

/** The caller's own number, by id or address. */
async function telephoneOf(deps: ApiDeps, request: FastifyRequest, from: string): Promise<VoiceNumber> {
  const { auth } = request
  const unknown = () => new AppError('not_found', { message: 'There is no such telephone number.', param: 'body.from' })
  const number = await deps.db.tenant(auth.tenantId, async (tx) => {
    const id = Id.safeParse(from).success ? from : await numbers.findByAddress(tx, 'voice', from)
    if (id === null) throw unknown()
    const found = await numbers.get(tx, id).catch(() => null)
    if (found === null || (auth.projectId !== null && found.projectId !== auth.projectId)) throw unknown()
    return found
  })
  if (number.channel !== 'voice') throw new AppError('invalid_request', { message: 'body.from: This is no telephone number.', param: 'body.from' })
  return placeOf(deps, number.id)
}

async function placeOf(deps: ApiDeps, numberId: IdOf): Promise<VoiceNumber> {
  const routed = await deps.ports.routing.numberForRouting(numberId)
  if (routed === null) throw new AppError('not_found', { message: 'There is no such telephone number.' })
  return voiceNumber(routed)
}

type Params = { params: { id: IdOf } }

function registerSteering(app: ApiApp, deps: ApiDeps, find: FindCall): void {
  const view = callView(deps)
  const response = { 200: CallView }
  const steer = async (request: FastifyRequest & Params, action: string, work: (steered: Steered) => Promise<void>) => {
    const { auth, params: { id } } = request
    const call = await deps.db.tenant(auth.tenantId, (tx) => find(tx, request, id))
    await work({ call, place: await placeOf(deps, call.numberId), also: (tx) => audit(tx, request, { action, target: { kind: 'call', id } }) })
    return view(await deps.db.tenant(auth.tenantId, (tx) => calls.get(tx, id)))
  }

  const hangUp = 'Ringing or talking. The answer may still say that the call lives: it is over when the carrier says so, a moment later. A call that is over stays as it is.'
  app.post('/v1/calls/:id/hangup', { config: { access, idempotent: false }, schema: { tags, summary: 'Hang up', description: hangUp, params: IdParams, response } }, async (request) =>
    steer(request, 'call.hung_up', (steered) => hangUpCall(deps, steered)),
  )

  const transfer = `Cold: the outside person hears ringing, and when somebody answers the agent is out of the call. When nobody does, the agent takes it again and says so.
\`GET …/events?kind=transfer\` tells how it goes: \`asked\`, \`ringing\`, \`answered\`, \`ended\`, or \`busy\`, \`no_answer\`, \`rejected\`, \`canceled\`, \`failed\`. The call of a caller who is gone before somebody answers ends as \`caller_hung_up\`, after that as \`transferred\`.
When the carrier does not say whether it heard of it (\`upstream_timeout\`, \`upstream_failed\`), it is asked, and nobody is called twice; \`details.carried_out\` is false when it did nothing, null when it cannot tell. Then the call is the agent's again, and may be put through anew.`
  app.post('/v1/calls/:id/transfer', { config: { access, idempotent: true }, schema: { tags, summary: 'Put a call through', description: transfer, params: IdParams, body: TransferCall, response } }, async (request) => {
    const { to, from, timeout_seconds: timeoutSeconds } = request.body
    return steer(request, 'call.transferred', (steered) => transferCall(deps, steered, { to, from, timeoutSeconds }))
  })

  const press = 'For a machine at the other end. At some carriers the agent is silent while they are pressed.'
  app.post('/v1/calls/:id/dtmf', { config: { access, idempotent: true }, schema: { tags, summary: 'Press keys', description: press, params: IdParams, body: PressKeys, response } }, async (request) =>
    steer(request, 'call.keys_pressed', (steered) => pressKeys(deps, steered, request.body.digits)),
  )
}
