import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { strikeAfter } from '../../faults/effects.ts'
import type { FaultAction } from '../../faults/fault.ts'
import { plain } from '../../plain.ts'
import { admit } from '../../speech/target.ts'
import { forSale } from '../shop.ts'
import { formOf } from '../form.ts'
import type { CarrierWorld } from '../world.ts'
import { isAllowed, type OwnedNumber } from './account.ts'
import { ACTIONS, unprocessable } from './actions.ts'
import { Common, Dial, place, wishOf } from './calls.ts'
import { checkWish } from './stream.ts'
import { legOf, type TelnyxLeg } from './line.ts'
import { placeTexml, texmlLineOf } from './texml.ts'

/** `https://api.telnyx.com/v2` under `/telnyx/v2`: what the SDK asks for, in Telnyx's own words, refusals too. */

type Params = { id: string; action: string; account: string }
type Request = FastifyRequest<{ Params: Params }>
type Json = Record<string, unknown>
type Refusal = { status: number; code: string; title: string; detail: string }
type Done = { status: number; body: unknown; id?: string; kind?: string }

const isRefusal = (outcome: Done | Refusal): outcome is Refusal => 'code' in outcome
const notFound: Refusal = { status: 404, code: '10005', title: 'Resource not found', detail: 'The requested resource or URL could not be found.' }

function refuse(reply: FastifyReply, { status, code, title, detail }: Refusal): FastifyReply {
  return reply.code(status).send({ errors: [{ code, title, detail, meta: { url: `https://developers.telnyx.com/docs/overview/errors/${code}` } }] })
}

const refuseByFault = (reply: FastifyReply, { status, errorCode }: FaultAction): void => {
  const code = String(errorCode ?? (status === 429 ? '10011' : '10007'))
  void refuse(reply, { status: status ?? 422, code, title: 'Scripted fault', detail: 'The sandbox was told to refuse this.' })
}

const asJson = (value: unknown): Json => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {})
/** TeXML's interface takes forms as well as JSON; a form comes here as bytes. */
const fieldsOf = (body: unknown): Json => (Buffer.isBuffer(body) ? formOf(body) : asJson(body))

function endpoint(world: CarrierWorld, target: string | ((request: Request) => string), work: (request: Request, body: Json) => Done | Refusal) {
  return async (request: Request, reply: FastifyReply): Promise<FastifyReply | void> => {
    const body = fieldsOf(request.body)
    const note = { target: typeof target === 'string' ? target : target(request), number: plain(body.from ?? body.From).slice(0, 255) || undefined, to: plain(body.to ?? body.To ?? request.params.id).slice(0, 255) || undefined, body }
    const admitted = await admit(world, note, reply, refuseByFault)
    if (!admitted) return
    const outcome = isAllowed(request.headers.authorization) ? work(request, body) : { status: 401, code: '10009', title: 'Authentication failed', detail: 'The required authentication headers were either invalid or not included in the request.' }
    if (isRefusal(outcome)) {
      world.journal.add({ ...note, outcome: 'refused', status: outcome.status, kind: outcome.code })
      return refuse(reply, outcome)
    }
    world.journal.add({ ...note, outcome: 'accepted', status: outcome.status, id: outcome.id, kind: outcome.kind, fault: admitted.fault?.id })
    if (strikeAfter(admitted.fault, reply)) return
    return reply.code(outcome.status).send(outcome.body)
  }
}

export function telnyxRoutes(app: FastifyInstance, world: CarrierWorld): void {
  const root = '/telnyx/v2'
  const on = (target: string | ((request: Request) => string), work: (request: Request, body: Json) => Done | Refusal) => endpoint(world, target, work)
  app.post(`${root}/calls`, on('telnyx.calls.dial', (_request, body) => dial(world, body)))
  app.get(`${root}/calls/:id`, on('telnyx.calls.fetch', ({ params }) => fetchCall(world, params.id)))
  app.post(`${root}/calls/:id/actions/:action`, on(({ params }) => `telnyx.actions.${params.action.slice(0, 64)}`, ({ params }, body) => act(world, params, body)))
  app.get(`${root}/balance`, on('telnyx.balance', () => ({ status: 200, body: { data: { record_type: 'balance', balance: '300.00', credit_limit: '100.00', available_credit: '400.00', currency: 'USD', pending: '0.00' } } })))
  numberRoutes(app, world, on)
  texmlRoutes(app, world, on)
}

