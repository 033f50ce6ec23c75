import type { Outgoing } from './memory.ts'

export type Message = {
  seq: number
  id: string
  client_message_id?: string
  author: 'visitor' | 'agent' | 'human' | 'system'
  content: Record<string, unknown> & { kind: string }
  at: string
}
export type WireError = { type: string; code: string; retry_after_ms?: number }
export type State = 'idle' | 'connecting' | 'ready' | 'offline' | 'closed'

export type LinkDeps = {
  /** `https://host/v1/webchat/<number>` */
  base: string
  /** A good token; `fresh`: the last one was refused. Rejects when the chat cannot be reached, with `final` when it never will. */
  session(fresh: boolean): Promise<string>
  /** `1-4,6-9`: what is held; null before the first message. */
  have(): string | null
  onState(state: State): void
  onMessages(messages: Message[]): void
  onTyping(): void
  /** Undefined: committed. */
  onAck(clientMessageId: string, error?: WireError): void
}

const UNAUTHORISED = 4401
const GONE = 4404
/** A line that says nothing for so long after a ping is dead, whatever the browser believes. */
const SILENCE_MS = 10_000
const PING_MS = 25_000
/** After so many sockets that never opened, the network does not let them through. */
const REFUSED_MAX = 3
const POLL_FOR_MS = 120_000

/** One line to the server that mends itself. What is missing is asked for by what is held, so a break loses nothing and doubles nothing. */
export class Link {
  readonly #deps: LinkDeps
  #socket: WebSocket | undefined
  #polling: AbortController | undefined
  #timer = 0
  #pingTimer = 0
  #tries = 0
  #refused = 0
  #stopped = true
  #ready = false

  constructor(deps: LinkDeps) {
    this.#deps = deps
    addEventListener('online', () => this.#retryNow())
    addEventListener('offline', () => {
      if (!this.#stopped) this.#lose(this.#socket)
    })
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#retryNow()
    })
  }

  get ready(): boolean {
    return this.#ready
  }

