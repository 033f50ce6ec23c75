import { setTimeout as delay } from 'node:timers/promises'
import type { Twilio as TwilioSdk } from 'twilio'
import type { AvailableNumber, CallState, CarrierClient, CarrierClientDeps, CarrierConfig, OwnedNumber, PlaceOutcome } from '../carriers/contract.ts'
import type { CallInstructionInput } from '../carriers/instructions.ts'
import { createCarrierHttp, type CarrierHttp, type Operation } from '../carriers/http.ts'
import { checked } from '../carriers/parsing.ts'
import { asOutcome, errorOf, isOpen, isOver, placeOutcomeOf, refusalOf, retryAfterMs, settledError, valueOf, type Attempt } from '../carriers/policy.ts'
import { NumberRouting, NumberSearch, PhoneNumber, PlaceCall, Transfer, type NumberSearchInput, type PlaceCallInput, type TransferInput } from '../carriers/requests.ts'
import { twiml } from './outbound.ts'
import { HANG_UP_POLICY, POLICY } from './policy.ts'
import { Call, CallSid, Credentials, NumberSid, Settings } from './wire.ts'

/** The only I/O of this carrier: Twilio's REST interface through its SDK, over our own connections. */
type Line = { http: CarrierHttp; deps: CarrierClientDeps }

type SdkRequest = { method: string; uri: string; username?: string; password?: string; headers?: Record<string, string>; params?: object; data?: object }

/** A list repeats its name: `StatusCallbackEvent=initiated&StatusCallbackEvent=ringing`. */
function encode(fields: object | undefined): string {
  const encoded = new URLSearchParams()
  for (const [name, value] of Object.entries(fields ?? {})) {
    for (const item of Array.isArray(value) ? value : [value]) if (item !== undefined && item !== null) encoded.append(name, String(item))
  }
  return encoded.toString()
}

/** `https://api.twilio.com/2010-04-01/...` at the base address, where there is one. */
function addressOf(request: SdkRequest, baseUrl: string | null): string {
  const url = new URL(request.uri)
  const query = encode(request.params)
  return `${baseUrl ?? url.origin}${url.pathname}${query === '' ? url.search : `?${query}`}`
}

/** What the SDK takes for its HTTP client: it asks for nothing but `request`. */
function transport({ http, deps }: Line, operation: Operation) {
  return {
    async request(request: SdkRequest) {
      const { username = '', password = '' } = request
      const headers = { ...request.headers, authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }
      const body = request.data === undefined ? null : encode(request.data)
      const answer = await http.exchange(operation, { method: request.method, url: addressOf(request, deps.baseUrl), headers, body })
      if (answer.status === 429) operation.retryAfterMs = retryAfterMs(answer.headers['retry-after'])
      return { statusCode: answer.status, body: answer.body, headers: answer.headers }
    },
  }
}

const credentialsOf = (config: CarrierConfig): Credentials => checked(Credentials, config.credentials, 'credentials', 'invalid_credentials')

/** What is no id of Twilio's is nothing that Twilio knows. */
const callOf = (id: string): string => checked(CallSid, id, 'carrierCallId', 'not_found')
const numberOf = (id: string): string => checked(NumberSid, id, 'carrierNumberId', 'not_found')

/** The SDK costs 30 MB and 150 ms to load: only a process that calls pays. */
const load = async () => (await import('twilio')).default

async function sdkOf(line: Line, config: CarrierConfig, operation: Operation): Promise<TwilioSdk> {
  const create = await load()
  const { account_sid, auth_token, api_key_sid, api_key_secret } = credentialsOf(config)
  const { region, edge } = checked(Settings, config.settings, 'settings')
  type Options = NonNullable<Parameters<typeof create>[2]>
  const httpClient = transport(line, operation) as unknown as Options['httpClient']
  return create(api_key_sid ?? account_sid, api_key_secret ?? auth_token, { accountSid: account_sid, httpClient, region, edge })
}

async function attempt<Value>(line: Line, config: CarrierConfig, signal: AbortSignal, run: (sdk: TwilioSdk) => Promise<Value>): Promise<Attempt<Value>> {
  const operation = line.http.operation(signal)
  const sdk = await sdkOf(line, config, operation)
  try {
    return { ok: true, value: await run(sdk) }
  } catch (error) {
    const { status, code } = error as { status?: unknown; code?: unknown }
    const answered = typeof status === 'number' ? { status, carrierCode: typeof code === 'number' || typeof code === 'string' ? String(code) : '', retryAfterMs: operation.retryAfterMs } : null
    return { ok: false, refusal: refusalOf(operation, answered) }
  }
}

