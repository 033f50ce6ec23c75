import { historyItem } from '@trunkline/agents'
import { carryingPrice } from '@trunkline/billing'
import { CARRIER_TIMEOUT_MS, carrierOf, isMediaToken, parseMediaPath, type MediaAddress } from '@trunkline/channels'
import { AppError, briefingOf, newId, settingsOfCall, VoiceSettings, type Id, type SpeechUsage } from '@trunkline/core'
import { calls, contacts, openJson, type NumberRouting, type RoutedNumber } from '@trunkline/db'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import { BriefingCall } from './briefing-call.ts'
import { configOf } from './carrier.ts'
import { withoutCarrier, withoutCustomer, type InnerLine } from './inner-line.ts'
import { LiveCall, type CallSpeech, type Gone, type LiveCallDeps, type LiveCallFacts } from './live-call.ts'
import type { Recordings } from './recordings.ts'
import { recover } from './recovery.ts'

export type CallsDeps = LiveCallDeps & {
  routing: NumberRouting
  recordings: Recordings
  /** Newest first. */
  mediaKeys: readonly Uint8Array[]
  /** With the tenant's own keys, where it has some. What it resolves to answers null where nobody can recognise speech. */
  speechFor: (tenantId: Id) => Promise<(settings: VoiceSettings['voice'], onUsage: (usage: SpeechUsage) => void) => CallSpeech | null>
  callsMax: number
  /** Without a sign of life for so long a process is taken for gone; it gives three of them in that time. */
  leaseMs: number
}

/** A carrier's frames are 20 ms: some 400 characters; `start` may carry parameters. */
const MESSAGE_BYTES_MAX = 64 * 1024
const BEATS_PER_LEASE = 3

export type Calls = {
  /**
   * A call whose caller is in this process, and which has a row. Null: it is over, or nobody here can hear. `gone` resolves when everything of it
   * is written and its recording stored. Whoever makes such calls limits them. Throws AppError `unavailable` when this process ends.
   */
  join(callId: Id, number: RoutedNumber, line: InnerLine): Promise<{ call: LiveCall; gone: Promise<Gone> } | null>
  /** Takes the upgrade of a call's media socket. Throws AppError for one that may not come in. */
  upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void>
  live(): number
  /** No new calls; those that run go on until they end or the time is over, and then their callers hear goodbye. */
  close(deadlineMs: number): Promise<void>
}

