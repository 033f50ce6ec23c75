import { randomUUID } from 'node:crypto'
import { Call, type EndReason } from '../call.ts'
import type { LineFormat } from '../format.ts'
import { dialed, dialProgress, dialTimeoutMs, join, meet } from '../legs.ts'
import { UNSENT, type HookAnswer } from '../hooks.ts'
import { MediaSocket } from '../media-socket.ts'
import { NETWORK_FINE } from '../network.ts'
import { Script, type Fields, type Stagehands } from '../script.ts'
import type { Verb } from '../verbs.ts'
import { CallOptions, type CarrierWorld, type LiveCall } from '../world.ts'
import { newSid, twilioSignature } from './account.ts'
import { twilioWords } from './words.ts'

/** One call as Twilio runs it: a script of TwiML, webhooks on its way, at most one bidirectional stream. */

const MULAW: LineFormat = { encoding: 'pcmu', sampleRateHz: 8_000 }

export type StatusName = 'queued' | 'initiated' | 'ringing' | 'in-progress' | 'completed' | 'busy' | 'no-answer' | 'canceled' | 'failed'

export type LineFacts = {
  accountSid: string
  from: string
  to: string
  direction: 'inbound' | 'outbound-api' | 'outbound-dial'
  /** Whose behaviour the phone at the other end has. */
  person: string
  statusUrl: string
  /** Which of its steps are told; `completed` always is. */
  statusEvents: ReadonlySet<string>
  parentSid?: string
  options?: CallOptions
}

const ENDINGS: Readonly<Record<EndReason, StatusName>> = { completed: 'completed', time_limit: 'completed', busy: 'busy', no_answer: 'no-answer', rejected: 'busy', canceled: 'canceled', failed: 'failed', unknown_number: 'failed' }
const SIP_CODES: Readonly<Record<StatusName, string>> = { queued: '', initiated: '', ringing: '180', 'in-progress': '200', completed: '200', busy: '486', 'no-answer': '487', canceled: '487', failed: '404' }

const FORM = 'application/x-www-form-urlencoded; charset=UTF-8'
const asForm = (fields: Fields): string => new URLSearchParams(fields).toString()

export class TwilioLine {
  readonly live: LiveCall
  readonly facts: LineFacts
  readonly script: Script
  readonly #world: CarrierWorld
  #sequence = 0
  #told: Promise<unknown> = Promise.resolve()
  answeredBy: string | null = null

  constructor(world: CarrierWorld, facts: LineFacts) {
    this.#world = world
    this.facts = facts
    const options = facts.options ?? CallOptions.parse({})
    const call = new Call({
      id: newSid('CA'), from: facts.from, to: facts.to, direction: facts.direction === 'inbound' ? 'inbound' : 'outbound', person: world.people.get(facts.person),
      format: MULAW, keptMs: options.keep_ms, wheel: world.wheel,
    })
    this.live = { call, carrier: 'twilio', socket: null, sockets: [], options, isForgotten: false }
    this.script = new Script(call, world.wheel, this.#hands())
    call.once('ended', () => this.tell(this.status))
    lines.set(call, this)
    world.calls.add(this.live)
  }

  get call(): Call {
    return this.live.call
  }

  get status(): StatusName {
    if (this.call.state === 'ringing') return 'ringing'
    return this.call.state === 'answered' ? 'in-progress' : ENDINGS[this.call.endReason ?? 'failed']
  }

  /** The fields of every request about this call (twilio.com/docs/voice/twiml#request-parameters). */
  fields(status: StatusName = this.status): Fields {
    const { accountSid, from, to, direction, parentSid } = this.facts
    return {
      AccountSid: accountSid, ApiVersion: '2010-04-01', CallSid: this.call.id, CallStatus: status, Called: to, Caller: from, Direction: direction, From: from, To: to,
      CalledCountry: 'US', CallerCountry: 'US', FromCountry: 'US', ToCountry: 'US',
      ...(parentSid === undefined ? {} : { ParentCallSid: parentSid }),
      ...(this.answeredBy === null ? {} : { AnsweredBy: this.answeredBy }),
    }
  }

  async post(kind: string, url: string, fields: Fields): Promise<HookAnswer> {
    if (this.live.isForgotten) return UNSENT
    const [secret, token] = [this.#world.twilio.token(this.facts.accountSid) ?? '', randomUUID()]
    return this.#world.hooks.post({
      target: 'twilio.webhook', url, number: this.facts.direction === 'inbound' ? this.facts.to : this.facts.from, id: this.call.id, kind, body: asForm(fields), contentType: FORM, retriesMs: [],
      sign: (isWrong) => ({ 'x-twilio-signature': twilioSignature(isWrong ? `${secret}-wrong` : secret, url, fields), 'i-twilio-idempotency-token': token, 'user-agent': 'TwilioProxy/1.1', accept: '*/*' }),
    })
  }

