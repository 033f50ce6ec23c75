import { Breakers, type Link, type VendorDirectory } from '@trunkline/agents'
import { realtime } from '@trunkline/channels'
import { AppError, modelsOf, type Clock, type Logger, type PromptContent } from '@trunkline/core'
import { ledger, type Cache, type Db, type Limiter, type Place, type Places, type SessionBook, type SessionHold } from '@trunkline/db'
import { randomBytes } from 'node:crypto'
import type { Pcm, SampleRateHz, SpeechFor, SpeechHouse, SttEngine } from '@trunkline/media'
import { createAllowance, type RequestLimits } from './allowance.ts'
import type { Owner, Visit } from './door.ts'
import { CallSign } from './call-sign.ts'
import { Keeper } from './keeper.ts'
import type { PlayoutOptions } from './playout.ts'
import { createPurse } from './purse.ts'
import type { Outlet } from './outlet.ts'
import { SessionHost, type SessionDeps } from './session-host.ts'
import { createTill, type Till } from './till.ts'

const { voice: VOICE, transcriptionModel: TRANSCRIPTION_MODEL } = realtime.USUAL
/** A drain waits so long for an answer that is being given. */
const FINISH_MS = 15_000
/** When a tenant that has all its sessions may ask again. */
const FULL_MS = 5_000
/** A load balancer may choose the right process the next time. */
const ELSEWHERE_MS = 1_000
const GOING_AWAY = 1001

/** A key of a project reaches what is its project's. */
const isOwn = (what: Pick<Visit, 'tenantId' | 'projectId'>, { tenantId, projectId }: Owner): boolean => what.tenantId === tenantId && (projectId === null || what.projectId === projectId)
const noSuchCall = () => new AppError('not_found', { message: 'There is no such call.', param: 'call_id' })

export type SessionsDeps = {
  db: Db
  cache: Cache
  book: SessionBook
  limiter: Limiter
  places: Places
  vendors: VendorDirectory
  speech: SpeechHouse
  clock: Clock
  log: Logger
  limits: { sessionSecondsMax: number; /** Sessions of a tenant at a time; 0: no limit. */ perTenant: number; beta: boolean; perMinute: RequestLimits }
}

/** What is known before there is a socket: who answers, and with what the session begins or goes on. */
export type Opening = {
  links: readonly Link[]
  config: realtime.SessionConfig
  /** With the tenant's own keys, where it has some. */
  speech: SpeechFor
  /** Of all ids of a new session. */
  idSeed: string
  back: Back | null
  /** Among the tenant's sessions. Released by whoever does not open what was prepared, else by the session's end. */
  place: Place
}
type Back = { hold: SessionHold; state: realtime.SessionState }

/** A call's own: its name, and the way to its caller's ear. */
export type CallLine = { callId: string; playout: PlayoutOptions }

/** One session of this process with everything that belongs to it. */
export type LiveSession = {
  /** Of the session, or of the call. */
  readonly id: string
  receive(text: string): void
  /** Of a call: 20 ms of its caller; lent. */
  hear(pcm: Pcm, rateHz: SampleRateHz): void
  /** Its client has gone: it is kept for a while, for whichever process it comes back to. Idempotent. */
  leave(): Promise<void>
}

/** A server that follows a call beside its client. */
export type Aside = { receive(text: string): void; /** Idempotent. */ leave(): void }

/** One of this process. */
type Live = { host: SessionHost; owner: Pick<Visit, 'tenantId' | 'projectId'>; end: (reason: string) => Promise<void> }

/** The live Realtime sessions of this process, whatever carries them. */
export class Sessions {
  readonly #deps: SessionsDeps
  readonly #live = new Map<string, Live>()
  /** Those that have ended and are still being paid for. */
  readonly #ending = new Set<Promise<void>>()
  readonly #stopListening: Promise<() => void>
  #closing = false

  /** The same for all that have the same keys: thousands that say nothing must cost little. */
  readonly #ears = new WeakMap<SpeechFor, { stt: SttEngine | null }>()
  readonly #breakers: Breakers
  readonly #onCharged: (tenantId: string) => void
  readonly #till: Till

  constructor(deps: SessionsDeps) {
    this.#deps = deps
    const { db, cache } = deps
    this.#breakers = new Breakers(deps.clock)
    this.#till = createTill(db)
    const balances = ledger.createBalances(db, cache)
    this.#onCharged = (tenantId) => void balances.changed([tenantId]).catch(() => {})
    this.#stopListening = deps.book.listen(async (sessionId) => this.#live.get(sessionId)?.end('the session goes on elsewhere'))
  }

