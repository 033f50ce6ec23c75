import { randomUUID } from 'node:crypto'
import { Call, type EndReason } from '../call.ts'
import { UNSENT, type HookAnswer } from '../hooks.ts'
import { dialed, dialProgress, dialTimeoutMs, join, meet, ring } from '../legs.ts'
import { Script, type Fields, type Stagehands } from '../script.ts'
import type { Verb } from '../verbs.ts'
import { CallOptions, type CarrierWorld, type LiveCall } from '../world.ts'
import { newCallControlId, TELNYX_ACCOUNT_SID, TelnyxNumber, telnyxSignature, type Application } from './account.ts'
import { checkWish, lineFormat, openStream } from './stream.ts'

/** Calls of a TeXML application: Twilio's verbs and fields, Telnyx's signature and media. */

export type TexmlFacts = {
  from: string
  to: string
  direction: 'inbound' | 'outbound'
  number: string
  person: string
  statusUrl: string
  /** Which of its steps are told. */
  statusEvents: ReadonlySet<string>
  /** The call whose <Dial> it is a leg of. */
  parentSid?: string
  options?: CallOptions
}

const CAUSES: Readonly<Record<EndReason, string>> = { completed: 'normal_clearing', time_limit: 'time_limit', busy: 'user_busy', no_answer: 'timeout', rejected: 'call_rejected', canceled: 'originator_cancel', failed: 'unspecified', unknown_number: 'not_found' }
/** Of a <Number> that names none. */
const COMPLETED = 'completed'
const EVERY_STEP = 'initiated ringing answered completed'

const ENDINGS: Readonly<Record<EndReason, string>> = { completed: 'completed', time_limit: 'completed', busy: 'busy', rejected: 'busy', no_answer: 'no-answer', canceled: 'canceled', failed: 'failed', unknown_number: 'failed' }

export class TexmlLine {
  readonly live: LiveCall
  readonly facts: TexmlFacts
  readonly script: Script
  readonly #world: CarrierWorld
  readonly #number: TelnyxNumber
  readonly #sessionId = randomUUID()
  #told: Promise<unknown> = Promise.resolve()
  #sequence = 0
  /** How the last <Dial> went, told once more with the end. */
  #dialed: Fields = {}