  /** Status callbacks of a call keep their order. */
  tell(status: StatusName): void {
    const { statusUrl, statusEvents } = this.facts
    const name = status === 'in-progress' ? 'answered' : this.call.state === 'ended' ? 'completed' : status
    if (statusUrl === '' || (name !== 'completed' && !statusEvents.has(name))) return
    const ended: Fields = name === 'completed' ? { CallDuration: String(this.call.seconds), Duration: String(Math.ceil(this.call.seconds / 60)), SipResponseCode: SIP_CODES[status] } : {}
    const fields = { ...this.fields(status), ...ended, CallbackSource: 'call-progress-events', SequenceNumber: String(this.#sequence++), Timestamp: new Date().toUTCString().replace('GMT', '+0000') }
    this.#told = this.#told.then(() => this.post(status, statusUrl, fields))
  }

  #hands(): Stagehands {
    return {
      fetch: (url, extra) => this.#fetch(url, extra),
      stream: (verb, connect, abort) => this.#stream(verb, connect, abort),
      dial: (verb, abort) => dial(this.#world, this, verb, abort),
      conference: (name, abort) => meet(this.#world, this.live, name, abort),
      warn: (code, message) => void this.#world.journal.add({ target: 'twilio.debugger', outcome: 'refused', status: 0, number: this.facts.to, id: this.call.id, kind: code, text: message }),
    }
  }

  /** `voice_url`, then its fallback. */
  async #fetch(url: string, extra: Fields): Promise<string | null> {
    const fallback = this.#world.twilio.number(this.facts.to)?.fallbackUrl ?? ''
    for (const address of fallback === '' ? [url] : [url, fallback]) {
      const answer = await this.post('voice', address, { ...this.fields(), ...extra })
      if (answer.status >= 200 && answer.status < 300) return answer.body
    }
    return null
  }

  #stream(verb: Verb, connect: boolean, abort: AbortSignal): Promise<void> {
    const { url = '', statusCallback } = verb.attributes
    const streamSid = newSid('MZ')
    const parameters = Object.fromEntries(verb.children.filter(({ name }) => name === 'Parameter').map(({ attributes }) => [attributes.name ?? '', attributes.value ?? '']))
    const tell = (event: string, error?: string) => {
      if (statusCallback === undefined) return
      const fields: Fields = { AccountSid: this.facts.accountSid, CallSid: this.call.id, StreamSid: streamSid, StreamName: verb.attributes.name ?? streamSid, StreamEvent: event, Timestamp: new Date().toISOString(), ...(error === undefined ? {} : { StreamError: error }) }
      void this.post(event, statusCallback, fields)
    }
    const refusal = refusalOf(url)
    if (refusal) {
      this.#world.journal.add({ target: 'twilio.media', outcome: 'refused', status: 0, number: this.facts.to, id: this.call.id, to: url, kind: refusal })
      tell('stream-error', refusal)
      return Promise.resolve()
    }
    return this.#open({ url, streamSid, parameters, connect, abort, tell })
  }

  #open({ url, streamSid, parameters, connect, abort, tell }: { url: string; streamSid: string; parameters: Fields; connect: boolean; abort: AbortSignal; tell: (event: string, error?: string) => void }): Promise<void> {
    const token = this.#world.twilio.token(this.facts.accountSid) ?? ''
    const { promise, resolve } = Promise.withResolvers<void>()
    const socket = new MediaSocket({
      call: this.call, streamId: streamSid, url, hears: MULAW, speaks: connect ? MULAW : null, wheel: this.#world.wheel, network: this.live.options.network ?? NETWORK_FINE,
      headers: { 'x-twilio-signature': twilioSignature(token, url), 'user-agent': 'Twilio.TmeWs/1.0' },
      words: twilioWords({ streamSid, accountSid: this.facts.accountSid, callSid: this.call.id, parameters }),
      onOpen: () => {
        this.#note('connected', 'accepted', url, streamSid)
        tell('stream-started')
      },
      onClosed: (error) => {
        this.#note('closed', error === null ? 'accepted' : 'fault', url, streamSid, error ?? undefined)
        tell(error === null ? 'stream-stopped' : 'stream-error', error ?? undefined)
        if (this.live.socket === socket) this.live.socket = null
        this.call.disconnect(socket)
        resolve()
      },
    })
    this.live.sockets.push(socket)
    if (connect) {
      this.live.socket = socket
      this.call.connect(socket)
    } else this.call.fork(socket)
    abort.addEventListener('abort', () => socket.close(), { once: true })
    return promise
  }