  get count(): number {
    return this.#live.size
  }

  /** Takes a session that somebody comes back to: from here on it is this process's. Throws AppError. */
  async prepare({ tenantId, sessionId, model, agent, made, giveBack }: Visit): Promise<Opening> {
    if (this.#closing) throw new AppError('unavailable', { message: 'This process goes away. Try again.', retryAfterMs: 1_000 })
    const [links, speech] = await Promise.all([this.#answers(tenantId, model, agent), this.#deps.speech.forTenant(tenantId)])
    const idSeed = made?.idSeed ?? randomBytes(12).toString('hex')
    const place = await this.#place(tenantId, sessionId ?? `sess_${idSeed}`, giveBack)
    try {
      const back = sessionId === null ? null : await this.#takeBack(sessionId, tenantId)
      const config = back?.state.config ?? made?.config ?? realtime.realtimeDefaults({ model, voice: VOICE, ...(agent ? { instructions: agent.instructions } : {}) })
      return { links, config, speech, idSeed, back, place }
    } catch (error) {
      await place.release()
      throw error
    }
  }

  /** `call`: over WebRTC, where sound is no event; its client cannot come back to it, only hang up. */
  open(visit: Visit, opening: Opening, outlet: Outlet, call: CallLine | null = null): LiveSession {
    const { book, clock, log } = this.#deps
    const first = this.#first(opening, call)
    const { sessionId, expiresAtS } = first.state
    const id = call?.callId ?? sessionId
    const { tenantId, projectId, model } = visit
    const facts = { tenantId, projectId, model, expiresAtMs: expiresAtS * 1_000 }
    const hold = opening.back?.hold ?? { sessionId: id, epoch: 1 }
    const keeper = call ? new CallSign({ book, hold, facts, clock, log }) : new Keeper({ book, hold, facts, clock, log, onTaken: () => void end('the session goes on elsewhere') })
    const host = new SessionHost(outlet, realtime.realtimeCodec(visit.beta), first, { ...this.#engines(visit, opening, `session:${id}`), playout: call?.playout ?? null, changed: (state) => keeper.changed(state) })
    const cancelExpiry = clock.after(facts.expiresAtMs - clock.nowMs(), () => {
      host.expire()
      this.#keepUntil(keeper.forget())
    })
    const leave = async (code?: number, reason?: string) => {
      cancelExpiry()
      if (this.#live.get(id)?.host === host) this.#live.delete(id)
      this.#keepUntil(opening.place.release())
      this.#keepUntil(host.close(code, reason))
      await keeper.leave(host.state)
    }
    const end = async (reason: string) => {
      await leave(GOING_AWAY, reason)
      outlet.close(GOING_AWAY, reason)
    }
    keeper.begin(first.state)
    this.#live.set(id, { host, owner: { tenantId, projectId }, end })
    return { id, receive: (text) => host.receive(text), hear: (pcm, rateHz) => host.hear(pcm, rateHz), leave: () => leave() }
  }

  /** Wherever it is. Throws AppError `not_found` for one of another tenant, or of nobody. */
  async hangUp(callId: string, owner: Owner): Promise<void> {
    const { book } = this.#deps
    await this.#assertCall(callId, owner)
    // Its process ends what somebody else takes.
    const taken = await book.take(callId, owner.tenantId)
    if (taken) await book.forget(taken.hold)
  }

  /** The way to the sideband of a call of this process. Throws AppError; what it resolves to throws nothing, and answers null where others came first. */
  async sideband(callId: string, owner: Owner): Promise<(outlet: Outlet) => Aside | null> {
    const live = callId.startsWith('rtc_') ? this.#live.get(callId) : undefined
    if (!live) {
      await this.#assertCall(callId, owner)
      throw new AppError('unavailable', { message: 'This call is in another process. Try again.', retryAfterMs: ELSEWHERE_MS })
    }
    if (!isOwn(live.owner, owner)) throw noSuchCall()
    const { host } = live
    if (host.followed) throw new AppError('rate_limited', { message: 'This call has as many sideband sockets as it may have.', retryAfterMs: FULL_MS })
    return (outlet) => (host.join(outlet) ? { receive: (text) => host.receive(text, outlet), leave: () => host.part(outlet) } : null)
  }

  async #assertCall(callId: string, owner: Owner): Promise<void> {
    const facts = callId.startsWith('rtc_') ? await this.#deps.book.find(callId) : null
    if (!facts || !isOwn(facts, owner)) throw noSuchCall()
  }

  /** Whoever comes back finds its own place. */
  async #place(tenantId: string, sessionId: string, giveBack: Visit['giveBack']): Promise<Place> {
    const { places, limits: { perTenant: limit } } = this.#deps
    if (limit === 0) return { release: async () => {} }
    const place = await places.take(tenantId, sessionId, limit)
    if (place) return place
    await giveBack?.()
    throw new AppError('rate_limited', { message: `This tenant has ${limit} session${limit === 1 ? '' : 's'} already. End one, or try again later.`, retryAfterMs: FULL_MS, details: { limit } })
  }

  #first({ back, config, idSeed }: Opening, call: CallLine | null): realtime.Step {
    if (back) return realtime.resumeRealtimeSession(back.state, { engineLost: true })
    const expiresAtS = Math.floor(this.#deps.clock.nowMs() / 1_000) + this.#deps.limits.sessionSecondsMax
    return realtime.createRealtimeSession({
      config, expiresAtS, transcriptionModel: TRANSCRIPTION_MODEL, playout: call ? 'server' : 'client', keepsAudio: true, idSeed,
    })
  }

  /** Tells everybody, as soon as what they are being told is said, and writes down where they were. */
  async close(): Promise<void> {
    this.#closing = true
    await Promise.all([...this.#live.values()].map(({ host, end }) => this.#within(host.idle(), FINISH_MS).then(() => end('the server goes away: come back with session_id'))))
    await Promise.all(this.#ending)
    this.#deps.places.close()
    ;(await this.#stopListening)()
  }

  async #takeBack(sessionId: string, tenantId: string): Promise<Back> {
    // One that another process has is ended there before it is here.
    const taken = await this.#deps.book.take(sessionId, tenantId)
    if (!taken) throw new AppError('not_found', { message: 'There is no such session, or it is over. Begin a new one.', param: 'query.session_id' })
    return { hold: taken.hold, state: realtime.restore(taken.kept) }
  }

  /** Who answers: an agent's own model, then the one behind it. Another tenant's supplier is none. */
  async #answers(tenantId: string, model: string, agent: PromptContent | null): Promise<readonly Link[]> {
    const { vendors } = this.#deps
    const wanted = agent && agent.vendor !== 'rules' ? modelsOf(agent) : [{ vendor: 'openai' as const, model: model || TRANSCRIPTION_MODEL }]
    const links: Link[] = []
    for (const { vendor: id, model: name } of wanted) {
      const vendor = id === 'rules' ? null : await vendors.find(id, tenantId)
      if (vendor) links.push({ vendor, model: name })
    }
    if (links.length > 0) return links
    const vendor = await vendors.find('compatible', tenantId)
    if (!vendor) throw new AppError('invalid_state', { message: 'No model supplier is set up for this tenant. Add a vendor key.' })
    return [{ vendor, model: wanted[0]!.model }]
  }

  #engines({ tenantId, projectId, projectPerMinute }: Visit, { links, speech }: Opening, causedBy: string) {
    const { limiter, clock, log, limits } = this.#deps
    const purse = createPurse({ till: this.#till, tenantId, projectId, causedBy, models: links.map(({ vendor, model }) => ({ vendor: vendor.id, model })), clock, log, onCharged: this.#onCharged })
    const allowance = createAllowance(limiter, limits.perMinute, { tenantId, projectId, projectPerMinute })
    const tts: SessionDeps['tts'] = (onUsage) => speech.tts([], { onUsage })
    return { vad: this.#deps.speech.vad, stt: this.#earsOf(speech), tts, links, breakers: this.#breakers, allowance, clock, log, purse }
  }

  #earsOf(speech: SpeechFor): SttEngine | null {
    const known = this.#ears.get(speech) ?? { stt: speech.stt() }
    this.#ears.set(speech, known)
    return known.stt
  }

  #keepUntil(done: Promise<void>): void {
    this.#ending.add(done)
    void done.finally(() => this.#ending.delete(done))
  }

  async #within(work: Promise<void>, timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#deps.clock.after(timeoutMs, resolve)
    await Promise.race([work, promise])
    cancel()
  }
}
