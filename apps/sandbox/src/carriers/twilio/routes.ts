import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { strikeAfter } from '../../faults/effects.ts'
import type { FaultAction } from '../../faults/fault.ts'
import { admit } from '../../speech/target.ts'
import { formOf, type Fields } from '../form.ts'
import { forSale } from '../shop.ts'
import type { CarrierWorld } from '../world.ts'
import { place, PlaceFields } from './calls.ts'
import { lineOf, type TwilioLine } from './line.ts'
import { availableJson, callJson, numberJson } from './resources.ts'

/** `https://api.twilio.com` under `/twilio`: what the SDK asks for, in Twilio's own words, refusals too. */

type Params = { account: string; sid: string; country: string; type: string }
type Request = FastifyRequest<{ Params: Params }>
type Refusal = { status: number; code: number; message: string }
type Done = { status: number; body: unknown; id?: string; to?: string }

const refusal = (status: number, code: number, message: string): Refusal => ({ status, code, message })
const isRefusal = (outcome: Done | Refusal): outcome is Refusal => 'code' in outcome

function refuse(reply: FastifyReply, { status, code, message }: Refusal): FastifyReply {
  return reply.code(status).send({ code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status })
}

const refuseByFault = (reply: FastifyReply, { status, errorCode }: FaultAction): void => {
  const [httpStatus, code] = [status ?? 400, Number(errorCode ?? 20500)]
  void refuse(reply, refusal(httpStatus, Number.isNaN(code) ? 20500 : code, httpStatus === 429 ? 'Too Many Requests' : 'An internal server error has occurred'))
}

const one = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value.at(-1) : value)

/** A route: admitted past the faults, let in by its credentials, and told to the journal before it is answered. */
function endpoint(world: CarrierWorld, target: string, work: (request: Request, fields: Fields) => Done | Refusal) {
  return async (request: Request, reply: FastifyReply): Promise<FastifyReply | void> => {
    const fields = formOf(request.body)
    const note = { target, number: one(fields.From), to: one(fields.To) ?? one(fields.PhoneNumber), body: fields }
    const admitted = await admit(world, note, reply, refuseByFault)
    if (!admitted) return
    const isAllowed = world.twilio.isAllowed(request.params.account, request.headers.authorization)
    const outcome = isAllowed ? work(request, fields) : refusal(401, 20003, 'Authenticate')
    if (isRefusal(outcome)) {
      world.journal.add({ ...note, outcome: 'refused', status: outcome.status, kind: String(outcome.code) })
      return refuse(reply, outcome)
    }
    world.journal.add({ ...note, to: note.to ?? outcome.to, outcome: 'accepted', status: outcome.status, id: outcome.id, fault: admitted.fault?.id })
    if (strikeAfter(admitted.fault, reply)) return
    return reply.code(outcome.status).send(outcome.body)
  }
}

export function twilioRoutes(app: FastifyInstance, world: CarrierWorld): void {
  const root = '/twilio/2010-04-01/Accounts/:account'
  const on = (target: string, work: (request: Request, fields: Fields) => Done | Refusal) => endpoint(world, target, work)
  app.get(`${root}.json`, on('twilio.account', ({ params }) => ({ status: 200, body: { sid: params.account, friendly_name: 'Sandbox', status: 'active', type: 'Full', owner_account_sid: params.account, auth_token: '', uri: `/2010-04-01/Accounts/${params.account}.json` } })))
  app.post(`${root}/Calls.json`, on('twilio.calls.create', ({ params }, fields) => create(world, params.account, fields)))
  app.get(`${root}/Calls.json`, on('twilio.calls.list', ({ params, query }) => listCalls(world, params.account, query as Record<string, string>)))
  app.get(`${root}/Calls/:sid.json`, on('twilio.calls.fetch', ({ params }) => withLine(world, params, (line) => ({ status: 200, body: callJson(line), id: line.call.id }))))
  app.post(`${root}/Calls/:sid.json`, on('twilio.calls.update', ({ params }, fields) => withLine(world, params, (line) => update(line, fields))))
  app.get(`${root}/AvailablePhoneNumbers/:country/:type.json`, on('twilio.numbers.search', ({ params, query }) => search(params, query as Record<string, string>)))
  app.get(`${root}/IncomingPhoneNumbers.json`, on('twilio.numbers.list', ({ params, query }) => owned(world, params.account, (query as Record<string, string>).PhoneNumber)))
  app.post(`${root}/IncomingPhoneNumbers.json`, on('twilio.numbers.buy', ({ params }, fields) => buy(world, params.account, fields)))
  app.post(`${root}/IncomingPhoneNumbers/:sid.json`, on('twilio.numbers.update', ({ params }, fields) => change(world, params, fields)))
  app.delete(`${root}/IncomingPhoneNumbers/:sid.json`, on('twilio.numbers.release', ({ params }) => release(world, params)))
}

const E164 = /^\+[1-9]\d{4,17}$/