/** The phone calls of one process: who has which, that it is still here, and what became of those whose process is gone. */
export function createCalls(deps: CallsDeps): Calls {
  const owner = newId()
  const live = new Map<Id, LiveCall | BriefingCall>()
  const starting = new Map<Id, Promise<LiveCall | BriefingCall | null>>()
  const watched = new Set<Promise<Gone>>()
  // One message a turn of the event loop: what a network held back, or a flood, comes in thousands at once, and the others' frames are due in between.
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX, perMessageDeflate: false, allowSynchronousEvents: false })
  let closing = false

  async function upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    const { address, number } = await admit(request, deps)
    // Its line is gone for good, and the next one is here before everything of it is written: they are the same call, one after the other.
    if (live.get(address.callId)?.isOver) await live.get(address.callId)!.done
    const isKnown = live.has(address.callId) || starting.has(address.callId)
    if (!isKnown && (closing || live.size + starting.size >= deps.callsMax)) throw new AppError('unavailable', { message: 'No more calls here.', retryAfterMs: 1_000 })
    const socket = await opened(sockets, request, stream, head)
    const held = holdBack(socket)
    // A line that broke and is here again: the call has not ended meanwhile.
    const call = live.get(address.callId) ?? (await begin(address.callId, number))
    if (!call) return socket.close(1011)
    call.attach(socket)
    held.release()
  }

  /** Two sockets of one call that come together have one call between them, and the later one is its line. */
  function begin(callId: Id, number: RoutedNumber): Promise<LiveCall | BriefingCall | null> {
    const underWay = starting.get(callId)
    if (underWay) return underWay
    const call = start(callId, number)
      .catch((error: unknown) => {
        deps.log.error({ error, callId }, 'a call could not be taken')
        return null
      })
      .finally(() => starting.delete(callId))
    starting.set(callId, call)
    return call
  }

  async function join(callId: Id, number: RoutedNumber, line: InnerLine): Promise<{ call: LiveCall; gone: Promise<Gone> } | null> {
    if (closing) throw new AppError('unavailable', { message: 'No more calls here.', retryAfterMs: 1_000 })
    const inner = { ...deps, ...withoutCarrier(deps.carrierClients, line) }
    const taken = await take(inner, owner, callId, number)
    if (!taken) return null
    const facts = await factsOf(deps, taken.call, number, taken.claimed)
    const recording = facts.recording ?? (await deps.recordings.open(taken.call, taken.claimed.epoch, 0))
    const call = new LiveCall(withoutCustomer({ ...facts, recording }), taken.speechFor, inner)
    const gone = watch(call, number.tenantId)
    call.attach(line.socket)
    return { call, gone }
  }

  async function start(callId: Id, number: RoutedNumber): Promise<LiveCall | BriefingCall | null> {
    const taken = await take(deps, owner, callId, number)
    if (!taken) return null
    const { call: kept, claimed, settings, speechFor } = taken
    const briefing = briefingOf(kept.options)
    const call = briefing
      ? new BriefingCall({ call: kept, epoch: claimed.epoch, carrier: carrierOf(kept.carrier, configOf(number, settings)), config: configOf(number, settings), settings, briefing }, speechFor, deps)
      : new LiveCall(await factsOf(deps, kept, number, claimed), speechFor, deps)
    void watch(call, number.tenantId)
    return call
  }

  /** `watched` has it until its recording is stored too. Never rejects. */
  function watch(call: LiveCall | BriefingCall, tenantId: Id): Promise<Gone> {
    const callId = call.facts.call.id
    live.set(callId, call)
    const gone = call.done.then(async (how) => {
      live.delete(callId)
      if (how === 'ended') await deps.recordings.store(tenantId, callId)
      return how
    })
    watched.add(gone)
    return gone.finally(() => watched.delete(gone))
  }

  async function heartbeat(): Promise<void> {
    const held = [...live].map(([callId, { facts }]) => ({ callId, epoch: facts.epoch }))
    const kept = await deps.db.system('calls', (tx) => calls.keep(tx, held, deps.leaseMs))
    for (const { callId } of held) if (!kept.has(callId)) live.get(callId)?.lose()
  }

  const beat = every(deps.leaseMs / BEATS_PER_LEASE, heartbeat, deps)
  const recovery = every(deps.leaseMs / BEATS_PER_LEASE, () => recover(deps), deps)

  return {
    upgrade,
    join,
    live: () => live.size,
    async close(deadlineMs) {
      closing = true
      const timer = setTimeout(() => live.forEach((call) => call.hangUp({ status: 'completed', reason: 'process_lost' })), deadlineMs)
      await Promise.all(starting.values())
      await Promise.all(watched)
      clearTimeout(timer)
      clearInterval(beat)
      clearInterval(recovery)
      await new Promise((resolve) => sockets.close(resolve))
    },
  }
}

/** What comes before somebody listens is kept, in order. */
function holdBack(socket: WebSocket): { release(): void } {
  socket.pause()
  return { release: () => socket.resume() }
}

/** From the first moment on a frame that breaks the protocol may come, also when nobody wants the socket: unheard, that error would end the process. */
const opened = (sockets: WebSocketServer, request: IncomingMessage, stream: Duplex, head: Buffer): Promise<WebSocket> =>
  new Promise((resolve) => sockets.handleUpgrade(request, stream, head, (socket) => resolve(socket.on('error', () => {}))))

