import { setTimeout as delay } from 'node:timers/promises'
import { AppError, newId } from '@trunkline/core'
import { calls, type Tx } from '@trunkline/db'
import type { ApiDeps } from '../deps.ts'
import { asking, type Fields } from './carrier-error.ts'
import { carryingPrice } from '@trunkline/billing'
import { CARRIER_TIMEOUT_MS, isUndone, NEWS_WITHIN_MS, stepUrl, streamCall } from '@trunkline/channels'
import type { VoiceNumber } from './events.ts'

// What people ask of a call that runs. Each wish is kept with the call before the carrier hears of it: whoever has the call's sound then
// knows why it goes away, and whether it comes back.

export type SteerDeps = Pick<ApiDeps, 'db' | 'clock' | 'log' | 'carrierClients' | 'voice'>
/** A call, its number as the carrier knows it, and what is written in the transaction of the wish. */
export type Steered = { call: calls.Call; place: VoiceNumber; also: (tx: Tx) => Promise<void> }

const deadline = (): AbortSignal => AbortSignal.timeout(CARRIER_TIMEOUT_MS)

/** Ringing or talking. A call that is over is left as it is; one that the carrier has not named yet is hung up when it is. */
export async function hangUpCall(deps: SteerDeps, { call: { id }, place, also }: Steered): Promise<void> {
  const call = await deps.db.tenant(place.number.tenantId, async (tx) => {
    if (!(await calls.wish(tx, id, 'hang_up'))) return null
    await also(tx)
    return calls.get(tx, id)
  })
  if (call === null || call.carrierCallId === null) return
  const { carrierCallId } = call
  const hangUp = () => deps.carrierClients[call.carrier].hangUp(place.config, carrierCallId, deadline())
  const told = await commanded(call, {}, hangUp, () => unwish(deps, call, 'hang_up'))
  // No event will come any more, or it is on its way: a process that has the call hears it at its line.
  if (told === 'already_over') await over(deps, call)
}

async function over({ db, clock }: SteerDeps, { id, answeredAt }: calls.Call): Promise<void> {
  const ending = answeredAt ? ({ status: 'completed', reason: 'hung_up_by_api' } as const) : ({ status: 'cancelled', reason: 'cancelled' } as const)
  await db.system('calls', (tx) => calls.end(tx, { callId: id, epoch: 'unowned', ...ending, at: new Date(clock.nowMs()), carrying: carryingPrice }))
}

export type TransferWish = { to: string; from?: string | undefined; timeoutSeconds?: number | undefined }

/** Cold: the outside person hears ringing. Answered, we are out of the call; else it comes back to the agent, who says so. */
export async function transferCall(deps: SteerDeps, steered: Steered, { to, from, timeoutSeconds }: TransferWish): Promise<void> {
  const { place } = steered
  const call = await wishOnce(deps, steered, 'transfer', { kind: 'transfer', atMs: null, data: { outcome: 'asked', by: 'api' } })
  const wish = {
    to, from: from ?? (call.direction === 'inbound' ? call.to : call.from), timeoutSeconds: timeoutSeconds ?? place.settings.transfer_timeout_seconds,
    resultUrl: stepUrl(deps.voice.addresses, call.numberId, 'transferred', call.id),
  }
  const transfer = () => deps.carrierClients[call.carrier].transfer(place.config, call.carrierCallId, wish, { key: `transfer:${newId()}`, reference: call.id }, deadline())
  try {
    await asking(call.carrier, { to: 'body.to', from: 'body.from' }, { call_id: call.id }, transfer)
  } catch (error) {
    if (await notTransferred(deps, place, call, isUndone(error))) throw error
    return
  }
  // It is done; what is told of the other phone says so, too.
  await deps.db.tenant(call.tenantId, (tx) => calls.transferring(tx, call.id, 'accepted')).catch((error: unknown) => deps.log.warn({ error, callId: call.id }, 'a transfer that a carrier took could not be noted'))
}

/**
 * Nobody has been called, or nobody knows: then whatever the carrier does is ended by what it is told next, and the caller is the agent's again.
 * False: the other phone has been heard of meanwhile.
 */
