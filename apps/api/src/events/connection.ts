import { AppError, newId, toWireError, type Id } from '@trunkline/core'
import type { EventBus, Gate, GapReason, Principal } from '@trunkline/db'
import type { WebSocket } from 'ws'
import type { ApiDeps } from '../deps.ts'
import { isAfter, type Feeds, type Listener } from './feeds.ts'
import type { Limits } from './limits.ts'
import { CLOSE, EVENT_SCOPES, filterOf, parseFrame, scopeOf, type Filter } from './protocol.ts'
import { writeFrames, type Frame, type ViewDeps } from './view.ts'

export type ConnectionDeps = ViewDeps & { clock: ApiDeps['clock']; events: Pick<EventBus, 'read'>; feeds: Feeds; limits: Limits; /** Of those that catch up. */ gate: Gate }

type Feed = Awaited<ReturnType<Feeds['join']>>

const FAULTS_MAX = 20
const AWAY_GRACE_MS = 1_000

/** One socket of one listener, from the upgrade to its end. It owns nothing: who is sent away comes back with `last_event_id`. */
export class Connection {
  readonly #socket: WebSocket
  readonly #deps: ConnectionDeps
  readonly #tenantId: Id
  #principal: Principal
  #filter: Filter
  #feed: Feed | null = null
  /** Everything up to here has been sent, or was not wanted. */
  #cursor = ''
  #isReady = false
  /** It has caught up and hears what comes. */
  #isLive = false
  #told = ''
  #faults = 0
  #frames: { left: number; atMs: number }
  #alive = true

