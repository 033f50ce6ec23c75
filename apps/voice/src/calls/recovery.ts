import { carryingPrice } from '@trunkline/billing'
import { CARRIER_TIMEOUT_MS, type CarrierClient } from '@trunkline/channels'
import { VoiceSettings, type CarrierId, type Clock, type Id, type Logger } from '@trunkline/core'
import { calls, type Db, type NumberRouting } from '@trunkline/db'
import { configOf } from './carrier.ts'
import type { Recordings } from './recordings.ts'

export type RecoveryDeps = {
  db: Db
  clock: Clock
  log: Logger
  routing: NumberRouting
  recordings: Recordings
  carrierClients: Record<CarrierId, CarrierClient>
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
  await allOf(found.filter(({ kind }) => kind === 'released').map((one) => endIfOver(deps, one)))
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

/** Put through, and no event told its end. */
async function endIfOver(deps: RecoveryDeps, one: calls.AbandonedCall): Promise<void> {
  const call = await deps.db.system('calls', (tx) => calls.find(tx, one.callId))
  if (!call) return
  const isAlive = (await askCarrier(deps, call)) ?? deps.clock.nowMs() - call.createdAt.getTime() < LONGEST_MS
  if (isAlive) return deps.db.system('calls', (tx) => calls.lookAgain(tx, call.id))
  await giveUp(deps, one, { status: 'completed', reason: call.wish === 'transfer' ? 'transferred' : 'line_lost' })
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