function create(world: CarrierWorld, account: string, input: Fields): Done | Refusal {
  const parsed = PlaceFields.safeParse(input)
  if (!parsed.success) return refusal(400, input.To === undefined ? 21201 : input.From === undefined ? 21213 : 20001, 'Required or malformed parameter')
  const fields = parsed.data
  if (!E164.test(fields.To) && !/^sips?:/.test(fields.To)) return refusal(400, 21211, `The phone number you are attempting to call, ${fields.To.slice(0, 32)}, is not valid.`)
  if (world.twilio.number(fields.From)?.accountSid !== account) return refusal(400, 21210, `The source phone number provided, ${fields.From.slice(0, 32)}, is not yet verified for your account.`)
  if (fields.Twiml === undefined && !URL.canParse(fields.Url ?? '')) return refusal(400, 21205, 'Url is not a valid URL')
  const line = place(world, account, fields)
  return { status: 201, body: callJson(line, 'queued'), id: line.call.id, to: fields.To }
}

function withLine(world: CarrierWorld, { account, sid }: Params, work: (line: TwilioLine) => Done | Refusal): Done | Refusal {
  const live = world.calls.get(sid)
  const line = live && lineOf(live.call)
  if (!line || line.facts.accountSid !== account) return refusal(404, 20404, `The requested resource /2010-04-01/Accounts/${account}/Calls/${sid.slice(0, 64)}.json was not found`)
  return work(line)
}

function update(line: TwilioLine, fields: Fields): Done | Refusal {
  const { call, script } = line
  const [status, twiml, url] = [one(fields.Status), one(fields.Twiml), one(fields.Url)]
  if (call.state === 'ended') return refusal(400, 21220, 'Call is not in-progress. Cannot redirect.')
  if (status === 'completed' || status === 'canceled') call.end(call.state === 'ringing' ? 'canceled' : 'completed', 'business')
  else if (call.state === 'ringing') return refusal(400, 21220, 'Call is not in-progress. Cannot redirect.')
  else if (twiml !== undefined) void script.with(twiml)
  else if (url !== undefined && URL.canParse(url)) void script.from(url)
  else return refusal(400, 21205, 'Url is not a valid URL')
  return { status: 200, body: callJson(line), id: call.id }
}

const PAGE = (account: string, name: string) => ({ end: 0, first_page_uri: `/2010-04-01/Accounts/${account}/${name}`, next_page_uri: '', page: 0, page_size: 50, previous_page_uri: '', start: 0, uri: `/2010-04-01/Accounts/${account}/${name}` })

/** Filtered by the call that dialed; newest first. */
function listCalls(world: CarrierWorld, account: string, { ParentCallSid: parent, PageSize: size }: Record<string, string>): Done {
  const lines = world.calls.list('twilio').flatMap(({ call }) => lineOf(call) ?? []).filter(({ facts }) => facts.accountSid === account && (parent === undefined || facts.parentSid === parent))
  return { status: 200, body: { ...PAGE(account, 'Calls.json'), calls: lines.toReversed().slice(0, Math.min(1_000, Number(size ?? 50) || 50)).map((line) => callJson(line)) } }
}

function search({ account, country, type }: Params, query: Record<string, string>): Done | Refusal {
  if (!/^[A-Z]{2}$/.test(country) || !['Local', 'TollFree', 'Mobile'].includes(type)) return refusal(404, 20404, 'The requested resource was not found')
  const limit = Math.min(100, Math.max(1, Number(query.PageSize ?? 20) || 20))
  const numbers = forSale({ areaCode: type === 'TollFree' ? '800' : query.AreaCode, contains: query.Contains }, limit)
  return { status: 200, body: { ...PAGE(account, `AvailablePhoneNumbers/${country}/${type}.json`), available_phone_numbers: numbers.map((number) => availableJson(number, country)) } }
}

function owned(world: CarrierWorld, account: string, number: string | undefined): Done {
  const found = world.twilio.numbers(account).filter((one) => number === undefined || one.number === number)
  return { status: 200, body: { ...PAGE(account, 'IncomingPhoneNumbers.json'), incoming_phone_numbers: found.map(numberJson) } }
}

const urlsOf = (fields: Fields) => ({ voiceUrl: one(fields.VoiceUrl), fallbackUrl: one(fields.VoiceFallbackUrl), statusUrl: one(fields.StatusCallback) })

function buy(world: CarrierWorld, account: string, fields: Fields): Done | Refusal {
  const number = one(fields.PhoneNumber) ?? ''
  if (!E164.test(number)) return refusal(400, 21421, `PhoneNumber is not valid: ${number.slice(0, 32)}`)
  if (world.twilio.number(number)) return refusal(400, 21422, `PhoneNumber is not available: ${number}`)
  const bought = world.twilio.own(account, number, urlsOf(fields))
  return { status: 201, body: numberJson(bought), id: bought.sid, to: number }
}

function change(world: CarrierWorld, { account, sid }: Params, fields: Fields): Done | Refusal {
  const number = world.twilio.numberBySid(sid)
  if (number?.accountSid !== account) return refusal(404, 20404, 'The requested resource was not found')
  return { status: 200, body: numberJson(world.twilio.own(account, number.number, urlsOf(fields))), id: sid, to: number.number }
}

function release(world: CarrierWorld, { account, sid }: Params): Done | Refusal {
  const number = world.twilio.numberBySid(sid)
  if (number?.accountSid !== account) return refusal(404, 20404, 'The requested resource was not found')
  world.twilio.release(number.number)
  return { status: 204, body: undefined, id: sid, to: number.number }
}