  #note(kind: string, outcome: 'accepted' | 'fault', url: string, streamSid: string, text?: string): void {
    this.call.note(`media.${kind}`, text)
    this.#world.journal.add({ target: 'twilio.media', outcome, status: 0, number: this.facts.direction === 'inbound' ? this.facts.to : this.facts.from, to: url, id: this.call.id, callbackData: streamSid, kind, text })
  }
}

/** Which line a call belongs to, for legs that meet. */
const lines = new WeakMap<Call, TwilioLine>()
export const lineOf = (call: Call): TwilioLine | undefined => lines.get(call)

/** wss, without a query; a plain socket on this machine is let through for tests. */
function refusalOf(url: string): string | null {
  const address = URL.parse(url)
  if (!address || (address.protocol !== 'wss:' && !(address.protocol === 'ws:' && /^(127\.|localhost$|\[::1\]$)/.test(address.hostname)))) return '31920 Stream - URL: must be wss'
  return address.search === '' ? null : '31920 Stream - URL: query strings are not supported'
}

const OUTCOMES: Readonly<Record<EndReason, string>> = { completed: 'completed', time_limit: 'completed', busy: 'busy', rejected: 'busy', no_answer: 'no-answer', canceled: 'canceled', failed: 'failed', unknown_number: 'failed' }

/** `<Dial><Number>`: a second leg; the verb ends with it, and the first goes on. */
async function dial(world: CarrierWorld, line: TwilioLine, verb: Verb, abort: AbortSignal): Promise<Fields> {
  const [to, progress] = [dialed(verb), dialProgress(verb)]
  const child = new TwilioLine(world, {
    accountSid: line.facts.accountSid, from: verb.attributes.callerId ?? line.facts.from, to, direction: 'outbound-dial', person: to, ...progress, parentSid: line.call.id, options: line.live.options,
  })
  child.call.once('answered', () => child.tell('in-progress'))
  child.tell('initiated')
  child.tell('ringing')
  await join(world, line.call, child.call, dialTimeoutMs(verb), abort)
  return { DialCallStatus: OUTCOMES[child.call.endReason ?? 'failed'], DialCallSid: child.call.id, DialCallDuration: String(child.call.seconds), DialBridged: String(child.call.answeredAt !== null) }
}