const callBody = (leg: TelnyxLeg): Json => ({
  record_type: 'call', call_control_id: leg.call.id, call_leg_id: leg.legId, call_session_id: leg.sessionId, is_alive: leg.call.state !== 'ended', client_state: leg.clientState,
  call_duration: leg.call.seconds, start_time: leg.call.createdAt.toISOString(), end_time: leg.call.endedAt?.toISOString(),
})

function dial(world: CarrierWorld, body: Json): Done | Refusal {
  const parsed = Dial.safeParse(body)
  if (!parsed.success) {
    const field = parsed.error.issues[0]!.path.join('.')
    return field === 'to' ? { status: 422, code: '10016', title: 'Phone number must be in +E164 format', detail: 'The to parameter is not a valid number.' } : unprocessable('10015', 'Invalid value', field)
  }
  const fields = parsed.data
  if (!world.telnyx.application(fields.connection_id)) return unprocessable('10015', 'Invalid value for connection_id (Call Control App ID)', 'The connection_id is not that of a Call Control application.')
  const number = world.telnyx.number(fields.from)
  if (!number) return { status: 403, code: '10010', title: 'Permission denied', detail: 'The from number is not yours.' }
  const wish = wishOf(fields)
  const wrong = wish && checkWish(wish, number.facts)
  if (wrong) return unprocessable('10015', 'Invalid value', wrong)
  const repeated = fields.command_id === undefined ? undefined : world.calls.list('telnyx').map(({ call }) => legOf(call)).find((leg) => leg?.commandIds.has(fields.command_id!))
  const leg = repeated ?? place(world, fields)
  if (fields.command_id !== undefined) leg.commandIds.add(fields.command_id)
  return { status: 200, body: { data: callBody(leg) }, id: leg.call.id }
}

function fetchCall(world: CarrierWorld, id: string): Done | Refusal {
  const live = world.calls.get(id)
  const leg = live && legOf(live.call)
  return leg ? { status: 200, body: { data: callBody(leg) }, id } : unprocessable('90015', 'Invalid Call Control ID', 'The call control ID is not known.')
}

function act(world: CarrierWorld, { id, action: name }: Params, body: Json): Done | Refusal {
  const live = world.calls.get(id)
  const leg = live && legOf(live.call)
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined
  if (!action) return notFound
  if (!leg) return unprocessable('90015', 'Invalid Call Control ID', 'The call control ID is not known.')
  if (leg.call.state === 'ended') return unprocessable('90018', 'Call has already ended', "This call is no longer active and can't receive commands.")
  if (action.live && leg.call.state === 'ringing') return unprocessable('90034', 'Call not answered yet', "This call can't receive this command because it is not answered.")
  const common = Common.safeParse(body)
  if (!common.success) return unprocessable('10015', 'Invalid value', common.error.issues[0]!.path.join('.'))
  const done: Done = { status: 200, body: { data: { result: 'ok' } }, id, kind: name }
  const { command_id: commandId, client_state: state } = common.data
  if (commandId !== undefined && leg.commandIds.has(commandId)) return done
  const before = leg.clientState
  // First, so that the events of this command tell it already.
  if (state !== undefined) leg.clientState = state
  const refused = action.run(world, leg, body)
  if (refused) leg.clientState = before
  else if (commandId !== undefined) leg.commandIds.add(commandId)
  return refused ?? done
}

type On = (target: string, work: (request: Request, body: Json) => Done | Refusal) => ReturnType<typeof endpoint>

const numberJson = ({ id, facts, connectionId, createdAt }: OwnedNumber): Json => ({ id, record_type: 'phone_number', phone_number: facts.number, status: 'active', connection_id: connectionId, tags: [], created_at: createdAt.toISOString(), purchased_at: createdAt.toISOString(), phone_number_type: 'local' })

