import { carryingPrice } from '@trunkline/billing'
import { CARRIER_TIMEOUT_MS, carrierOf, type CarrierClient, type VoiceAddresses } from '@trunkline/channels'
import { briefingOf, VoiceSettings, type CarrierId, type Clock, type Id, type Logger } from '@trunkline/core'
import { calls, type Db, type NumberRouting } from '@trunkline/db'
import { bringBack, configOf, hangUpAtCarrier } from './carrier.ts'
import type { Recordings } from './recordings.ts'
import { takeBack } from './warm-transfer.ts'

export type RecoveryDeps = {
  db: Db
  clock: Clock
  log: Logger
  routing: NumberRouting
  recordings: Recordings
  carrierClients: Record<CarrierId, CarrierClient>
  addresses: VoiceAddresses
  onCharged: (tenantId: Id) => void
  leaseMs: number
}

type Ending = Pick<calls.EndCall, 'status' | 'reason'>

const AT_ONCE = 100
/** No carrier keeps a call longer (four hours are Twilio's and Telnyx's most): one that cannot be asked about is over by then. */
const LONGEST_MS = 15_000_000
const ENDINGS = { lost: { status: 'failed', reason: 'process_lost' }, unclaimed: { status: 'no_answer', reason: 'no_answer' } } as const satisfies Record<string, Ending>

/** Calls whose process is gone are ended and charged for what was written; recordings of ended calls are taken into the store. */
export async function recover(deps: RecoveryDeps): Promise<void> {
  const found = await deps.db.system('calls', (tx) => calls.abandoned(tx, deps.leaseMs, AT_ONCE))
  // Asking carriers takes its time, and whoever was lost does not wait for it.
  for (const one of found) if (one.kind !== 'released') await giveUp(deps, one, ENDINGS[one.kind])
  const quiet = await deps.db.system('calls', (tx) => calls.stuck(tx, AT_ONCE))
  await allOf([...found.filter(({ kind }) => kind === 'released').map((one) => endIfOver(deps, one)), ...quiet.map((one) => unstick(deps, one))])
  for (const { callId, tenantId } of await deps.db.system('calls', (tx) => calls.unstored(tx, AT_ONCE))) await deps.recordings.store(tenantId, callId)
}

/** Everything is tried before the first failure is told. */
async function allOf(work: Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((one) => one.status === 'rejected')
  if (failed) throw failed.reason
}

async function giveUp({ db, log, onCharged, recordings }: RecoveryDeps, { callId, tenantId, kind, at }: calls.AbandonedCall, ending: Ending): Promise<void> {
  const { outcome } = await db.system('calls', (tx) => calls.end(tx, { callId, epoch: 'any', ...ending, at, carrying: carryingPrice }))
  if (outcome !== 'ended') return
  log.warn({ callId, tenantId, kind }, 'a call that nobody looked after was ended')
  onCharged(tenantId)
  if (kind === 'lost') await recordings.store(tenantId, callId)
}

/** Put through, and no event told its end; or one did, and nothing came of the other phone any more. */
async function endIfOver(deps: RecoveryDeps, one: calls.AbandonedCall): Promise<void> {
  const call = await deps.db.system('calls', (tx) => calls.find(tx, one.callId))
  if (!call || call.endedAt) return
  if (call.partedAt) {
    const { outcome } = await deps.db.system('calls', (tx) => calls.endParted(tx, call, carryingPrice))
    if (outcome === 'ended') deps.onCharged(one.tenantId)
    return
  }
  const isAlive = (await askCarrier(deps, call)) ?? deps.clock.nowMs() - call.createdAt.getTime() < LONGEST_MS
  if (isAlive) return deps.db.system('calls', (tx) => calls.lookAgain(tx, call.id))
  await giveUp(deps, one, { status: 'completed', reason: call.wish !== 'transfer' ? 'line_lost' : call.transfer === 'answered' ? 'transferred' : 'caller_hung_up' })
}

/** Nobody is heard in it: who waits for somebody who was perhaps never called, or for a sound that does not come back, hears the agent again. */
async function unstick(deps: RecoveryDeps, { callId, kind }: calls.StuckCall): Promise<void> {
  const call = await deps.db.system('calls', (tx) => calls.find(tx, callId))
  const number = call?.carrierCallId ? await deps.routing.numberForRouting(call.numberId) : null
  if (!call || !number) return
  const config = configOf(number, VoiceSettings.parse(number.settings))
  const carrier = carrierOf(call.carrier, config)
  deps.log.warn({ callId, kind }, 'nobody is heard in a call')
  const isColleague = briefingOf(call.options) !== null
  if (kind === 'hopeless' || isColleague) {
    // A colleague who was to be connected has nobody to talk to.
    await giveUp(deps, { callId, tenantId: call.tenantId, kind: 'released', at: new Date(deps.clock.nowMs()) }, { status: 'completed', reason: isColleague ? 'agent_hung_up' : 'line_lost' })
    return hangUpAtCarrier(deps, call, config)
  }
  if (kind === 'doubtful') await takeBack(deps, call, carrier, config)
  else await bringBack(deps, call, carrier, config)
}

/** Null: it cannot be asked, or does not say. */
async function askCarrier({ routing, carrierClients, log }: RecoveryDeps, call: calls.Call): Promise<boolean | null> {
  try {
    const number = await routing.numberForRouting(call.numberId)
    if (!number || call.carrierCallId === null) return null
    const state = await carrierClients[call.carrier].find(configOf(number, VoiceSettings.parse(number.settings)), call.carrierCallId, AbortSignal.timeout(CARRIER_TIMEOUT_MS))
    return state?.isAlive ?? false
  } catch (error) {
    log.warn({ error, callId: call.id }, 'a carrier could not be asked whether a call still lives')
    return null
  }
}