  constructor(socket: WebSocket, principal: Principal, filter: Filter, deps: ConnectionDeps) {
    this.#socket = socket
    this.#principal = principal
    this.#tenantId = principal.tenantId
    this.#filter = filter
    this.#deps = deps
    this.#frames = { left: deps.limits.framesPerSecond * 2, atMs: deps.clock.nowMs() }
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary))
    socket.on('pong', () => (this.#alive = true))
    socket.on('close', () => this.#leave())
  }

  /** Says `ready`, then what was missed since `after` (if it is given), then what comes. */
  async start(after: string | undefined): Promise<void> {
    try {
      const listener: Listener = { hear: (frames, position) => this.#hear(frames, position), miss: (reason, position) => this.#miss(reason, position) }
      this.#feed = await this.#deps.feeds.join(this.#tenantId, listener)
      if (this.#isGone) return this.#leave()
      if (after === undefined) this.#begin(this.#feed.position())
      else await this.#catchUp(this.#feed, after)
    } catch (error) {
      this.#deps.log.warn({ tenantId: this.#tenantId, error }, 'a socket of live events could not begin')
      this.close(CLOSE.tooSlow, 'not available right now: try again')
    }
  }

  close(code: number, reason: string): void {
    this.#leave()
    this.#socket.close(code, reason)
  }

  /** Ends who did not answer the last ping. Tells the others where they stand: who hears little would come back with an old place. */
  beat(): void {
    if (!this.#alive) return this.#socket.terminate()
    this.#alive = false
    this.#socket.ping()
    if (this.#isLive && this.#told !== this.#cursor) this.#send({ type: 'heartbeat', last_event_id: this.#cursor })
    this.#told = this.#cursor
  }

  /** What the credentials allow now. */
  allow(principal: Principal): void {
    if (!EVENT_SCOPES.some((scope) => principal.scopes.has(scope))) return this.close(CLOSE.forbidden, 'these credentials do not allow to listen any more')
    this.#principal = principal
  }

  get #isGone(): boolean {
    return this.#socket.readyState !== this.#socket.OPEN
  }

  #leave(): void {
    this.#isLive = false
    this.#feed?.leave()
    this.#feed = null
  }

  #ready(position: string, resumed: boolean): void {
    if (this.#isReady) return
    this.#isReady = true
    this.#cursor = position
    this.#send({ type: 'ready', last_event_id: position, resumed })
  }

  #begin(position: string): void {
    this.#ready(position, false)
    this.#isLive = true
  }

  /** Page by page from the stream, until the feed has nothing that it has not. A gap that the feed tells meanwhile ends it. */
  async #catchUp(feed: Feed, after: string): Promise<void> {
    this.#cursor = after
    while (!this.#isLive && !this.#isGone) {
      const page = await this.#deps.gate(() => this.#page())
      if (this.#isLive || this.#isGone) return
      if (page === null) return this.#miss('too_old', feed.position())
      this.#ready(after, true)
      const isRead = await this.#sendAll(page.frames)
      if (this.#isLive || this.#isGone) return
      if (!isRead) return this.#sendAway()
      this.#cursor = page.next
      // In the same step of the event loop as the feed's next word: nothing falls in between.
      this.#isLive = !isAfter(feed.position(), this.#cursor)
    }
  }

  async #page(): Promise<{ frames: Frame[]; next: string } | null> {
    const page = await this.#deps.events.read(this.#tenantId, this.#cursor, this.#deps.limits.pageSize)
    return page.state === 'whole' ? { next: page.next, frames: await writeFrames(this.#deps, this.#tenantId, page.events) } : null
  }

  /** Sends as fast as the reader reads. False: it takes too long. */
  async #sendAll(frames: readonly Frame[]): Promise<boolean> {
    for (const frame of frames) {
      if (this.#isLive || this.#isGone) return true
      if (this.#socket.bufferedAmount > this.#deps.limits.unreadBytesMax / 2 && !(await this.#drained())) return false
      if (this.#wants(frame)) this.#socket.send(frame.text)
    }
    return true
  }

  /** Waits until everything sent so far has gone out. */
  #drained(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), this.#deps.limits.slowMs)
      this.#socket.ping(undefined, undefined, () => {
        clearTimeout(timer)
        resolve(true)
      })
    })
  }

  #hear(frames: readonly Frame[], position: string): void {
    if (!this.#isLive) return
    for (const frame of frames) {
      if (!isAfter(frame.id, this.#cursor)) continue
      this.#cursor = frame.id
      if (!this.#wants(frame)) continue
      if (this.#socket.bufferedAmount > this.#deps.limits.unreadBytesMax) return this.#sendAway()
      this.#socket.send(frame.text)
    }
    if (isAfter(position, this.#cursor)) this.#cursor = position
  }

  #miss(reason: GapReason, position: string): void {
    if (this.#isGone) return
    // Also for who is catching up: what it reads has a hole, and REST is where the rest is.
    this.#ready(position, false)
    this.#cursor = position
    this.#isLive = true
    const at = new Date(this.#deps.clock.nowMs()).toISOString()
    this.#send({ id: position, type: 'events.gap', tenant_id: this.#tenantId, project_id: null, at, data: { reason } })
  }

  /** A gap is everybody's. */
  #wants({ type, projectId, conversationId }: Frame): boolean {
    if (type === 'events.gap') return true
    const { types, conversationId: wanted, projectId: chosen } = this.#filter
    const place = this.#principal.projectId ?? chosen
    if (place !== null && projectId !== place) return false
    if (wanted !== null && conversationId !== wanted) return false
    return (types === null || types.has(type)) && this.#principal.scopes.has(scopeOf(type))
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#isGone) return
    if (isBinary) return this.close(CLOSE.notText, 'frames are JSON text')
    if (data.length > this.#deps.limits.frameBytesMax) return this.close(CLOSE.tooLarge, 'the frame is too large')
    if (!this.#mayReceive()) return this.close(CLOSE.abuse, 'too many frames')
    try {
      this.#handle(data.toString('utf8'))
    } catch (error) {
      this.#fault(error)
    }
  }

  /** A bucket of frames that fills again every second. */
  #mayReceive(): boolean {
    const { framesPerSecond } = this.#deps.limits
    const nowMs = this.#deps.clock.nowMs()
    this.#frames.left = Math.min(framesPerSecond * 2, this.#frames.left + ((nowMs - this.#frames.atMs) / 1_000) * framesPerSecond) - 1
    this.#frames.atMs = nowMs
    return this.#frames.left >= 0
  }

  #handle(text: string): void {
    const frame = parseFrame(text)
    if (frame.type === 'ping') return this.#send({ type: 'pong', last_event_id: this.#cursor === '' ? null : this.#cursor })
    this.#filter = filterOf(frame, this.#principal, 'frame')
    const { types, conversationId, projectId } = this.#filter
    this.#send({ type: 'subscribed', types: types && [...types], conversation_id: conversationId, project_id: projectId })
  }

  #fault(error: unknown): void {
    this.#faults += 1
    if (this.#faults > FAULTS_MAX) return this.close(CLOSE.abuse, 'too many faults')
    const requestId = `req_${newId().replaceAll('-', '')}`
    if (!(error instanceof AppError)) this.#deps.log.error({ requestId, tenantId: this.#tenantId, error }, 'a frame of live events failed')
    this.#send({ type: 'error', ...toWireError(error, requestId) })
  }

  #send(frame: Record<string, unknown>): void {
    if (!this.#isGone) this.#socket.send(JSON.stringify(frame))
  }

  /** Who does not read does not read the close frame either: what it holds of our memory is given back soon. */
  #sendAway(): void {
    this.close(CLOSE.tooSlow, 'too slow: come back with last_event_id')
    setTimeout(() => this.#socket.terminate(), AWAY_GRACE_MS).unref()
  }
}
