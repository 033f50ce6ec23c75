import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { CallHandle } from '@trunkline/app-sandbox'
import { seededChance, type Chance } from '@trunkline/core'
import { connectDb, ledger, type Db } from '@trunkline/db'
import { openBusiness } from '../flow/business.ts'
import { openTelephone, type Telephone } from '../flow/telephone.ts'
import { watchDatabase, type Watch } from '../flow/watch.ts'
import { Intruder, openCallFor } from '../harness/media-intruder.ts'
import type { SpawnedNode } from '../harness/processes.ts'
import { openFleet, type Fleet } from './fleet.ts'
import { SECRET, type Ground } from './ground.ts'
import { mutantOf } from './mutants.ts'
import { NO_LETTERS, type Counts, type Scenario } from './scenario.ts'

/** Some half a minute in the sandbox's voice. */
const GREETING = 'Please wait for a moment and listen to what we do for bicycles all day long in our harbour. '.repeat(10).trim()
const VOICE_SETTINGS = { VAD: 'energy', CALLS_MAX: '500' }
/** The kernel has what a process wrote when it is killed; what it had not written yet is a second at most. */
const LOST_MS_MAX = 1_000
const SETTLE_MS = 60_000

/** A switchboard with calls on it. */
type Play = {
  fleet: Fleet
  watch: Watch
  db: Db
  telephone: Telephone
  tenantId: string
  random: Chance
  voice: SpawnedNode
  /** So many people ring and hear the agent. */
  ring(count: number): Promise<CallHandle[]>
  broken: string[]
}

type Result = { calls: number; faults: number }

async function play(ground: Ground, seed: number, settings: Record<string, string>, strike: (play: Play) => Promise<Result>): Promise<Counts> {
  const startedMs = performance.now()
  const fleet = await openFleet(ground, { numbers: 0, workers: 1, speechPace: { firstSoundMs: 0, chunkMs: 20 }, settings: { ...VOICE_SETTINGS, TENANT_CALLS_MAX: '100000', ...settings } })
  const watch = await watchDatabase(fleet.databaseUrl)
  const db = connectDb({ url: fleet.databaseUrl, secret: SECRET, maxConnections: 2 })
  const broken: string[] = []
  try {
    const voice = await fleet.startVoice()
    const business = await openBusiness(fleet, 'Harbour Bikes')
    const telephone = await openTelephone(fleet, business, { settings: { greeting: GREETING, barge_in: false, recording: { enabled: true }, concurrency_limit: 10_000 } })
    const { calls, faults } = await strike({ fleet, watch, db, telephone, tenantId: business.tenantId, random: seededChance(seed), voice, broken, ring: (count) => ringMany(fleet, telephone, count) })
    await checkMoney(watch, db, broken)
    return { ...NO_LETTERS, messages: calls, faults, broken, tookMs: Math.round(performance.now() - startedMs) }
  } finally {
    await Promise.all([watch.close(), db.close()])
    await fleet.close()
  }
}

async function ringMany({ sandbox }: Fleet, { address }: Telephone, count: number): Promise<CallHandle[]> {
  const phones: CallHandle[] = []
  for (let caller = 0; caller < count; caller++) {
    phones.push(sandbox.carriers.twilio.ring({ from: `+1415${5_000_000 + caller}`, to: address, says: [] }))
    await delay(40)
  }
  await Promise.all(phones.map((phone) => phone.waitFor('media.first', { timeoutMs: 30_000 })))
  return phones
}

type CallRow = { id: string; carrier_call_id: string; status: string; end_reason: string; ended_at: Date | null; epoch: number; recording_state: string; recording_key: string | null; recording_ms: number | null; recording_bytes: string | null; ends: number; settles: number; held: number }
const CALLS = `SELECT c.id, c.carrier_call_id, c.status, c.end_reason, c.ended_at, c.epoch, c.recording_state, c.recording_key, c.recording_ms, c.recording_bytes,
    (SELECT count(*)::int FROM call_events e WHERE e.call_id = c.id AND e.kind = 'status' AND e.data->>'status' = c.status AND e.data ? 'reason') AS ends,
    (SELECT count(*)::int FROM transfers t WHERE t.idempotency_key = 'settle:call:' || c.id) AS settles,
    (SELECT count(*)::int FROM holds h WHERE h.id = ANY (c.hold_ids) AND h.state = 'held') AS held
  FROM calls c ORDER BY c.id`

