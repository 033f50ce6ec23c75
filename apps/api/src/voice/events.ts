import { carryingPrice, FIRST_HOLD_MINUTES, holdForCall } from '@trunkline/billing'
import { CARRIER_TIMEOUT_MS, carrierOf, streamCall, type Answer, type CallEvent, type Carrier, type CallInstructionInput, type CarrierClient, type CarrierConfig, type VoiceAddresses, type VoiceStep } from '@trunkline/channels'
import { AppError, briefingOf, E164, modelsOf, newId, VoiceSettings, type CallEndReason, type CarrierId, type Clock, type EndedCallStatus, type Id, type Identity, type Logger, type Micros } from '@trunkline/core'
import { calls, type Bell, type Db, type RoutedNumber, type Tx } from '@trunkline/db'
import type { Restarts } from './restarts.ts'

export type VoiceDeps = {
  db: Db
  clock: Clock
  log: Logger
  addresses: VoiceAddresses
  carrierClients: Record<CarrierId, Pick<CarrierClient, 'perform' | 'hangUp'>>
  /** Tells the process that has the call. */
  bell: Pick<Bell, 'ring'>
  /** Calls at a time of one tenant. */
  tenantCallsMax: number
  restarts: Restarts
}

/** One number of type `voice`, as its carrier knows it. */
export type VoiceNumber = { number: RoutedNumber; settings: VoiceSettings; carrier: Carrier; config: CarrierConfig }

export function voiceNumber(number: RoutedNumber): VoiceNumber {
  const settings = VoiceSettings.parse(number.settings)
  const config = { credentials: number.credentials, settings: settings.carrier_settings }
  return { number, settings, carrier: carrierOf(settings.carrier, config), config }
}

/** What a carrier's webhook is answered with; null: it only wants to hear 200. */
export type Told = Answer['document']

/** One event of a carrier. Everything here may be told twice: rows decide, not deliveries. */
export async function tellCall(deps: VoiceDeps, place: VoiceNumber, step: { name: VoiceStep; callId: Id } | null, event: CallEvent): Promise<Told> {
  if (event.kind === 'call.initiated' && event.direction === 'inbound' && step === null) return incoming(deps, place, event)
  const call = await callOf(deps, place, step?.callId ?? event.reference, event)
  if (!call) return null
  // A carrier that carries out a document asks for the next one: what it tells beside is no news.
  if (step?.name === 'next') return goOn(deps, place, call, event)
  switch (event.kind) {
    case 'call.initiated': return ifWanted(deps, place, call, event)
    case 'call.ringing':
    case 'call.answered': return progress(deps, place, call, event)
    case 'call.ended': return ended(deps, call, event)
    case 'call.transfer': return transferred(deps, place, call, event)
    case 'call.bridged': return call.wish === 'transfer' ? talking(deps, call, null) : null
    case 'call.machine': return machine(deps, call, event)
    case 'call.stream': return event.state === 'started' || place.carrier.can.socketEndsStep ? null : soundLost(deps, place, call, event)
    case 'call.next': return instruct(deps, place, event, event.instructions)
    default: return null
  }
}

async function callOf(deps: VoiceDeps, { number }: VoiceNumber, known: string | undefined, event: CallEvent): Promise<calls.Call | null> {
  const call = await deps.db.tenant(number.tenantId, async (tx) => (known === undefined ? null : await calls.find(tx, known)) ?? calls.findByCarrier(tx, number.id, event.carrierCallId))
  if (!call || call.numberId !== number.id) return null
  // Telnyx tells of the leg that a call is put through to under the reference of the call: what becomes of that leg is told as `call.transfer`.
  if (call.carrierCallId !== null && call.carrierCallId !== event.carrierCallId) return null
  // The first thing that is told of an outbound call names it, should our own note of it have been lost.
  if (call.carrierCallId === null) await deps.db.system('calls', (tx) => calls.placed(tx, call.id, event.carrierCallId))
  return call
}

type Incoming = Extract<CallEvent, { kind: 'call.initiated' }>

