import { AppError, newId, toWireError, type InboundEvent } from '@trunkline/core'
import { webchat } from '@trunkline/db'
import type { WebSocket } from 'ws'
import type { ApiDeps } from '../deps.ts'
import { visitorOn, type Chat } from './chat.ts'
import { Held } from './held.ts'
import type { Hub, Listener } from './hub.ts'
import type { Limits } from './limits.ts'
import { CLOSE, parseEvent, type ClientEvent } from './protocol.ts'
import { readMissing, readPage } from './reader.ts'
import { say } from './say.ts'
import type { SessionTokens } from './tokens.ts'

export type ConnectionDeps = {
  api: ApiDeps
  limits: Limits
  hub: Hub
  tokens: SessionTokens
  /** Takes a place for one more socket of the visitor; null when all are taken. */
  enter(visitor: webchat.Visitor): (() => void) | null
}

type Hello = Extract<ClientEvent, { type: 'hello' }>
type Reading = { visitor: webchat.Visitor; held: Held; listener: Listener; leave: () => void; unwatch: () => void }

const FAULTS_MAX = 20
const AWAY_GRACE_MS = 1_000
/** The newest rows may be words of ours that failed. */
const LOOK_BACK = 10

/** One socket of one visitor, from the upgrade to its end. It owns nothing that outlives it: everything it says is in Postgres. */
export class Connection {
  readonly #socket: WebSocket
  readonly #chat: Chat
  readonly #deps: ConnectionDeps
  readonly #helloTimer: NodeJS.Timeout
  #reading: Reading | null = null
  #greeting = false
  #saying: Promise<void> = Promise.resolve()
  #waiting = 0
  #faults = 0
  #frames: { left: number; atMs: number }
  #readSeq = 0
  #isReading = false
  #readAgain = false
  /** Answered the last ping. The reaper ends who did not. */
  alive = true

  constructor(socket: WebSocket, chat: Chat, deps: ConnectionDeps) {
    this.#socket = socket
    this.#chat = chat
    this.#deps = deps
    this.#frames = { left: deps.limits.framesPerSecond * 2, atMs: deps.api.clock.nowMs() }
    this.#helloTimer = setTimeout(() => this.close(CLOSE.unauthorised, 'no hello in time'), deps.limits.helloMs)
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#hear(data, isBinary))
    socket.on('pong', () => (this.alive = true))
    socket.on('close', () => this.#end())
  }

  /** Closes with the code; what does not answer is cut off by `ws` itself. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason)
  }

  ping(): void {
    if (!this.alive) return this.#socket.terminate()
    this.alive = false
    this.#socket.ping()
  }

  #end(): void {
    clearTimeout(this.#helloTimer)
    this.#reading?.unwatch()
    this.#reading?.leave()
    this.#reading = null
  }

  #hear(data: Buffer, isBinary: boolean): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    if (isBinary) return this.close(CLOSE.notText, 'frames are JSON text')
    if (!this.#mayHear()) return this.close(CLOSE.abuse, 'too many frames')
    try {
      this.#handle(parseEvent(data.toString('utf8')))
    } catch (error) {
      this.#fault(error)
    }
  }

  /** A bucket of frames that fills again every second. */
  #mayHear(): boolean {
    const { framesPerSecond } = this.#deps.limits
    const nowMs = this.#deps.api.clock.nowMs()
    this.#frames.left = Math.min(framesPerSecond * 2, this.#frames.left + ((nowMs - this.#frames.atMs) / 1_000) * framesPerSecond)
    this.#frames.atMs = nowMs
    this.#frames.left -= 1
    return this.#frames.left >= 0
  }

  #fault(error: unknown): void {
    this.#faults += 1
    if (this.#faults > FAULTS_MAX) return this.close(CLOSE.abuse, 'too many faults')
    this.#send({ type: 'error', ...this.#wireError(error) })
  }