const settled = (watch: Watch, count: number) => watch.until<CallRow>(CALLS, [], (rows) => rows.length >= count && rows.every((row) => row.ended_at !== null && (row.recording_state === 'stored' || row.recording_state === 'none')), SETTLE_MS)

/** Ended once, charged once, nothing reserved any more; and the books balance. */
async function checkMoney(watch: Watch, db: Db, broken: string[]): Promise<void> {
  for (const call of await watch.rows<CallRow>(CALLS)) {
    if (call.ended_at === null) broken.push(`call ${call.id} has not ended`)
    if (call.ends !== 1) broken.push(`call ${call.id} ended ${call.ends} times`)
    if (call.settles !== 1 && call.end_reason !== 'no_answer') broken.push(`call ${call.id} (${call.end_reason}) was charged ${call.settles} times`)
    if (call.held > 0) broken.push(`call ${call.id} still has ${call.held} holds`)
  }
  const { differences } = await db.system('ledger', (tx) => ledger.verifyLedger(tx))
  for (const difference of differences) broken.push(`ledger: ${difference.what} ${difference.of} is ${difference.storedMicros}, should be ${difference.expectedMicros}`)
}

/** As long as the call, up to the last second; and what the file says of itself is true. */
function checkRecording(fleet: Fleet, call: CallRow, talkedMs: number, broken: string[]): void {
  if (call.recording_state !== 'stored' || call.recording_key === null) return void broken.push(`recording of ${call.id} is ${call.recording_state}`)
  const wav = readFileSync(join(fleet.folder, call.recording_key))
  const [riff, dataBytes, bytesPerSecond] = [wav.toString('latin1', 0, 4), wav.readUInt32LE(40), wav.readUInt32LE(28)]
  if (riff !== 'RIFF' || wav.length !== Number(call.recording_bytes) || dataBytes !== wav.length - 44) return void broken.push(`recording of ${call.id} is not readable: ${riff}, ${wav.length} bytes, ${dataBytes} of sound`)
  const lengthMs = (dataBytes / bytesPerSecond) * 1_000
  if (Math.abs(lengthMs - call.recording_ms!) > 1) broken.push(`recording of ${call.id} has ${lengthMs} ms and is said to have ${call.recording_ms}`)
  if (lengthMs < talkedMs - LOST_MS_MAX) broken.push(`recording of ${call.id} has ${Math.round(lengthMs)} ms of ${Math.round(talkedMs)}`)
}

/** The recording had begun when the first sound was sent. */
const firstHeardMs = (phones: readonly CallHandle[], { carrier_call_id: id }: CallRow): number => Date.parse(phones.find((phone) => phone.id === id)!.moments().find(({ kind }) => kind === 'media.first')!.at)

/** Bug: a carrier whose socket is refused asked again at once, a hundred times a second for each call. */
function checkPatience({ sandbox }: Fleet, seconds: number, calls: number, broken: string[]): void {
  const asked = sandbox.journal.query({ target: 'twilio.webhook' }).length
  const most = calls * (seconds + 5)
  if (asked > most) broken.push(`carriers asked ${asked} times what to do, ${Math.round(most)} at most was expected`)
}

const talk = (random: Chance) => delay(2_000 + random.below(3_000))

async function kill(voice: SpawnedNode): Promise<number> {
  voice.signal('SIGKILL')
  const killedMs = Date.now()
  await voice.exited
  return killedMs
}

/** kill -9 of the voice in the middle of recorded calls, and no other for the carriers: one elsewhere ends them, charges them and keeps what was recorded. */
export const loseVoice: Scenario = (ground, size, seed) =>
  play(ground, seed, { CALL_LEASE_MS: '4000' }, async ({ fleet, watch, voice, ring, random, broken }) => {
    const phones = await ring(size)
    await talk(random)
    const killedMs = await kill(voice)
    await fleet.startVoice({ VOICE_PORT: '0' })
    const calls = await settled(watch, size)
    checkPatience(fleet, (Date.now() - killedMs) / 1_000, size, broken)
    for (const call of calls) {
      if (call.end_reason !== 'process_lost') broken.push(`call ${call.id} ended as ${call.end_reason}`)
      checkRecording(fleet, call, killedMs - firstHeardMs(phones, call), broken)
    }
    return { calls: calls.length, faults: 1 }
  })