  start(): void {
    if (!this.#stopped) return
    this.#stopped = false
    void this.#connect(false)
  }

  /** Ends the line, now and for good, or so that it is built again. */
  #lose(socket: WebSocket | undefined, fresh = false): void {
    if (socket !== this.#socket) return
    this.#socket = undefined
    this.#ready = false
    this.#polling?.abort()
    this.#polling = undefined
    clearInterval(this.#pingTimer)
    clearTimeout(this.#timer)
    if (socket) socket.onclose = socket.onmessage = null
    socket?.close()
    if (this.#stopped) return
    this.#deps.onState(navigator.onLine ? 'connecting' : 'offline')
    // Twice as long after each try, up to half a minute, and never all visitors at once.
    const waitMs = Math.min(30_000, 500 * 2 ** this.#tries++) * (0.5 + Math.random() / 2)
    this.#timer = setTimeout(() => void this.#connect(fresh), waitMs)
  }

  #retryNow(): void {
    if (this.#stopped || this.#socket || this.#polling || !navigator.onLine) return
    clearTimeout(this.#timer)
    void this.#connect(false)
  }

  async #connect(fresh: boolean): Promise<void> {
    this.#deps.onState(navigator.onLine ? 'connecting' : 'offline')
    const lost = this.#socket
    try {
      const token = await this.#deps.session(fresh)
      if (lost !== this.#socket || this.#polling) return
      if (this.#refused >= REFUSED_MAX) await this.#poll(token)
      else this.#open(token)
    } catch (error) {
      const { final, wire } = error as { final?: boolean; wire?: WireError }
      if (final) return this.#end()
      // Who is refused everywhere is not refused sockets.
      if (!this.#ready) this.#refused = 0
      this.#lose(lost, wire?.type === 'authentication_error')
    }
  }

  #end(): void {
    this.#stopped = true
    this.#lose(this.#socket)
    this.#deps.onState('closed')
  }

  #open(token: string): void {
    const socket = (this.#socket = new WebSocket(`${this.#deps.base.replace(/^http/, 'ws')}/socket`))
    socket.onopen = () => {
      const have = this.#deps.have()
      socket.send(JSON.stringify({ type: 'hello', token, ...(have ? { have } : {}) }))
    }
    socket.onmessage = (event) => this.#hear(JSON.parse(String(event.data)) as ServerEvent)
    socket.onclose = ({ code }) => {
      if (!this.#ready && navigator.onLine) this.#refused += 1
      if (code === GONE) return this.#end()
      this.#lose(socket, code === UNAUTHORISED)
    }
    this.#watch(socket)
  }

  /** Asks now and then whether somebody is there; whoever does not answer is left. */
  #watch(socket: WebSocket): void {
    let heardAt = Date.now()
    socket.addEventListener('message', () => (heardAt = Date.now()))
    this.#pingTimer = setInterval(() => {
      const askedAt = Date.now()
      if (socket.readyState === 1) socket.send('{"type":"ping"}')
      setTimeout(() => {
        if (heardAt < askedAt) this.#lose(socket)
      }, SILENCE_MS)
    }, PING_MS)
  }

  #hear(event: ServerEvent): void {
    if (event.type === 'ready') this.#setReady()
    else if (event.type === 'message') this.#deps.onMessages([event.message])
    else if (event.type === 'typing') this.#deps.onTyping()
    else if (event.type === 'ack') this.#deps.onAck(event.client_message_id, event.error)
  }

  #setReady(): void {
    this.#tries = this.#refused = 0
    this.#ready = true
    this.#deps.onState('ready')
  }

  async #poll(token: string): Promise<void> {
    const polling = (this.#polling = new AbortController())
    const untilMs = Date.now() + POLL_FOR_MS
    let waitMs = 0
    while (Date.now() < untilMs) {
      const { data } = (await this.request(`/messages?wait_ms=${waitMs}&have=${this.#deps.have() ?? '0-0'}`, { token, signal: polling.signal })) as { data: Message[] }
      this.#deps.onMessages(data)
      if (!this.#ready) {
        this.#ready = true
        this.#tries = 0
        this.#deps.onState('ready')
      }
      waitMs = 20_000
    }
    // Perhaps the network has changed its mind about sockets.
    this.#refused = REFUSED_MAX - 1
    this.#lose(undefined)
  }

  /** Sends one message over whatever line there is; the answer comes as `onAck`. */
  async say(words: Outgoing, token: string): Promise<void> {
    const socket = this.#socket
    if (socket) return this.#saySocket(socket, words)
    try {
      await this.request('/messages', { token, body: JSON.stringify(words) })
      this.#deps.onAck(words.client_message_id)
    } catch (error) {
      if ('wire' in (error as object)) this.#deps.onAck(words.client_message_id, (error as { wire: WireError }).wire)
      else this.#polling?.abort()
    }
  }

  #saySocket(socket: WebSocket, words: Outgoing): void {
    socket.send(JSON.stringify({ type: 'message', ...words }))
    const timer = setTimeout(() => this.#lose(socket), SILENCE_MS)
    socket.addEventListener('message', (event) => {
      if (String(event.data).includes(words.client_message_id)) clearTimeout(timer)
    })
  }

  tell(event: Record<string, unknown>): void {
    if (this.#ready && this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(event))
  }

  /** Rejects with `wire` for an answer of the server, `final` when asking again is useless. */
  async request(path: string, options: { token?: string; body?: string | FormData; signal?: AbortSignal } = {}): Promise<unknown> {
    const { token, body, signal } = options
    const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(typeof body === 'string' ? { 'content-type': 'application/json' } : {}) }
    const response = await fetch(this.#deps.base + path, { method: body === undefined ? 'GET' : 'POST', headers, body: body ?? null, signal: signal ?? AbortSignal.timeout(30_000), credentials: 'omit' })
    const answer = (await response.json()) as { error?: WireError }
    if (response.ok) return answer
    throw Object.assign(new Error(answer.error?.code), { wire: answer.error, final: response.status === 403 || response.status === 404 })
  }
}

type ServerEvent =
  | { type: 'ready' | 'typing' | 'pong' | 'error' }
  | { type: 'message'; message: Message }
  | { type: 'ack'; client_message_id: string; error?: WireError }