/** Whoever comes to a call's media socket shows its token, and the carrier's signature where it signs sockets. */
async function admit(request: IncomingMessage, { db, routing, mediaKeys, addresses: { mediaUrl } }: CallsDeps): Promise<{ address: MediaAddress; number: RoutedNumber }> {
  const path = (request.url ?? '').split('?')[0]!
  const address = parseMediaPath(path)
  if (!address || !isMediaToken(mediaKeys, address.callId, address.token)) throw new AppError('not_found', { message: 'There is no such call.' })
  const call = await db.system('calls', (tx) => calls.find(tx, address.callId))
  const number = call && !call.endedAt && call.carrier === address.carrier ? await routing.numberForRouting(call.numberId) : null
  if (!number) throw new AppError('not_found', { message: 'There is no such call.' })
  const config = configOf(number, VoiceSettings.parse(number.settings))
  const carrier = carrierOf(call!.carrier, config)
  const signs = carrier.can.signsSockets
  if (signs && !carrier.verifySocket({ headers: request.headers as Record<string, string | undefined> }, config, `${mediaUrl}${path}`)) throw new AppError('signature_invalid')
  return { address, number }
}

async function factsOf(deps: CallsDeps, call: calls.Call, number: RoutedNumber, { epoch, isFirst, after }: calls.Claimed): Promise<LiveCallFacts> {
  const { rows, contact } = await deps.db.tenant(number.tenantId, async (tx) => ({ rows: await calls.history(tx, call.conversationId!), contact: await contacts.get(tx, call.contactId!) }))
  if (!number.agent) throw new AppError('invalid_state', { message: 'Nobody answers on this number any more.' })
  const history = rows.map((row) => historyItem({ ...row, content: openJson(deps.keyring, row.contentSealed, number.tenantId) }))
  const settings = settingsOfCall(VoiceSettings.parse(number.settings), call.options)
  const sinceMs = isFirst || call.answeredAt === null ? 0 : Math.max(0, deps.clock.nowMs() - call.answeredAt.getTime())
  const known = Object.fromEntries(Object.entries(contact.fields).filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
  return {
    call, epoch, isFirst, after, sinceMs, settings, history, prompt: number.agent.content, carrier: carrierOf(call.carrier, configOf(number, settings)),
    config: configOf(number, settings),
    contact: { id: contact.id, ...(contact.name === null ? {} : { name: contact.name }), known },
    recording: settings.recording.enabled ? await deps.recordings.open(call, epoch, sinceMs) : null,
  }
}

type Taken = { call: calls.Call; claimed: calls.Claimed; settings: VoiceSettings; speechFor: (onUsage: (usage: SpeechUsage) => void) => CallSpeech }

/** The call is this process's from now on. Null: it is over, or has been refused, because nobody here can hear. */
async function take(deps: CallsDeps, owner: Id, callId: Id, number: RoutedNumber): Promise<Taken | null> {
  const speech = await deps.speechFor(number.tenantId)
  const claimed = await deps.db.system('calls', (tx) => calls.claim(tx, callId, owner, deps.leaseMs))
  if (!claimed) return null
  const call = await deps.db.tenant(number.tenantId, (tx) => calls.get(tx, callId))
  const settings = VoiceSettings.parse(number.settings)
  if (speech(settings.voice, () => {})) return { call, claimed, settings, speechFor: (onUsage) => speech(settings.voice, onUsage)! }
  await refuse(deps, call, claimed.epoch, number)
  return null
}

/** Nobody here understands speech: the call ends before a word is lost on anybody. */
async function refuse(deps: CallsDeps, call: calls.Call, epoch: number, number: RoutedNumber): Promise<void> {
  deps.log.error({ callId: call.id }, 'a call came and no recogniser of speech is set up (DEEPGRAM_API_KEY, OPENAI_API_KEY, ...)')
  await deps.db.system('calls', (tx) => calls.end(tx, { callId: call.id, epoch, status: 'failed', reason: 'no_recogniser', at: new Date(deps.clock.nowMs()), carrying: carryingPrice }))
  await deps.carrierClients[call.carrier].hangUp(configOf(number, VoiceSettings.parse(number.settings)), call.carrierCallId!, AbortSignal.timeout(CARRIER_TIMEOUT_MS)).catch(() => {})
}

/** One at a time; a failure is told and tried again at the next time. */
function every(ms: number, work: () => Promise<void>, { log }: CallsDeps): NodeJS.Timeout {
  let busy = false
  return setInterval(() => {
    if (busy) return
    busy = true
    void work().catch((error: unknown) => log.warn({ error }, 'the watch over calls failed; trying again')).finally(() => {
      busy = false
    })
  }, ms)
}