async function incoming(deps: VoiceDeps, place: VoiceNumber, event: Incoming): Promise<Told> {
  const { number, settings } = place
  const callId = newId()
  const { call } = await deps.db.system('calls', (tx) =>
    calls.open(tx, {
      callId, tenantId: number.tenantId, numberId: number.id, direction: 'inbound', carrier: settings.carrier, carrierCallId: event.carrierCallId, from: event.from, to: event.to,
      contact: { identity: callerIdentity(event.from, callId), ...(event.callerName === undefined ? {} : { name: event.callerName }) },
      holdMicros: firstHold(deps, place, 'inbound'), holdUntil: holdUntil(deps.clock, settings), limits: { number: settings.concurrency_limit, tenant: deps.tenantCallsMax },
    }))
  if (call.endedAt) return instruct(deps, place, event, [{ do: 'reject', reason: call.status === 'busy' ? 'busy' : 'rejected' }])
  return instruct(deps, place, event, streamCall(deps.addresses, place.carrier, call))
}

/** A caller without a number is a person of this call alone. */
const callerIdentity = (from: string, callId: Id): Identity => {
  if (E164.safeParse(from).success) return { kind: 'phone', value: from }
  return { kind: 'sip', value: from === '' || from === 'anonymous' ? `anonymous:${callId}` : from }
}

export function firstHold({ clock }: Pick<VoiceDeps, 'clock'>, { number, settings }: VoiceNumber, direction: 'inbound' | 'outbound'): Micros {
  const content = number.agent?.content
  const models = content ? modelsOf(content) : []
  const { stt, tts } = settings.voice
  return holdForCall({
    atMs: clock.nowMs(), carrier: settings.carrier, direction, minutes: FIRST_HOLD_MINUTES, models,
    ...(stt.length > 0 ? { stt: stt.map((engine) => ({ engine, model: '' })) } : {}),
    ...(tts.length > 0 ? { tts: tts.map(({ engine }) => ({ engine, model: '' })) } : {}),
  })
}

/** Credits come back by themselves if everybody forgets the call. */
export const holdUntil = (clock: Clock, { max_duration_seconds }: VoiceSettings): Date => new Date(clock.nowMs() + (max_duration_seconds + 3_600) * 1_000)

async function progress(deps: VoiceDeps, place: VoiceNumber, call: calls.Call, event: CallEvent): Promise<Told> {
  await deps.db.system('calls', (tx) => calls.progress(tx, call.id, event.kind === 'call.ringing' ? 'ringing' : 'in_progress'))
  return ifWanted(deps, place, call, event)
}

/** It was to be hung up before the carrier had named it, or has been given up as one that it never heard of. */
async function ifWanted(deps: VoiceDeps, { carrier, config }: VoiceNumber, { wish }: calls.Call, { carrierCallId }: CallEvent): Promise<Told> {
  if (wish === 'hang_up') await deps.carrierClients[carrier.id].hangUp(config, carrierCallId, AbortSignal.timeout(CARRIER_TIMEOUT_MS))
  return null
}

/** The sound is over and the call is not: to the voice again, or what was wished for meanwhile. */
async function goOn(deps: VoiceDeps, place: VoiceNumber, call: calls.Call, event: CallEvent): Promise<Told> {
  if (call.endedAt || call.wish === 'hang_up') return instruct(deps, place, event, [{ do: 'hang_up' }])
  if (call.wish === 'transfer') return null
  return instruct(deps, place, event, streamCall(deps.addresses, place.carrier, call, { again: true }))
}

/** Where nobody asks what comes next, the sound is asked for: at once, and while that fails with pauses, for as long as a process waits for its line. */
async function soundLost(deps: VoiceDeps, place: VoiceNumber, { id }: calls.Call, event: CallEvent): Promise<Told> {
  const now = () => deps.db.system('calls', (tx) => calls.get(tx, id))
  await deps.restarts.lost(id, {
    async ask(attempt) {
      const call = await now()
      // One command each: what was refused must not be taken for done.
      await goOn(deps, place, call, { ...event, eventId: `${event.eventId}#${attempt}` })
      return call.endedAt || call.wish === 'hang_up' || call.wish === 'transfer' ? 'over' : 'asked'
    },
    async giveUp() {
      const { outcome } = await deps.db.system('calls', (tx) => calls.end(tx, { callId: id, epoch: 'unowned', status: 'completed', reason: 'line_lost', at: new Date(deps.clock.nowMs()), carrying: carryingPrice }))
      // A process that has the call has given up its line by now, too, and ends it.
      if (outcome === 'ended') await deps.carrierClients[place.carrier.id].hangUp(place.config, event.carrierCallId, AbortSignal.timeout(CARRIER_TIMEOUT_MS))
    },
  })
  return null
}

