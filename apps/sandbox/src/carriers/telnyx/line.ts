import { randomUUID } from 'node:crypto'
import { Call, type EndReason } from '../call.ts'
import type { MediaSocket } from '../media-socket.ts'
import { CallOptions, type CarrierWorld, type LiveCall } from '../world.ts'
import { newCallControlId, TelnyxNumber, telnyxSignature } from './account.ts'
import { checkWish, lineFormat, openStream, type StreamWish } from './stream.ts'

/** One leg as Call Control runs it: commands come in by requests, news go out as webhooks. */

export type LegFacts = {
  connectionId: string
  webhookUrl: string
  from: string
  to: string
  direction: 'incoming' | 'outgoing'
  /** Our number at either end: its settings hold for the leg. */
  number: string
  /** Whose behaviour the phone at the other end has. */
  person: string
  sessionId?: string
  clientState?: string | null
  options?: CallOptions
}

const CAUSES: Readonly<Record<EndReason, string>> = { completed: 'normal_clearing', time_limit: 'time_limit', busy: 'user_busy', no_answer: 'timeout', rejected: 'call_rejected', canceled: 'originator_cancel', failed: 'unspecified', unknown_number: 'not_found' }
const SIP: Readonly<Partial<Record<EndReason, string>>> = { completed: '200', busy: '486', no_answer: '487', rejected: '603', unknown_number: '404' }
/** After anything but a 2xx; in the real world with growing pauses, here pressed. */
const RETRIES_MS = [50, 100, 200]

export class TelnyxLeg {
  readonly live: LiveCall
  readonly facts: LegFacts
  readonly number: TelnyxNumber
  readonly legId = randomUUID()
  readonly sessionId: string
  readonly commandIds = new Set<string>()
  clientState: string | null
  readonly #world: CarrierWorld
  #told: Promise<unknown> = Promise.resolve()

  constructor(world: CarrierWorld, facts: LegFacts) {
    this.#world = world
    this.facts = facts
    this.sessionId = facts.sessionId ?? randomUUID()
    this.clientState = facts.clientState ?? null
    this.number = world.telnyx.number(facts.number)?.facts ?? TelnyxNumber.parse({ number: '+10000000000' })
    const person = world.people.get(facts.person)
    const options = facts.options ?? CallOptions.parse({})
    const call = new Call({ id: newCallControlId(), from: facts.from, to: facts.to, direction: facts.direction === 'incoming' ? 'inbound' : 'outbound', person, format: lineFormat(person.codec ?? this.number.codec), keptMs: options.keep_ms, wheel: world.wheel })
    this.live = { call, carrier: 'telnyx', socket: null, sockets: [], options, isForgotten: false }
    call.once('answered', () => this.tell('call.answered', { state: 'answered', start_time: this.#startTime }))
    call.once('ended', () => this.#ended())
    call.on('unbridged', () => call.end('completed', 'network'))
    legs.set(call, this)
    world.calls.add(this.live)
  }

  get call(): Call {
    return this.live.call
  }

  get #startTime(): string {
    return this.call.createdAt.toISOString()
  }

  /** Webhooks of a leg keep their order; each tells the state of its moment. */
  tell(name: string, extra: Record<string, unknown> = {}): void {
    const { connectionId, from, to } = this.facts
    const payload = { call_control_id: this.call.id, call_leg_id: this.legId, call_session_id: this.sessionId, client_state: this.clientState, connection_id: connectionId, from, to, ...extra }
    const event = { record_type: 'event', event_type: name, id: randomUUID(), occurred_at: new Date().toISOString(), payload }
    this.#told = this.#told.then(() => this.#post(name, event))
  }

  async #post(kind: string, data: object): Promise<void> {
    const url = this.facts.webhookUrl
    if (url === '' || this.live.isForgotten) return
    const body = JSON.stringify({ data, meta: { attempt: 1, delivered_to: url } })
    await this.#world.hooks.post({
      target: 'telnyx.webhook', url, number: this.facts.number, id: this.call.id, kind, body, contentType: 'application/json', retriesMs: RETRIES_MS,
      sign: (isWrong) => ({ ...telnyxSignature(body, isWrong), 'user-agent': 'telnyx-webhooks' }),
    })
  }

  #ended(): void {
    const { call } = this
    const reason = call.endReason ?? 'failed'
    const source = call.endedBy === 'person' ? (this.facts.direction === 'incoming' ? 'caller' : 'callee') : call.endedBy === 'business' ? (this.facts.direction === 'incoming' ? 'callee' : 'caller') : 'unknown'
    this.tell('call.hangup', { state: 'hangup', hangup_cause: CAUSES[reason], hangup_source: source, sip_hangup_cause: SIP[reason] ?? 'unspecified', start_time: this.#startTime, end_time: call.endedAt?.toISOString(), call_quality_stats: null })
  }

  /** The name of the field that is wrong, or null. */
  refusalOf(wish: StreamWish): string | null {
    return checkWish(wish, this.number)
  }

  stream(wish: StreamWish): MediaSocket {
    const ids = { callControlId: this.call.id, sessionId: this.sessionId, clientState: this.clientState }
    let isStarted = false
    return openStream(this.#world, this.live, wish, this.number, ids, {
      onStarted: (streamId) => {
        isStarted = true
        this.tell('streaming.started', { stream_url: wish.url, stream_id: streamId })
      },
      onStopped: (streamId, error) => {
        const params = { stream_id: streamId, stream_url: wish.url }
        if (isStarted && error === null) this.tell('streaming.stopped', params)
        else this.tell('streaming.failed', { ...params, failure_reason: error ?? 'connection_failed', stream_params: { stream_url: wish.url, track: 'inbound_track' }, stream_type: 'websocket' })
      },
    })
  }
}

const legs = new WeakMap<Call, TelnyxLeg>()
export const legOf = (call: Call): TelnyxLeg | undefined => legs.get(call)