  constructor(world: CarrierWorld, facts: TexmlFacts) {
    this.#world = world
    this.facts = facts
    this.#number = world.telnyx.number(facts.number)?.facts ?? TelnyxNumber.parse({ number: '+10000000000' })
    const person = world.people.get(facts.person)
    const options = facts.options ?? CallOptions.parse({})
    const call = new Call({ id: newCallControlId(), from: facts.from, to: facts.to, direction: facts.direction, person, format: lineFormat(person.codec ?? this.#number.codec), keptMs: options.keep_ms, wheel: world.wheel })
    this.live = { call, carrier: 'telnyx', socket: null, sockets: [], options, isForgotten: false }
    this.script = new Script(call, world.wheel, this.#hands())
    call.once('ended', () => this.tell(COMPLETED, { CallDuration: String(call.seconds), HangupCause: CAUSES[call.endReason ?? 'failed'], HangupSource: this.#hangupSource, ...this.#dialed }))
    lines.set(call, this)
    world.calls.add(this.live)
  }

  get call(): Call {
    return this.live.call
  }

  get status(): string {
    if (this.call.state === 'ringing') return 'ringing'
    return this.call.state === 'answered' ? 'in-progress' : ENDINGS[this.call.endReason ?? 'failed']
  }

  get #hangupSource(): string {
    const { endedBy } = this.call
    if (endedBy === 'network' || endedBy === null) return 'unknown'
    return (endedBy === 'person') === (this.facts.direction === 'inbound') ? 'caller' : 'callee'
  }

  /** https://developers.telnyx.com/api-reference/callbacks/texml-call-completed and its neighbours. */
  tell(event: string, extra: Fields = {}): void {
    const { statusUrl, statusEvents, parentSid } = this.facts
    if (statusUrl === '' || !statusEvents.has(event)) return
    const parent: Fields = parentSid === undefined ? {} : { ParentCallSid: parentSid, ParentCallSidLegacy: parentSid }
    const status = event === 'initiated' || event === 'ringing' ? event : this.status
    const fields = { ...this.#fields(), ...parent, CallStatus: status, CallbackSource: 'call-progress-events', CallInitiatedAt: this.call.createdAt.toISOString(), SequenceNumber: String(this.#sequence++), Timestamp: new Date().toISOString(), ...extra }
    this.#told = this.#told.then(() => this.#post(event, statusUrl, fields))
  }

  /** What every request has; no direction among it (docs, "TeXML instruction fetching"). */
  #fields(): Fields {
    const { from, to, number } = this.facts
    return { AccountSid: TELNYX_ACCOUNT_SID, ApiVersion: '2010-04-01', CallSid: this.call.id, CallSidLegacy: this.call.id, CallStatus: this.status, ConnectionId: this.#world.telnyx.number(number)?.connectionId ?? '', From: from, To: to }
  }

  async #post(kind: string, url: string, fields: Fields): Promise<HookAnswer> {
    if (this.live.isForgotten) return UNSENT
    const body = new URLSearchParams(fields).toString()
    return this.#world.hooks.post({ target: 'telnyx.webhook', url, number: this.facts.number, id: this.call.id, kind, body, contentType: 'application/x-www-form-urlencoded', retriesMs: [], sign: (isWrong) => telnyxSignature(body, isWrong) })
  }

  #hands(): Stagehands {
    const world = this.#world
    return {
      fetch: async (url, extra) => {
        const answer = await this.#post('voice', url, { ...this.#fields(), ...extra })
        return answer.status >= 200 && answer.status < 300 ? answer.body : null
      },
      stream: (verb, _connect, abort) => this.#stream(verb, abort),
      dial: (verb, abort) => this.#dial(verb, abort),
      conference: (name, abort) => meet(world, this.live, name, abort),
      warn: (code, message) => void world.journal.add({ target: 'telnyx.debugger', outcome: 'refused', status: 0, number: this.facts.number, id: this.call.id, kind: code, text: message }),
    }
  }

  #stream({ attributes, children }: Verb, abort: AbortSignal): Promise<void> {
    const parameters = children.filter(({ name }) => name === 'Parameter').map(({ attributes: { name = '', value = '' } }) => ({ name, value }))
    const wish = { url: attributes.url ?? '', codec: attributes.codec ?? 'default', mode: attributes.bidirectionalMode ?? 'mp3', bidirectionalCodec: attributes.bidirectionalCodec ?? 'PCMU', bidirectionalRate: Number(attributes.bidirectionalSamplingRate ?? 8_000), authToken: attributes.authToken ?? null, parameters }
    const { promise, resolve } = Promise.withResolvers<void>()
    const tell = (event: string, streamId: string, error?: string) => {
      if (attributes.statusCallback !== undefined) void this.#post(event, attributes.statusCallback, { AccountSid: TELNYX_ACCOUNT_SID, CallSid: this.call.id, CallSidLegacy: this.call.id, StreamSid: streamId, StreamName: attributes.name ?? '', StreamEvent: event, Timestamp: new Date().toISOString(), ...(error === undefined ? {} : { StreamError: error }) })
    }
    const wrong = checkWish(wish, this.#number)
    if (wrong !== null) {
      tell('stream-error', '', wrong)
      return Promise.resolve()
    }
    const ids = { callControlId: this.call.id, sessionId: this.#sessionId, clientState: null }
    const socket = openStream(this.#world, this.live, wish, this.#number, ids, {
      onStarted: (streamId) => tell('stream-started', streamId),
      onStopped: (streamId, error) => {
        tell(error === null ? 'stream-stopped' : 'stream-error', streamId, error ?? undefined)
        resolve()
      },
    })
    abort.addEventListener('abort', () => socket.close(), { once: true })
    return promise
  }

  async #dial(verb: Verb, abort: AbortSignal): Promise<Fields> {
    const [to, progress] = [dialed(verb), dialProgress(verb)]
    const child = new TexmlLine(this.#world, { from: verb.attributes.callerId ?? this.facts.number, to, direction: 'outbound', number: this.facts.number, person: to, ...progress, parentSid: this.call.id, options: this.live.options })
    child.call.once('answered', () => child.tell('answered'))
    child.tell('initiated')
    child.tell('ringing')
    await join(this.#world, this.call, child.call, dialTimeoutMs(verb), abort)
    this.#dialed = { DialCallStatus: ENDINGS[child.call.endReason ?? 'failed'], DialCallSid: child.call.id, DialCallDuration: String(child.call.seconds) }
    return this.#dialed
  }
}

const lines = new WeakMap<Call, TexmlLine>()
export const texmlLineOf = (call: Call): TexmlLine | undefined => lines.get(call)

/** Of a call that comes in the application's own address is told the end. */
export function receiveTexml(world: CarrierWorld, { url, statusUrl }: Application, from: string, to: string, options: CallOptions): Call {
  const line = new TexmlLine(world, { from, to, direction: 'inbound', number: to, person: from, statusUrl, statusEvents: new Set([COMPLETED]), options })
  void line.script.from(url)
  return line.call
}

export type PlaceTexml = { from: string; to: string; texml?: string; url?: string; statusUrl: string; statusEvents?: string; timeoutMs: number }

export function placeTexml(world: CarrierWorld, { from, to, texml, url, statusUrl, statusEvents = EVERY_STEP, timeoutMs }: PlaceTexml): TexmlLine {
  const line = new TexmlLine(world, { from, to, direction: 'outbound', number: from, person: to, statusUrl, statusEvents: new Set(statusEvents.split(' ')) })
  line.call.once('answered', () => {
    line.tell('answered')
    void (texml === undefined ? line.script.from(url ?? '') : line.script.with(texml))
  })
  world.wheel.after(5, () => {
    if (line.call.state === 'ended') return
    line.tell('initiated')
    line.tell('ringing')
    ring(world, line.call, timeoutMs)
  })
  return line
}