function numberRoutes(app: FastifyInstance, world: CarrierWorld, on: On): void {
  const root = '/telnyx/v2'
  const { telnyx } = world
  app.get(`${root}/available_phone_numbers`, on('telnyx.numbers.search', ({ query }) => searchNumbers(query as Record<string, string>)))
  app.post(`${root}/number_orders`, on('telnyx.numbers.buy', (_request, body) => order(world, body)))
  app.get(`${root}/phone_numbers`, on('telnyx.numbers.list', ({ query }) => {
    const wanted = (query as Record<string, string>)['filter[phone_number]']
    const found = telnyx.numbers().filter(({ facts }) => wanted === undefined || facts.number === wanted)
    return { status: 200, body: { data: found.map(numberJson), meta: { page_number: 1, page_size: 100, total_pages: 1, total_results: found.length } } }
  }))
  app.patch(`${root}/phone_numbers/:id`, on('telnyx.numbers.update', ({ params }, body) => {
    const owned = telnyx.numberById(params.id)
    if (!owned) return notFound
    if (body.connection_id !== undefined) telnyx.assign(owned, plain(body.connection_id))
    return { status: 200, body: { data: numberJson(owned) }, id: owned.id }
  }))
  app.delete(`${root}/phone_numbers/:id`, on('telnyx.numbers.release', ({ params }) => {
    const owned = telnyx.numberById(params.id)
    if (!owned) return notFound
    telnyx.release(owned)
    return { status: 200, body: { data: { ...numberJson(owned), status: 'deleted' } }, id: owned.id }
  }))
  for (const [path, isTexml] of [['call_control_applications', false], ['texml_applications', true]] as const) applicationRoutes(app, world, on, path, isTexml)
}

function searchNumbers(query: Record<string, string>): Done {
  const areaCode = query['filter[phone_number_type]'] === 'toll_free' ? '800' : query['filter[national_destination_code]']
  const numbers = forSale({ areaCode, contains: query['filter[phone_number][contains]'] }, Math.min(100, Number(query['filter[limit]'] ?? 20) || 20))
  const region_information = [{ region_type: 'state', region_name: 'CA' }, { region_type: 'rate_center', region_name: 'LOS ANGELES' }, { region_type: 'country_code', region_name: query['filter[country_code]'] ?? 'US' }]
  const data = numbers.map((number) => ({ record_type: 'available_phone_number', phone_number: number, vanity_format: '', best_effort: false, quickship: true, reservable: true, region_information, cost_information: { upfront_cost: '1.00', monthly_cost: '1.00', currency: 'USD' }, features: [{ name: 'voice' }, { name: 'sms' }] }))
  const metadata = { total_results: data.length, best_effort_results: 0 }
  return { status: 200, body: { data, metadata, meta: metadata } }
}

function order(world: CarrierWorld, body: Json): Done | Refusal {
  const wanted = (Array.isArray(body.phone_numbers) ? body.phone_numbers : []).map((one) => plain(asJson(one).phone_number))
  if (wanted.length === 0 || wanted.some((number) => !/^\+[1-9]\d{4,17}$/.test(number))) return unprocessable('10002', 'Invalid phone number', 'phone_numbers')
  if (wanted.some((number) => world.telnyx.number(number))) return unprocessable('10027', 'Phone number is not available', 'The number was taken.')
  const bought = wanted.map((number) => world.telnyx.buy(number, plain(body.connection_id)))
  const data = { id: randomUUID(), record_type: 'number_order', status: 'success', phone_numbers_count: bought.length, connection_id: plain(body.connection_id), requirements_met: true, phone_numbers: bought.map((owned) => ({ id: owned.id, record_type: 'number_order_phone_number', phone_number: owned.facts.number, status: 'success' })), created_at: new Date().toISOString(), updated_at: new Date().toISOString() }
  return { status: 200, body: { data }, id: data.id }
}