async function run<Value>(line: Line, config: CarrierConfig, signal: AbortSignal, work: (sdk: TwilioSdk) => Promise<Value>): Promise<Value> {
  return valueOf(await attempt(line, config, signal, work), POLICY)
}

const PROGRESS = ['initiated', 'ringing', 'answered', 'completed']

function detection({ machineDetection, statusUrl }: PlaceCall) {
  if (machineDetection === undefined) return {}
  return { machineDetection: machineDetection === 'detect' ? 'Enable' : 'DetectMessageEnd', asyncAmd: 'true', asyncAmdStatusCallback: statusUrl, asyncAmdStatusCallbackMethod: 'POST' }
}

async function place(line: Line, config: CarrierConfig, input: PlaceCallInput, signal: AbortSignal): Promise<PlaceOutcome> {
  const call = checked(PlaceCall, input, '')
  const document = twiml(call.instructions)
  const placed = await attempt(line, config, signal, (sdk) =>
    sdk.calls.create({
      to: call.to, from: call.from, twiml: document, timeout: call.timeoutSeconds, timeLimit: call.timeLimitSeconds, sendDigits: call.sendDigits,
      statusCallback: call.statusUrl, statusCallbackMethod: 'POST', statusCallbackEvent: PROGRESS, ...detection(call),
    }))
  if (!placed.ok) return placeOutcomeOf(placed.refusal, POLICY)
  const sid = CallSid.safeParse(placed.value.sid)
  return sid.success ? { status: 'accepted', carrierCallId: sid.data } : { status: 'unknown', reason: 'unreadable answer' }
}

async function redirect(line: Line, config: CarrierConfig, callSid: string, instructions: readonly CallInstructionInput[], signal: AbortSignal): Promise<void> {
  const [document, sid] = [twiml(instructions), callOf(callSid)]
  await run(line, config, signal, (sdk) => sdk.calls(sid).update({ twiml: document }))
}

async function hangUp(line: Line, config: CarrierConfig, callSid: string, signal: AbortSignal): Promise<'ended' | 'already_over'> {
  const sid = callOf(callSid)
  const ended = await attempt(line, config, signal, (sdk) => sdk.calls(sid).update({ status: 'completed' }))
  if (ended.ok) return 'ended'
  if (isOver(ended.refusal, HANG_UP_POLICY)) return 'already_over'
  throw errorOf(ended.refusal, POLICY)
}

async function transfer(line: Line, config: CarrierConfig, callSid: string, input: TransferInput, signal: AbortSignal): Promise<void> {
  const { to, from, timeoutSeconds, resultUrl } = checked(Transfer, input, '')
  const [document, sid] = [twiml([{ do: 'dial', to, from, timeoutSeconds, resultUrl }]), callOf(callSid)]
  const asked = await attempt(line, config, signal, (sdk) => sdk.calls(sid).update({ twiml: document }))
  if (asked.ok) return
  if (!isOpen(asked.refusal)) throw errorOf(asked.refusal, POLICY)
  // Asked for again it would ring the same phone twice, should the first one have arrived.
  const carriedOut = await isDialing(line, config, sid, to)
  if (carriedOut !== true) throw settledError(asked.refusal, POLICY, carriedOut)
}

const [LOOKS, LOOK_PAUSE_MS, LOOK_TIMEOUT_MS] = [2, 500, 3_000]
const LIVE = new Set(['queued', 'initiated', 'ringing', 'in-progress'])

/** Whether the call has a leg to them; a leg that is over has been told of. Looked for twice: what got lost may be on its way. Null: Twilio does not say. */
async function isDialing(line: Line, config: CarrierConfig, sid: string, to: string): Promise<boolean | null> {
  let known: false | null = null
  for (let look = 0; look < LOOKS; look++) {
    if (look > 0) await delay(LOOK_PAUSE_MS)
    const legs = await attempt(line, config, AbortSignal.timeout(LOOK_TIMEOUT_MS), (sdk) => sdk.calls.list({ parentCallSid: sid, limit: 20 }))
    if (legs.ok && legs.value.some((leg) => leg.to === to && LIVE.has(leg.status))) return true
    known = legs.ok ? false : known
  }
  return known
}

/** Both legs enter a conference of their own; whoever leaves ends it. */
async function bridge(line: Line, config: CarrierConfig, callSid: string, otherSid: string, signal: AbortSignal): Promise<void> {
  const meeting: CallInstructionInput[] = [{ do: 'conference', name: `bridge-${callSid}` }]
  await redirect(line, config, otherSid, meeting, signal)
  await redirect(line, config, callSid, meeting, signal)
}

