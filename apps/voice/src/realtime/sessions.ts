import type { Vendor, VendorDirectory } from '@trunkline/agents'
import { realtime } from '@trunkline/channels'
import { AppError, type Clock, type Logger, type PromptContent } from '@trunkline/core'
import { ledger, type Cache, type Db, type SessionBook, type SessionHold } from '@trunkline/db'
import type { SpeechHouse } from '@trunkline/media'
import type { Visit } from './door.ts'
import { Keeper } from './keeper.ts'
import { createPurse } from './purse.ts'
import { SessionHost, type Outlet } from './session-host.ts'

const { voice: VOICE, transcriptionModel: TRANSCRIPTION_MODEL } = realtime.USUAL
/** A drain waits so long for an answer that is being given. */
const FINISH_MS = 15_000
const GOING_AWAY = 1001

export type SessionsDeps = {
  db: Db
  cache: Cache
  book: SessionBook
  vendors: VendorDirectory
  speech: SpeechHouse
  clock: Clock
  log: Logger
  limits: { sessionSecondsMax: number; beta: boolean }
}

/** What is known before there is a socket: who answers, and with what the session begins or goes on. */
export type Opening = { vendor: Vendor; model: string; config: realtime.SessionConfig; back: Back | null }
type Back = { hold: SessionHold; state: realtime.SessionState }

/** One session of this process with everything that belongs to it. */
export type LiveSession = {
  readonly id: string
  receive(text: string): void
  /** Its client has gone: it is kept for a while, for whichever process it comes back to. Idempotent. */
  leave(): Promise<void>
}

/** The live Realtime sessions of this process, whatever carries them. */
export class Sessions {
  readonly #deps: SessionsDeps
  readonly #live = new Map<string, { host: SessionHost; end: (reason: string) => Promise<void> }>()
  /** Those that have ended and are still being paid for. */
  readonly #ending = new Set<Promise<void>>()
  #stopListening: Promise<() => void>

  constructor(deps: SessionsDeps) {
    this.#deps = deps
    this.#stopListening = deps.book.listen(async (sessionId) => this.#live.get(sessionId)?.end('the session goes on elsewhere'))
  }

  get count(): number {
    return this.#live.size
  }

  /** Takes a session that somebody comes back to: from here on it is this process's. Throws AppError. */
  async prepare({ tenantId, connection, model, agent, made }: Visit): Promise<Opening> {
    const answers = await this.#answers(tenantId, model, agent)
    const back = connection.sessionId === null ? null : await this.#takeBack(connection.sessionId, tenantId)
    if (back) return { ...answers, config: back.state.config, back }
    if (made) return { ...answers, config: made.config, back }
    if (connection.target.mode === 'transcription') return { ...answers, config: realtime.transcriptionDefaults(TRANSCRIPTION_MODEL), back }
    return { ...answers, config: realtime.realtimeDefaults({ model, voice: VOICE, ...(agent ? { instructions: agent.instructions } : {}) }), back }
  }

  open({ tenantId, projectId, connection, model, made }: Visit, opening: Opening, outlet: Outlet): LiveSession {
    const { book, clock, log, limits } = this.#deps
    const nowMs = clock.nowMs()
    const first = opening.back
      ? realtime.resumeRealtimeSession(opening.back.state, { engineLost: true })
      : realtime.createRealtimeSession({
          config: opening.config, expiresAtS: Math.floor(nowMs / 1_000) + limits.sessionSecondsMax, transcriptionModel: TRANSCRIPTION_MODEL,
          playout: 'client', keepsAudio: true, ...(made ? { idSeed: made.idSeed } : {}),
        })
    const { sessionId, expiresAtS } = first.state
    const facts = { tenantId, projectId, model, expiresAtMs: expiresAtS * 1_000 }
    const keeper = new Keeper({ book, hold: opening.back?.hold ?? { sessionId, epoch: 1 }, facts, clock, log, onTaken: () => void end('the session goes on elsewhere') })
    const host = new SessionHost(outlet, realtime.realtimeCodec(connection.beta), first, { ...this.#engines(tenantId, opening), changed: (state) => keeper.changed(state) })
    const cancelExpiry = clock.after(facts.expiresAtMs - nowMs, () => {
      host.expire()
      this.#keepUntil(keeper.forget())
    })
    const leave = async () => {
      cancelExpiry()
      if (this.#live.get(sessionId)?.host === host) this.#live.delete(sessionId)
      this.#keepUntil(host.close())
      await keeper.leave(host.state)
    }
    const end = async (reason: string) => {
      await leave()
      outlet.close(GOING_AWAY, reason)
    }
    keeper.begin(first.state)
    this.#live.set(sessionId, { host, end })
    return { id: sessionId, receive: (text) => host.receive(text), leave }
  }

  /** Tells everybody, as soon as what they are being told is said, and writes down where they were. */
  async close(): Promise<void> {
    await Promise.all([...this.#live.values()].map(({ host, end }) => this.#within(host.idle(), FINISH_MS).then(() => end('the server goes away: come back with session_id'))))
    await Promise.all(this.#ending)
    ;(await this.#stopListening)()
  }

  async #takeBack(sessionId: string, tenantId: string): Promise<Back> {
    // One that another process has is ended there before it is here.
    const taken = await this.#deps.book.take(sessionId, tenantId)
    if (!taken) throw new AppError('not_found', { message: 'There is no such session, or it is over. Begin a new one.', param: 'query.session_id' })
    return { hold: taken.hold, state: realtime.restore(taken.kept) }
  }

  /** Which supplier answers. */
  async #answers(tenantId: string, model: string, agent: PromptContent | null): Promise<Pick<Opening, 'vendor' | 'model'>> {
    const { vendors } = this.#deps
    const wanted = agent && agent.vendor !== 'rules' ? { vendor: agent.vendor, model: agent.model } : { vendor: 'openai' as const, model: model || TRANSCRIPTION_MODEL }
    const vendor = (await vendors.find(wanted.vendor, tenantId)) ?? (await vendors.find('compatible', tenantId))
    if (!vendor) throw new AppError('invalid_state', { message: 'No model supplier is set up for this tenant. Add a vendor key.' })
    return { vendor, model: wanted.model }
  }

  #engines(tenantId: string, { vendor, model }: Opening) {
    const { db, cache, speech, clock, log } = this.#deps
    const balances = ledger.createBalances(db, cache)
    const purse = createPurse({ db, tenantId, model: { vendor: vendor.id, model }, clock, log, onCharged: (charged) => void balances.changed([charged]).catch(() => {}) })
    return { vad: speech.vad, stt: speech.stt(), tts: speech.tts(), vendor, model, clock, log, purse }
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
