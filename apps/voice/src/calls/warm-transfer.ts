import { setTimeout as delay } from 'node:timers/promises'
import { summarise, type HistoryItem, type TurnDeps } from '@trunkline/agents'
import { carryingPrice, holdForCall } from '@trunkline/billing'
import { CARRIER_TIMEOUT_MS, stepUrl, streamCall, type Carrier, type CarrierClient, type CarrierConfig, type VoiceAddresses } from '@trunkline/channels'
import { newId, type Breakers, type CarrierId, type Clock, type Id, type Logger, type ModelUsage, type PromptContent, type VoiceSettings } from '@trunkline/core'
import { calls, sealJson, type Db, type Keyring } from '@trunkline/db'
import { bringBack, hangUpAtCarrier } from './carrier.ts'

export type WarmTransferDeps = {
  db: Db
  keyring: Keyring
  clock: Clock
  log: Logger
  breakers: Breakers
  vendors: TurnDeps['vendors']
  carrierClients: Record<CarrierId, CarrierClient>
  addresses: VoiceAddresses
}

export type WaitingCall = { call: calls.Call; carrier: Carrier; config: CarrierConfig; settings: VoiceSettings; prompt: PromptContent; history: readonly HistoryItem[]; /** What writing the briefing used. */ onUsage: (usage: ModelUsage) => void }

/** A colleague is called for a caller who waits. `cancel`: the caller has gone, and the phone stops ringing; never rejects. */
export type Errand = { callId: Id; cancel(): Promise<void> }

const BRIEFING_MS = 6_000
/** The colleague listens to some sentences and says yes. */
const MINUTES = 2
const NO_LIMIT = 10_000
const NAMED_WITHIN_MS = 8_000

/** Rings the person who is to take over; null: nobody could be called. What they are told is written before, while it rings nobody waits for it. */
export async function callColleague(deps: WarmTransferDeps, waiting: WaitingCall): Promise<Errand | null> {
  const { call: first, carrier, config, settings } = waiting
  const briefing = await briefingFor(deps, waiting)
  const callId = newId()
  const sealed = sealJson(deps.keyring, { text: briefing }, first.tenantId).toString('base64')
  const ours = first.direction === 'inbound' ? first.to : first.from
  const { call } = await deps.db.system('calls', (tx) =>
    calls.open(tx, {
      callId, tenantId: first.tenantId, numberId: first.numberId, direction: 'outbound', carrier: first.carrier, carrierCallId: null, from: ours, to: settings.transfer_to!,
      contact: { identity: { kind: 'sip', value: `colleague:${callId}` } }, internal: true, options: { briefing: { call_id: first.id, sealed } }, placedBy: `call:${first.id}`,
      holdMicros: holdForCall({ atMs: deps.clock.nowMs(), carrier: first.carrier, direction: 'outbound', minutes: MINUTES, models: [] }), holdUntil: new Date(deps.clock.nowMs() + 4 * 3_600_000),
      // The caller has a place already; the colleague's leg takes none away from other callers.
      limits: { number: NO_LIMIT, tenant: NO_LIMIT },
    }))
  if (call.endedAt) return null
  const placed = await deps.carrierClients[first.carrier].place(config, {
    to: settings.transfer_to!, from: ours, instructions: streamCall(deps.addresses, carrier, call), statusUrl: stepUrl(deps.addresses, first.numberId, 'status', call.id),
    reference: call.id, timeoutSeconds: settings.transfer_timeout_seconds,
  }, AbortSignal.timeout(CARRIER_TIMEOUT_MS))
  if (placed.status === 'rejected' || (placed.status === 'unknown' && !(await isNamed(deps, call.id)))) {
    await endUnreached(deps, call)
    return null
  }
  if (placed.status === 'accepted') await deps.db.system('calls', (tx) => calls.placed(tx, call.id, placed.carrierCallId))
  return { callId, cancel: () => hangUpAtCarrier(deps, call, config) }
}

async function briefingFor(deps: WarmTransferDeps, { call, prompt, history, onUsage }: WaitingCall): Promise<string> {
  const vendor = prompt.vendor === 'rules' ? null : await deps.vendors(prompt.vendor, call.tenantId)
  const signal = AbortSignal.timeout(BRIEFING_MS)
  const made = await summarise(history, vendor ? { vendor, model: prompt.model } : null, deps, signal).catch(() => summarise(history, null, deps, new AbortController().signal))
  made.usage.forEach(onUsage)
  return made.text
}

/** The carrier did not say whether it calls them: the first thing that it tells of the call names it. */
async function isNamed({ db }: WarmTransferDeps, callId: Id): Promise<boolean> {
  await delay(NAMED_WITHIN_MS)
  return db.system('calls', async (tx) => (await calls.get(tx, callId)).carrierCallId !== null)
}

/** Should it ring all the same, the wish ends that. */
const endUnreached = ({ db, clock }: WarmTransferDeps, { id }: calls.Call) =>
  db.system('calls', async (tx) => {
    await calls.wish(tx, id, 'hang_up')
    await calls.end(tx, { callId: id, epoch: 'any', status: 'failed', reason: 'unreachable', at: new Date(clock.nowMs()), carrying: carryingPrice })
  })

type ConnectDeps = Pick<WarmTransferDeps, 'db' | 'carrierClients' | 'addresses' | 'log'>

/** Both hear each other now, and we are out of both calls. Throws what the carrier says: then neither is. */
export async function connect({ db, carrierClients }: ConnectDeps, first: calls.Call, second: calls.Call, config: CarrierConfig): Promise<void> {
  const both = [first, second]
  await db.system('calls', async (tx) => {
    for (const { id } of both) await calls.wish(tx, id, 'transfer')
  })
  await carrierClients[first.carrier].bridge(config, first.carrierCallId!, second.carrierCallId!, { key: `bridge:${second.id}`, reference: first.id }, AbortSignal.timeout(CARRIER_TIMEOUT_MS))
  await db.system('calls', async (tx) => {
    for (const { id } of both) if (await calls.transferring(tx, id, 'answered')) await calls.note(tx, id, [{ kind: 'transfer', atMs: null, data: { outcome: 'answered', mode: 'warm' } }])
  })
}

/** They could not be connected: the caller is the agent's again, wherever the carrier has left them. False: they are connected, the carrier says meanwhile, or the caller has gone. */
export async function takeBack(deps: ConnectDeps, first: calls.Call, carrier: Carrier, config: CarrierConfig): Promise<boolean> {
  const isOurs = await deps.db.system('calls', (tx) => calls.transferFailed(tx, first.id, { stays: false, data: {} }))
  if (isOurs) await bringBack(deps, first, carrier, config)
  return isOurs
}