/** The same, and another one at once where carriers look: the calls go on, and their recordings have both parts. */
export const replaceVoice: Scenario = (ground, size, seed) =>
  play(ground, seed, { CALL_LEASE_MS: '30000' }, async ({ fleet, watch, voice, ring, random, broken }) => {
    const phones = await ring(size)
    await talk(random)
    const killedMs = await kill(voice)
    await fleet.startVoice()
    const back = await Promise.all(phones.map((phone) => phone.waitFor('media.first', { from: 1, timeoutMs: SETTLE_MS })))
    await talk(random)
    const overMs = Date.now()
    for (const phone of phones) phone.hangUp()
    const calls = await settled(watch, size)
    const latestBackMs = Math.max(...back.map(({ at }) => Date.parse(at)))
    for (const call of calls) {
      if (call.end_reason !== 'caller_hung_up' || call.epoch !== 2) broken.push(`call ${call.id} ended as ${call.end_reason} in epoch ${call.epoch}`)
      checkRecording(fleet, call, killedMs - firstHeardMs(phones, call) + (overMs - latestBackMs), broken)
    }
    return { calls: calls.length, faults: 1 }
  })

const [MUTANTS_PER_SOCKET, SOCKETS_AT_ONCE, BYSTANDERS] = [200, 5, 3]
const MEMORY_MIB = 250

/** So many mutated messages, on sockets with a good token, while others talk. A socket that is closed for it is what it may expect. */
export const mutateMedia: Scenario = (ground, size, seed) =>
  play(ground, seed, { CALL_LEASE_MS: '5000' }, async ({ fleet, watch, db, telephone, tenantId, voice, ring, broken }) => {
    const residentMiB = () => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${voice.pid}/status`, 'utf8'))![1]) / 1_024
    const bystanders = await ring(BYSTANDERS)
    const before = residentMiB()
    for (let sent = 0; sent < size; sent += MUTANTS_PER_SOCKET * SOCKETS_AT_ONCE) {
      await Promise.all(Array.from({ length: SOCKETS_AT_ONCE }, async (_, nth) => {
        const call = await openCallFor(db, SECRET, { id: telephone.id, tenantId, address: telephone.address })
        await abuse(await Intruder.at(fleet.voiceUrl, call), seededChance(seed + sent + nth))
      }))
    }
    const stutters = bystanders.flatMap((phone) => phone.streams()).reduce((sum, { stats }) => sum + stats.underruns, 0)
    if (stutters > 0) broken.push(`others heard ${stutters} stutters`)
    if (residentMiB() - before > MEMORY_MIB) broken.push(`memory grew from ${Math.round(before)} to ${Math.round(residentMiB())} MiB`)
    if (!voice.report().includes('still running')) broken.push(`the voice has ended: ${voice.report()}`)
    for (const phone of bystanders) phone.hangUp()
    await watch.until<{ open: number }>('SELECT count(*)::int AS open FROM calls WHERE ended_at IS NULL', [], ([row]) => row!.open === 0, SETTLE_MS)
    return { calls: size, faults: size }
  })

async function abuse(intruder: Intruder, chance: Chance): Promise<void> {
  intruder.start()
  const whole: (() => object)[] = [
    () => intruder.media(), () => intruder.media(), () => intruder.media(),
    () => ({ event: 'mark', sequenceNumber: '7', streamSid: 'MZ1', mark: { name: '0.1' } }),
    () => ({ event: 'dtmf', sequenceNumber: '7', streamSid: 'MZ1', dtmf: { track: 'inbound_track', digit: '5' } }),
    () => ({ event: 'start', sequenceNumber: '1', streamSid: 'MZ2', start: { streamSid: 'MZ2', callSid: 'CA2', mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8_000, channels: 1 } } }),
    () => ({ event: 'stop', sequenceNumber: '8', streamSid: 'MZ2', stop: { callSid: 'CA2' } }),
  ]
  for (let sent = 0; sent < MUTANTS_PER_SOCKET; sent++) intruder.say(mutantOf(chance.pick(whole)(), chance))
  intruder.say({ event: 'stop', sequenceNumber: '9', streamSid: 'MZ1', stop: {} })
  // Read to its end, unless it was closed before.
  await new Promise<void>((resolve) => {
    void intruder.closed.then(() => resolve())
    intruder.socket.once('pong', () => resolve())
    if (intruder.socket.readyState === intruder.socket.OPEN) intruder.socket.ping()
  })
  intruder.socket.close(1000)
  await intruder.closed
}
