import { Link, type Message, type State, type WireError } from './link.ts'
import type { MemoryStore, Outgoing, Queued } from './memory.ts'

export type Config = {
  title: string
  greeting: string
  accent_colour: string
  launcher_position: 'bottom_right' | 'bottom_left'
  pre_chat_fields: Field[]
}
export type Field = { name: string; label: string; type: 'text' | 'email' | 'phone'; required: boolean }
export type Fault = 'tooLarge' | 'wrongType' | 'tooFast' | 'failed'

export type ChatEvents = {
  onChange(): void
  onTyping(): void
  onFault(fault: Fault): void
}

type Session = { session_token: string; config: Config; messages: Message[]; has_more: boolean }

const FILE_BYTES_MAX = 10 * 1024 * 1024
const RETRYABLE = /^(rate_limit_error|system_busy_error|upstream_error)$/

const newClientId = (): string => `c_${Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(36).padStart(2, '0')).join('')}`

/** The conversation without its looks. */
export class Chat {
  readonly #memory: MemoryStore
  readonly #events: ChatEvents
  readonly #link: Link
  readonly #messages = new Map<string, Message>()
  #token = ''
  #opening: Promise<string> | undefined
  /** The one that is on its way. */
  #saying = ''
  config: Config | undefined
  state: State = 'idle'
  hasMore = false

  constructor(base: string, memory: MemoryStore, events: ChatEvents) {
    this.#memory = memory
    this.#events = events
    this.#link = new Link({
      base,
      session: (fresh) => this.#session(fresh),
      have: () => this.#have(),
      onState: (state) => this.#setState(state),
      onMessages: (messages) => this.#take(messages),
      onTyping: () => events.onTyping(),
      onAck: (id, error) => this.#acked(id, error),
    })
  }

  /** How the chat looks, before anybody opens it. Nothing is stored and no session begins. */
  async look(): Promise<void> {
    this.config = (await this.#link.request('/config')) as Config
    if (this.#memory.read().token) this.#link.start()
  }

  start(): void {
    this.#link.start()
  }

  get messages(): Message[] {
    return [...this.#messages.values()].sort((a, b) => a.seq - b.seq)
  }

  /** Typed, and not yet in the line. */
  get queue(): Queued[] {
    return this.#memory.read().queue
  }

  get unread(): number {
    const { readSeq } = this.#memory.read()
    return this.messages.filter((message) => message.author !== 'visitor' && message.seq > readSeq).length
  }

  /** Fields to ask before the first message. */
  get questions(): Field[] {
    return this.#memory.read().asked || this.#messages.size > 0 ? [] : (this.config?.pre_chat_fields ?? [])
  }

  answer(fields: Record<string, string>): void {
    this.#memory.change(() => ({ asked: true, preChat: fields }))
    this.#events.onChange()
  }

  markRead(): void {
    const last = this.messages.at(-1)?.seq ?? 0
    if (last <= this.#memory.read().readSeq) return
    this.#memory.change(() => ({ readSeq: last }))
    this.#link.tell({ type: 'read', seq: last })
    this.#events.onChange()
  }

  typing(): void {
    this.#link.tell({ type: 'typing' })
  }

  say(words: Omit<Outgoing, 'client_message_id'>, preview?: Record<string, unknown>): void {
    const page = /^https?:/.test(location.href) ? { page_url: location.href.slice(0, 4_096), page_title: document.title.slice(0, 512) } : {}
    this.#memory.change(({ queue, preChat }) => ({
      queue: [...queue, { client_message_id: newClientId(), ...words, ...page, ...(preChat && { pre_chat: preChat }), ...(preview && { preview }), at: new Date().toISOString() }],
      preChat: undefined,
    }))
    this.#events.onChange()
    this.start()
    this.#flush()
  }

  async attach(file: File): Promise<void> {
    if (file.size > FILE_BYTES_MAX) return this.#events.onFault('tooLarge')
    const body = new FormData()
    body.append('file', file)
    try {
      this.#token ||= await this.#session(false)
      const stored = (await this.#link.request('/media', { token: this.#token, body })) as { media_id: string; url: string; mime_type: string; filename: string | null; size_bytes: number }
      const kind = /^(image|video|audio)/.exec(stored.mime_type)?.[0] ?? 'document'
      this.say({ media_id: stored.media_id }, { kind, media: stored })
    } catch (error) {
      const code = (error as { wire?: WireError }).wire?.code
      this.#events.onFault(code === 'unsupported_media_type' ? 'wrongType' : code === 'rate_limited' ? 'tooFast' : 'failed')
    }
  }

  async earlier(): Promise<void> {
    const first = this.messages[0]
    if (!first) return
    const { data, has_more: hasMore } = (await this.#link.request(`/messages?before=${first.seq}`, { token: this.#token })) as { data: Message[]; has_more: boolean }
    this.hasMore = hasMore
    this.#take(data)
  }

  /** One at a time: a file and the line that both began a session would be two visitors, and the one's file is not the other's to send. */
  #session(fresh: boolean): Promise<string> {
    if (this.#token && !fresh) return Promise.resolve(this.#token)
    return (this.#opening ??= this.#begin().finally(() => (this.#opening = undefined)))
  }

  async #begin(): Promise<string> {
    const { token } = this.#memory.read()
    const session = (await this.#link.request('/sessions', { body: JSON.stringify(token ? { session_token: token } : {}) })) as Session
    this.#token = session.session_token
    this.config = session.config
    if (this.#messages.size === 0) this.hasMore = session.has_more
    this.#memory.change(() => ({ token: session.session_token }))
    this.#take(session.messages)
    return this.#token
  }

  #setState(state: State): void {
    this.state = state
    this.#saying = ''
    this.#events.onChange()
    this.#flush()
  }

  #take(messages: Message[]): void {
    for (const message of messages) this.#messages.set(message.id, message)
    const here = new Set(messages.map((message) => message.client_message_id))
    this.#memory.change(({ queue }) => ({ queue: queue.filter((item) => !here.has(item.client_message_id)) }))
    this.#events.onChange()
  }

  /** What is held, as ranges; neighbours in one conversation are one apart. Without earlier pages it is all from the beginning on. */
  #have(): string | null {
    if (this.#messages.size === 0) return null
    const ranges: [number, number][] = this.hasMore ? [] : [[0, 0]]
    for (const { seq } of this.messages) {
      const last = ranges.at(-1)
      if (last && last[1] === seq - 1) last[1] = seq
      else ranges.push([seq, seq])
    }
    return ranges.slice(-100).map((range) => range.join('-')).join(',')
  }

  /** The first of the queue, and the next only when it is committed. */
  #flush(): void {
    if (!this.#link.ready || this.#saying) return
    const next = this.queue.find((item) => !item.acked && !item.failed)
    if (!next) return
    this.#saying = next.client_message_id
    const { at: _at, acked: _acked, failed: _failed, preview: _preview, ...words } = next
    void this.#link.say(words, this.#token)
  }

  #acked(id: string, error?: WireError): void {
    if (this.#saying === id) this.#saying = ''
    if (error && RETRYABLE.test(error.type)) {
      this.#events.onFault('tooFast')
      this.#saying = id
      setTimeout(() => {
        this.#saying = ''
        this.#flush()
      }, error.retry_after_ms ?? 2_000)
      return
    }
    if (error) this.#events.onFault('failed')
    this.#memory.change(({ queue }) => ({ queue: queue.map((item) => (item.client_message_id === id ? { ...item, ...(error ? { failed: true } : { acked: true }) } : item)) }))
    this.#events.onChange()
    this.#flush()
  }
}