type Transferred = Extract<CallEvent, { kind: 'call.transfer' }>

/** The other phone rings; somebody has taken it, and we are out of the call until the carrier says that it is over; or nobody has, and the caller is ours again. */
async function transferred(deps: VoiceDeps, place: VoiceNumber, call: calls.Call, event: Transferred): Promise<Told> {
  if (event.outcome !== 'ringing' && event.outcome !== 'answered') return notReached(deps, place, call, event)
  if (call.wish !== 'transfer' || call.endedAt) await stray(deps, place, event)
  else if (event.outcome === 'ringing') await ringing(deps, call)
  else await talking(deps, call, event.durationSeconds)
  // A dial step that is over (Twilio and TeXML tell how long it was): nothing comes after it.
  return event.durationSeconds !== null && place.carrier.can.socketEndsStep ? instruct(deps, place, event, [{ do: 'hang_up' }]) : null
}

/** Nobody wants it any more: no phone is to be picked up for a caller who talks with the agent again, or has gone. What is told once a talk is over names a leg that is. */
async function stray({ carrierClients, log }: VoiceDeps, { carrier, config, number }: VoiceNumber, { otherCallId, durationSeconds }: Transferred): Promise<void> {
  if (otherCallId === undefined || durationSeconds !== null) return
  await carrierClients[carrier.id].hangUp(config, otherCallId, AbortSignal.timeout(CARRIER_TIMEOUT_MS)).catch((error: unknown) => log.warn({ error, numberId: number.id }, 'a leg that nobody wants any more could not be hung up'))
}

const ringing = (deps: VoiceDeps, { id }: calls.Call): Promise<void> =>
  deps.db.system('calls', async (tx) => {
    if (await calls.transferring(tx, id, 'ringing')) await noteTransfer(tx, id, { outcome: 'ringing' })
  })

/** Both hear each other. `seconds`: and are done. */
async function talking(deps: VoiceDeps, { id, partedAt }: calls.Call, seconds: number | null): Promise<null> {
  await deps.db.system('calls', async (tx) => {
    if (await calls.transferring(tx, id, 'answered')) await noteTransfer(tx, id, { outcome: 'answered', seconds })
    else if (seconds !== null) await noteTransfer(tx, id, { outcome: 'ended', seconds })
    if (partedAt) await calls.endParted(tx, await calls.get(tx, id), carryingPrice)
  })
  return null
}

async function notReached(deps: VoiceDeps, place: VoiceNumber, call: calls.Call, event: Transferred): Promise<Told> {
  const isNews = call.wish === 'transfer' && !call.endedAt
  // What a carrier asks for by a document is answered; a word that comes late changes nothing.
  if (!isNews) return place.carrier.can.socketEndsStep ? goOn(deps, place, call, event) : null
  await deps.db.system('calls', async (tx) => {
    await noteTransfer(tx, call.id, { outcome: event.outcome, seconds: event.durationSeconds })
    if (call.partedAt) await calls.endParted(tx, call, carryingPrice)
    else await calls.wish(tx, call.id, 'return')
  })
  if (call.partedAt) return null
  return place.carrier.can.socketEndsStep ? goOn(deps, place, { ...call, wish: 'return' }, event) : soundLost(deps, place, call, event)
}

const noteTransfer = (tx: Tx, callId: Id, data: Record<string, unknown>): Promise<void> => calls.note(tx, callId, [{ kind: 'transfer', atMs: null, data }])