async function find(line: Line, config: CarrierConfig, callSid: string, signal: AbortSignal): Promise<CallState | null> {
  const sid = callOf(callSid)
  const found = await attempt(line, config, signal, (sdk) => sdk.calls(sid).fetch())
  if (!found.ok && isOver(found.refusal, HANG_UP_POLICY)) return null
  const call = Call.parse(valueOf(found, POLICY))
  const isAlive = call.status === 'queued' || call.status === 'ringing' || call.status === 'in-progress'
  return { carrierCallId: call.sid, isAlive, status: call.status, durationSeconds: call.duration ? Number(call.duration) : null }
}

type Offer = { phoneNumber: string; region: string | null; locality: string | null; capabilities: object }

const features = (capabilities: object | undefined): string[] => Object.entries(capabilities ?? {}).filter(([, has]) => has === true).map(([name]) => name.toLowerCase())

async function searchNumbers(line: Line, config: CarrierConfig, input: NumberSearchInput, signal: AbortSignal): Promise<AvailableNumber[]> {
  const { country, type, areaCode, contains, limit } = checked(NumberSearch, input, '')
  const options = { contains, limit, pageSize: limit, voiceEnabled: true, ...(areaCode === undefined ? {} : { areaCode: Number(areaCode) }) }
  const found = await run(line, config, signal, async (sdk): Promise<Offer[]> => {
    const shop = sdk.availablePhoneNumbers(country)
    return type === 'toll_free' ? shop.tollFree.list(options) : type === 'mobile' ? shop.mobile.list(options) : shop.local.list(options)
  })
  return found.map((one) => ({ number: one.phoneNumber, region: one.region, locality: one.locality, features: features(one.capabilities) }))
}

function voiceOf(routing: NumberRouting) {
  const { voiceUrl, statusUrl } = checked(NumberRouting, routing, 'routing')
  return { voiceUrl, voiceMethod: 'POST', ...(statusUrl === undefined ? {} : { statusCallback: statusUrl, statusCallbackMethod: 'POST' }) }
}

async function findNumber(line: Line, config: CarrierConfig, number: string, signal: AbortSignal): Promise<OwnedNumber | null> {
  const [owned] = await run(line, config, signal, (sdk) => sdk.incomingPhoneNumbers.list({ phoneNumber: number, limit: 1 }))
  return owned ? { carrierNumberId: owned.sid, number: owned.phoneNumber } : null
}

async function buyNumber(line: Line, config: CarrierConfig, input: string, routing: NumberRouting, signal: AbortSignal): Promise<OwnedNumber> {
  const number = checked(PhoneNumber, input, 'number')
  const voice = voiceOf(routing)
  const bought = await attempt(line, config, signal, (sdk) => sdk.incomingPhoneNumbers.create({ phoneNumber: number, ...voice }))
  if (bought.ok) return { carrierNumberId: bought.value.sid, number: bought.value.phoneNumber }
  const owned = bought.refusal.kind === 'lost' ? await findNumber(line, config, number, signal).catch(() => null) : null
  if (owned) return owned
  throw errorOf(bought.refusal, POLICY)
}

/** One per process. */
export function client(deps: CarrierClientDeps): CarrierClient {
  const line: Line = { http: createCarrierHttp(deps.timeoutMs), deps }
  return {
    place: (config, call, signal) => asOutcome(() => place(line, config, call, signal)),
    // Twilio takes its instructions as the webhook's answer.
    perform: () => Promise.resolve(),
    redirect: (config, id, instructions, _context, signal) => redirect(line, config, id, instructions, signal),
    hangUp: (config, id, signal) => hangUp(line, config, id, signal),
    transfer: (config, id, to, _context, signal) => transfer(line, config, id, to, signal),
    bridge: (config, id, other, _context, signal) => bridge(line, config, id, other, signal),
    sendDtmf: (config, id, digits, then, _context, signal) => redirect(line, config, id, [{ do: 'press', digits }, ...then], signal),
    find: (config, id, signal) => find(line, config, id, signal),
    searchNumbers: (config, search, signal) => searchNumbers(line, config, search, signal),
    buyNumber: (config, number, routing, signal) => buyNumber(line, config, number, routing, signal),
    findNumber: (config, number, signal) => findNumber(line, config, number, signal),
    assignNumber: async (config, id, routing, signal) => {
      const [voice, sid] = [voiceOf(routing), numberOf(id)]
      await run(line, config, signal, (sdk) => sdk.incomingPhoneNumbers(sid).update(voice))
    },
    releaseNumber: async (config, id, signal) => {
      const sid = numberOf(id)
      await run(line, config, signal, (sdk) => sdk.incomingPhoneNumbers(sid).remove())
    },
    check: async (config, signal) => void (await run(line, config, signal, (sdk) => sdk.api.v2010.accounts(credentialsOf(config).account_sid).fetch())),
    close: () => line.http.close(),
  }
}