  #wireError(error: unknown) {
    const requestId = `req_${newId().replaceAll('-', '')}`
    if (!(error instanceof AppError) || error.status >= 500) this.#deps.api.log.error({ requestId, numberId: this.#chat.number.id, error }, 'a frame of a web chat failed')
    return toWireError(error, requestId)
  }

  #handle(event: ClientEvent): void {
    if (event.type === 'hello') return void this.#hello(event)
    if (event.type === 'ping') return this.#send({ type: 'pong' })
    const reading = this.#reading
    if (!reading) throw new AppError('missing_credentials', { message: 'Say hello first.' })
    if (event.type === 'message') return this.#queue(reading.visitor, event)
    if (event.type === 'read') return void this.#markRead(reading.visitor, event.seq)
    this.#deps.api.ports.bell.ring(`webchat-typing:${reading.visitor.numberId}`, reading.visitor.visitorId)
  }

  async #hello(hello: Hello): Promise<void> {
    try {
      if (this.#reading || this.#greeting) throw new AppError('invalid_state', { message: 'This socket has said hello before.' })
      this.#greeting = true
      const { tokens } = this.#deps
      const visitor = visitorOn(this.#chat.number, await tokens.verify(hello.token, this.#chat.number.id))
      const held = hello.have === undefined ? Held.upTo(hello.last_seq ?? 0) : Held.parse(hello.have, 'frame.have')
      clearTimeout(this.#helloTimer)
      if (this.#socket.readyState !== this.#socket.OPEN) return
      const leave = this.#deps.enter(visitor)
      if (!leave) return this.close(CLOSE.tooMany, 'too many sockets')
      const { messages } = await readPage(this.#deps.api, visitor, webchat.POSITION_MAX, LOOK_BACK).catch((error: unknown) => {
        leave()
        throw error
      })
      if (this.#socket.readyState !== this.#socket.OPEN) return leave()
      this.#send({ type: 'ready', visitor_id: visitor.visitorId, last_seq: messages.at(-1)?.seq ?? 0 })
      this.#begin(visitor, held, leave)
    } catch (error) {
      this.#greeting = false
      if (error instanceof AppError && error.code === 'invalid_token') return this.close(CLOSE.unauthorised, 'invalid token')
      this.#fault(error)
    }
  }

  #begin(visitor: webchat.Visitor, held: Held, leave: () => void): void {
    const listener: Listener = { wake: () => void this.#read(), typing: () => this.#send({ type: 'typing' }), restless: false }
    this.#reading = { visitor, held, listener, leave, unwatch: this.#deps.hub.watch(visitor, listener) }
    void this.#read()
  }

  /** Never twice at once; a wake during a read reads once more. */
  async #read(): Promise<void> {
    this.#readAgain = true
    if (this.#isReading) return
    this.#isReading = true
    try {
      while (this.#readAgain && this.#reading) {
        this.#readAgain = false
        await this.#readOnce(this.#reading)
      }
    } catch (error) {
      // The client has a gap in what it was promised. It comes back and says what it holds.
      this.#deps.api.log.warn({ numberId: this.#chat.number.id, error }, 'messages of a web chat could not be read')
      this.close(CLOSE.tooSlow, 'try again')
    } finally {
      this.#isReading = false
    }
  }

  async #readOnce(reading: Reading): Promise<void> {
    const { api, limits } = this.#deps
    const found = await readMissing(api, limits, reading.visitor, reading.held)
    reading.listener.restless = found.restless
    if (found.more) this.#readAgain = true
    for (const message of found.messages) {
      if (this.#socket.bufferedAmount > limits.unreadBytesMax / 2 && !(await this.#drained())) return this.#sendAway()
      this.#send({ type: 'message', message })
    }
  }

  /** Waits until everything sent so far has gone out. False: the reader takes too long. */
  #drained(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), this.#deps.limits.slowMs)
      this.#socket.ping(undefined, undefined, () => {
        clearTimeout(timer)
        resolve(true)
      })
    })
  }

  /** Who does not read does not read the close frame either: what it holds of our memory is given back soon. */
  #sendAway(): void {
    this.close(CLOSE.tooSlow, 'too slow')
    setTimeout(() => this.#socket.terminate(), AWAY_GRACE_MS).unref()
  }

  /** One after the other, so that two messages of one socket are committed in the order they were sent. */
  #queue(visitor: webchat.Visitor, event: Extract<ClientEvent, { type: 'message' }>): void {
    if (this.#waiting >= this.#deps.limits.pendingMessagesMax) return this.close(CLOSE.tooSlow, 'too many messages wait')
    this.#waiting += 1
    this.#saying = this.#saying.then(() => this.#say(visitor, event)).finally(() => (this.#waiting -= 1))
  }

  async #say(visitor: webchat.Visitor, { type: _type, ...words }: Extract<ClientEvent, { type: 'message' }>): Promise<void> {
    try {
      // The number as it is now: an agent may have been stopped, a tenant suspended, since the upgrade.
      const number = await this.#deps.api.ports.routing.numberForRouting(this.#chat.number.id)
      if (!number || number.status === 'deleted') return this.close(CLOSE.chatGone, 'this chat is gone')
      if (number.tenantStatus === 'suspended') throw new AppError('tenant_suspended')
      const said = await say(this.#deps.api, this.#deps.limits, this.#chat, visitor.visitorId, words)
      this.#send({ type: 'ack', ...said })
    } catch (error) {
      this.#send({ type: 'ack', client_message_id: words.client_message_id, ...this.#wireError(error) })
    }
  }

  /** The visitor saw everything up to here: a receipt of the channel, told once per position. */
  async #markRead(visitor: webchat.Visitor, seq: number): Promise<void> {
    if (seq <= this.#readSeq) return
    this.#readSeq = seq
    try {
      const { db, channels, clock, ports } = this.#deps.api
      const [row] = await db.tenant(visitor.tenantId, (tx) => webchat.latest(tx, visitor, seq + 1, 1))
      if (!row) return
      // Postgres keeps microseconds, a receipt milliseconds: the next one covers the message.
      const body = { type: 'read', number_id: visitor.numberId, visitor_id: visitor.visitorId, up_to_ms: row.createdAt.getTime() + 1 }
      const events: InboundEvent[] = channels.webchat.normalise(body, clock.nowMs())
      await ports.accept({ id: visitor.numberId, tenantId: visitor.tenantId }, events)
    } catch (error) {
      this.#fault(error)
    }
  }

  #send(event: Record<string, unknown>): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    if (this.#socket.bufferedAmount > this.#deps.limits.unreadBytesMax) return this.#sendAway()
    this.#socket.send(JSON.stringify(event))
  }
}
