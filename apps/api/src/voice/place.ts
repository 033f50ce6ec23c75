import { carryingPrice } from '@trunkline/billing'
import { stepUrl, streamCall, type PlaceOutcome } from '@trunkline/channels'
import { AppError, E164, newId, settingsOfCall, type CallOptions, type Identity } from '@trunkline/core'
import { calls, type Tx } from '@trunkline/db'
import type { ApiDeps } from '../deps.ts'
import { rejectedCall, type Fields } from './carrier-error.ts'
import { firstHold, holdUntil, type VoiceNumber } from './events.ts'

export type PlaceDeps = Pick<ApiDeps, 'db' | 'clock' | 'log' | 'carrierClients' | 'voice'>

export type PlaceWish = {
  place: VoiceNumber
  /** E.164 or a SIP address. */
  to: string
  placedBy: string
  metadata: Record<string, string>
  options: CallOptions
  detectMachine: boolean
  /** How long it may ring. */
  timeoutSeconds: number
  /** Pressed once the call is answered. */
  sendDigits?: string | undefined
  /** In the transaction that opens the call, refused or not. */
  also: (tx: Tx, call: calls.Call) => Promise<void>
}

/** `unknown`: the carrier did not say whether it took the call. Its events tell, or the recovery does. */
export type Placed = { outcome: 'accepted' | 'unknown'; call: calls.Call }

const PLACE_TIMEOUT_MS = 10_000
/** The carrier's own limit is for calls whose process is gone: ours comes first, with a goodbye. */
const CARRIER_GRACE_SECONDS = 60
const FIELDS: Fields = { to: 'body.to', from: 'body.from', sendDigits: 'body.send_digits' }

/**
 * Calls somebody: the call is opened with its limits and credit before the carrier hears of it, so that it is never placed without a row.
 * Throws AppError: why it was refused (`details.call_id`: the row that says so), or what the carrier said.
 */
export async function placeCall(deps: PlaceDeps, wish: PlaceWish): Promise<Placed> {
  const opened = await open(deps, wish)
  if (opened.endedAt) throw refusalOf(opened)
  const outcome = await askCarrier(deps, wish, opened)
  if (outcome.status === 'rejected') {
    await close(deps, opened, outcome)
    throw rejectedCall(opened.carrier, outcome, FIELDS, opened.id)
  }
  if (outcome.status === 'unknown') {
    deps.log.warn({ callId: opened.id, reason: outcome.reason }, 'a carrier did not say whether it placed a call')
    return { outcome: 'unknown', call: opened }
  }
  return { outcome: 'accepted', call: await named(deps, wish.place, opened, outcome.carrierCallId) }
}

async function open(deps: PlaceDeps, wish: PlaceWish): Promise<calls.Call> {
  const { number, settings: usual } = wish.place
  const settings = settingsOfCall(usual, wish.options)
  return deps.db.tenant(number.tenantId, async (tx) => {
    const { call } = await calls.open(tx, {
      callId: newId(), tenantId: number.tenantId, numberId: number.id, direction: 'outbound', carrier: settings.carrier, carrierCallId: null, from: number.address, to: wish.to,
      contact: { identity: identityOf(wish.to) }, holdMicros: firstHold(deps, wish.place, 'outbound'), holdUntil: holdUntil(deps.clock, settings),
      limits: { number: settings.concurrency_limit, tenant: deps.voice.tenantCallsMax }, metadata: wish.metadata, options: wish.options, placedBy: wish.placedBy,
    })
    await wish.also(tx, call)
    return call
  })
}

const identityOf = (to: string): Identity => ({ kind: E164.safeParse(to).success ? 'phone' : 'sip', value: to })

const BUSY_RETRY_MS = 5_000

function refusalOf(call: calls.Call): AppError {
  const details = { call_id: call.id, reason: call.endReason }
  switch (call.endReason) {
    case 'tenant_suspended': return new AppError('tenant_suspended', { details })
    case 'number_inactive': return new AppError('invalid_state', { message: 'This number is stopped.', param: 'body.from', details })
    case 'no_agent': return new AppError('invalid_state', { message: 'Nobody speaks on this number: give it an agent first.', param: 'body.from', details })
    case 'number_busy': return new AppError('rate_limited', { message: 'This number has all the calls it may have at a time (settings.concurrency_limit).', details, retryAfterMs: BUSY_RETRY_MS })
    case 'tenant_busy': return new AppError('rate_limited', { message: 'You have all the calls that you may have at a time.', details, retryAfterMs: BUSY_RETRY_MS })
    case 'insufficient_credit': return new AppError('insufficient_credit', { details })
    default: return new AppError('invalid_state', { details })
  }
}

function askCarrier({ carrierClients, voice: { addresses } }: PlaceDeps, wish: PlaceWish, call: calls.Call): Promise<PlaceOutcome> {
  const { carrier, config, settings, number } = wish.place
  const { max_duration_seconds: longest } = settingsOfCall(settings, wish.options)
  const order = {
    to: wish.to, from: number.address, instructions: streamCall(addresses, carrier, call), statusUrl: stepUrl(addresses, number.id, 'status', call.id), reference: call.id,
    timeoutSeconds: wish.timeoutSeconds, timeLimitSeconds: Math.min(longest + CARRIER_GRACE_SECONDS, 14_400),
    ...(wish.detectMachine ? { machineDetection: 'detect' as const } : {}), ...(wish.sendDigits === undefined ? {} : { sendDigits: wish.sendDigits }),
  }
  return carrierClients[carrier.id].place(config, order, AbortSignal.timeout(PLACE_TIMEOUT_MS))
}

/** Nobody's phone rings: the call is over, and what was held goes back. */
async function close({ db, clock }: PlaceDeps, { id }: calls.Call, { carrierCode }: Extract<PlaceOutcome, { status: 'rejected' }>): Promise<void> {
  await db.system('calls', (tx) => calls.end(tx, { callId: id, epoch: 'any', status: 'failed', reason: 'carrier_failed', detail: carrierCode, at: new Date(clock.nowMs()), carrying: carryingPrice }))
}

/**
 * The carrier's name of the call is kept; somebody may have wanted it to be hung up meanwhile. A failure here is none of the request, which
 * must not be made again: the phone rings, and the carrier's first event names the call, too.
 */
async function named({ db, carrierClients, log }: PlaceDeps, { carrier, config, number }: VoiceNumber, opened: calls.Call, carrierCallId: string): Promise<calls.Call> {
  try {
    const call = await db.tenant(number.tenantId, async (tx) => {
      await calls.placed(tx, opened.id, carrierCallId)
      return calls.get(tx, opened.id)
    })
    if (call.wish === 'hang_up' && !call.endedAt) await carrierClients[carrier.id].hangUp(config, carrierCallId, AbortSignal.timeout(PLACE_TIMEOUT_MS))
    return call
  } catch (error) {
    log.warn({ error, callId: opened.id }, 'a call is placed, and could not be followed up')
    return opened
  }
}