const methodOf = (value: unknown): 'get' | 'post' | undefined => (value === 'get' || value === 'post' ? value : undefined)

/** Both kinds differ by the names of two fields. */
function applicationRoutes(app: FastifyInstance, { telnyx }: CarrierWorld, on: On, path: string, isTexml: boolean): void {
  const [nameField, urlField] = isTexml ? (['friendly_name', 'voice_url'] as const) : (['application_name', 'webhook_event_url'] as const)
  const json = (id: string) => {
    const application = telnyx.application(id)
    const ofTexml = { voice_method: application?.voiceMethod, status_callback: application?.statusUrl, status_callback_method: application?.statusMethod }
    return { id, record_type: path.slice(0, -1), active: true, [nameField]: application?.name, [urlField]: application?.url, ...(isTexml ? ofTexml : {}) }
  }
  app.get(`/telnyx/v2/${path}/:id`, on('telnyx.applications.fetch', ({ params }) => (telnyx.application(params.id)?.texml === isTexml ? { status: 200, body: { data: json(params.id) }, id: params.id } : notFound)))
  app.patch(`/telnyx/v2/${path}/:id`, on('telnyx.applications.update', ({ params }, body) => {
    const application = telnyx.application(params.id)
    if (application?.texml !== isTexml) return notFound
    const methods = { voiceMethod: methodOf(body.voice_method) ?? application.voiceMethod, statusMethod: methodOf(body.status_callback_method) ?? application.statusMethod }
    telnyx.change({ ...application, ...methods, name: plain(body[nameField]) || application.name, url: plain(body[urlField]) || application.url, statusUrl: plain(body.status_callback) || application.statusUrl })
    return { status: 200, body: { data: json(params.id) }, id: params.id }
  }))
}

function texmlRoutes(app: FastifyInstance, world: CarrierWorld, on: On): void {
  const root = '/telnyx/v2/texml/Accounts/:account/Calls'
  app.post(root, on('telnyx.texml.create', (_request, body) => {
    const [to, from] = [plain(body.To), plain(body.From)]
    if (!/^(\+[1-9]\d{4,17}|sips?:\S+)$/.test(to)) return unprocessable('10016', 'Phone number must be in +E164 format', 'To')
    if (!world.telnyx.number(from)) return { status: 403, code: '10010', title: 'Permission denied', detail: 'The From number is not yours.' }
    const line = placeTexml(world, { from, to, texml: plain(body.Texml) || undefined, url: plain(body.Url) || undefined, statusUrl: plain(body.StatusCallback), statusEvents: plain(body.StatusCallbackEvent) || undefined, timeoutMs: (Number(body.Timeout) || 30) * 1_000 })
    return { status: 200, body: { from, to, status: 'queued', call_sid: line.call.id }, id: line.call.id }
  }))
  app.get(`${root}/:id`, on('telnyx.texml.fetch', ({ params }) => {
    const live = world.calls.get(params.id)
    const line = live && texmlLineOf(live.call)
    if (!line) return notFound
    const { call } = line
    return { status: 200, body: { sid: call.id, account_sid: params.account, from: call.facts.from, to: call.facts.to, direction: call.facts.direction, status: line.status, duration: String(call.seconds), start_time: call.answeredAt?.toUTCString(), end_time: call.endedAt?.toUTCString() }, id: call.id }
  }))
  app.post(`${root}/:id`, on('telnyx.texml.update', ({ params }, body) => {
    const live = world.calls.get(params.id)
    const line = live && texmlLineOf(live.call)
    if (!line) return notFound
    if (line.call.state === 'ended') return unprocessable('90018', 'Call has already ended', "This call is no longer active and can't receive commands.")
    if (body.Status === 'completed') line.call.end(line.call.state === 'ringing' ? 'canceled' : 'completed', 'business')
    else if (body.Texml !== undefined) void line.script.with(plain(body.Texml))
    else if (body.Url !== undefined) void line.script.from(plain(body.Url))
    return { status: 200, body: { sid: line.call.id, call_sid: line.call.id, status: line.status }, id: line.call.id }
  }))
}