async function machine(deps: VoiceDeps, call: calls.Call, event: Extract<CallEvent, { kind: 'call.machine' }>): Promise<Told> {
  await deps.db.system('calls', (tx) => calls.note(tx, call.id, [{ kind: 'machine', atMs: null, data: { by: 'carrier', verdict: event.verdict, phase: event.phase, detail: event.detail } }]))
  deps.bell.ring(`call:${call.id}`, JSON.stringify({ machine: event.verdict, phase: event.phase }))
  return null
}

type Ended = Extract<CallEvent, { kind: 'call.ended' }>
type Ending = { status: EndedCallStatus; reason: CallEndReason }

const ENDINGS: Record<Ended['cause'], Ending> = {
  completed: { status: 'completed', reason: 'caller_hung_up' },
  busy: { status: 'busy', reason: 'busy' },
  no_answer: { status: 'no_answer', reason: 'no_answer' },
  rejected: { status: 'failed', reason: 'rejected' },
  canceled: { status: 'cancelled', reason: 'cancelled' },
  unreachable: { status: 'failed', reason: 'unreachable' },
  time_limit: { status: 'completed', reason: 'max_duration' },
  failed: { status: 'failed', reason: 'carrier_failed' },
}

/** Why a call is over: what was wished for, and done, counts before the carrier's word. */
function endingOf(call: calls.Call, { cause }: Ended): Ending {
  if (call.wish === 'transfer' && call.transfer === 'answered') return { status: 'completed', reason: 'transferred' }
  if (call.wish === 'hang_up') return call.answeredAt ? { status: 'completed', reason: 'hung_up_by_api' } : { status: 'cancelled', reason: 'cancelled' }
  // Nobody ever took it, whatever the carrier calls that.
  return cause === 'completed' && !call.answeredAt ? { status: 'cancelled', reason: 'cancelled' } : ENDINGS[cause]
}

/** Between a caller who is gone and one who has been talking with somebody else the other phone's news decides. */
const PARTINGS: ReadonlySet<Ended['cause']> = new Set(['completed', 'canceled'])

/** The process that has the call hears its line end and has more to write; without one the call ends here. */
async function ended(deps: VoiceDeps, { id, options }: calls.Call, event: Ended): Promise<Told> {
  const at = new Date(deps.clock.nowMs())
  const result = await deps.db.system('calls', async (tx) => {
    if (PARTINGS.has(event.cause) && (await calls.part(tx, id, { detail: event.detail, at }))) return null
    const call = await calls.get(tx, id)
    const ending = await calls.end(tx, { callId: id, epoch: 'unowned', ...endingOf(call, event), detail: event.detail, at, carrying: carryingPrice })
    // Nothing brings its sound back: the process must not give the call out of hand, or nobody would end it.
    if (ending.outcome === 'fenced') await calls.unwish(tx, id, calls.HANDOVERS)
    return ending
  })
  // Whoever was to be told about a caller was not reached: the caller waits, and is to hear it.
  const briefing = briefingOf(options)
  if (result?.outcome === 'ended' && briefing) deps.bell.ring(`call:${briefing.call_id}`, JSON.stringify({ colleague: event.cause }))
  if (result?.outcome === 'fenced') deps.bell.ring(`call:${id}`, JSON.stringify({ ended: event.cause, by: event.endedBy ?? null }))
  return null
}

/** What the carrier is to do: by the webhook's answer, or by commands. A call that is over meanwhile needs none. */
async function instruct(deps: VoiceDeps, { carrier, config, number }: VoiceNumber, event: CallEvent, instructions: CallInstructionInput[]): Promise<Told> {
  const answered = event.kind !== 'call.initiated'
  const { document, commands } = carrier.answer(instructions, { key: event.eventId, carrierCallId: event.carrierCallId, answered }, config)
  if (commands.length === 0) return document
  try {
    await deps.carrierClients[carrier.id].perform(config, event.carrierCallId, commands, AbortSignal.timeout(CARRIER_TIMEOUT_MS))
  } catch (error) {
    if (!(error instanceof AppError && (error.code === 'invalid_state' || error.code === 'not_found'))) throw error
    deps.log.info({ numberId: number.id, code: error.code }, 'the call was over before the carrier could be told what to do')
  }
  return document
}