async function notTransferred(deps: SteerDeps, { carrier, config }: VoiceNumber, call: NamedCall, isCertain: boolean): Promise<boolean> {
  if (!isCertain) await delay(NEWS_WITHIN_MS)
  // Refused as a whole: the sound was never away.
  const stays = isCertain && carrier.can.socketEndsStep
  const isOurs = await deps.db.tenant(call.tenantId, (tx) => calls.transferFailed(tx, call.id, { stays, data: { by: 'api' } }))
  if (stays || !isOurs) return isOurs
  const back = streamCall(deps.voice.addresses, carrier, call)
  // What fails here is tried again by the recovery of calls.
  await deps.carrierClients[carrier.id].redirect(config, call.carrierCallId, back, { key: `return:${newId()}`, reference: call.id }, deadline())
    .catch((error: unknown) => deps.log.warn({ error, callId: call.id }, 'the sound of a call could not be brought back'))
  return true
}

/** Keys for a machine at the other end. Where the sound ends for it, it comes back afterwards. Only their number is kept: they may be a secret. */
export async function pressKeys(deps: SteerDeps, steered: Steered, digits: string): Promise<void> {
  const { carrier, config } = steered.place
  const news = { kind: 'dtmf', atMs: null, data: { sent: digits.length, by: 'api' } } as const
  const call = carrier.can.dtmfInterrupts ? await wishOnce(deps, steered, 'press', news) : await whileTalking(deps, steered, news)
  const back = streamCall(deps.voice.addresses, carrier, call)
  const press = () => deps.carrierClients[carrier.id].sendDtmf(config, call.carrierCallId, digits, back, { key: `press:${newId()}`, reference: call.id }, deadline())
  await commanded(call, { digits: 'body.digits' }, press, () => unwish(deps, call, 'press'))
}

type NamedCall = calls.Call & { carrierCallId: string }
type News = Parameters<typeof calls.note>[2][number]

const wishOnce = (deps: SteerDeps, { call: { id }, place, also }: Steered, what: 'transfer' | 'press', news: News): Promise<NamedCall> =>
  deps.db.tenant(place.number.tenantId, async (tx) => {
    if (!(await calls.wishOnce(tx, id, what))) throw notNow(await calls.get(tx, id))
    await calls.note(tx, id, [news])
    await also(tx)
    return talking(await calls.get(tx, id))
  })

const whileTalking = (deps: SteerDeps, { call: { id }, place, also }: Steered, news: News): Promise<NamedCall> =>
  deps.db.tenant(place.number.tenantId, async (tx) => {
    const call = talking(await calls.get(tx, id))
    if (call.wish !== null) throw notNow(call)
    await calls.note(tx, id, [news])
    await also(tx)
    return call
  })

function talking(call: calls.Call): NamedCall {
  const { carrierCallId } = call
  if (call.status !== 'in_progress' || carrierCallId === null) throw notNow(call)
  return { ...call, carrierCallId }
}

const UNDER_WAY: Record<calls.CallWish, string> = { hang_up: 'The call is being hung up.', transfer: 'The call is being transferred.', press: 'Keys are being pressed.', return: 'A transfer came to nothing, and the call is on its way back.' }

function notNow({ id, status, endedAt, endReason, wish, carrierCallId }: calls.Call): AppError {
  const details = { call_id: id, status, ...(endReason === null ? {} : { reason: endReason }) }
  if (endedAt) return new AppError('invalid_state', { message: 'The call is over.', details })
  if (status !== 'in_progress' || carrierCallId === null) return new AppError('invalid_state', { message: 'The call is not answered yet.', details })
  return new AppError('invalid_state', { message: wish === null ? 'This is not possible now.' : UNDER_WAY[wish], details })
}

/** `undo`: when the carrier has certainly not done it. What it did not answer may have been done: then the events tell. */
async function commanded<Value>({ id, carrier }: calls.Call, fields: Fields, work: () => Promise<Value>, undo: () => Promise<void>): Promise<Value> {
  try {
    return await asking(carrier, fields, { call_id: id }, work)
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'upstream_timeout')) await undo()
    throw error
  }
}

const unwish = ({ db }: SteerDeps, { id, tenantId }: calls.Call, what: calls.CallWish): Promise<void> => db.tenant(tenantId, (tx) => calls.unwish(tx, id, [what]))
