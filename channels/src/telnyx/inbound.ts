import { AppError } from '@trunkline/core'
import { sipCodeOf, type CallEvent, type EndCause, type TransferOutcome } from '../carriers/events.ts'
import { contentId, id, joinedId, raw, record, text, timeMs, type Json } from '../json.ts'
import { readState, type State } from './state.ts'
import { normaliseTexml } from './texml.ts'

/** Call Control webhooks (`{data: {event_type, id, occurred_at, payload}}`), and the forms of TeXML. */
type News = { name: string; id: string; payload: Json; callId: string; state: State | null; atMs: number }

type Base = Pick<CallEvent, 'carrier' | 'carrierCallId' | 'eventId' | 'atMs' | 'sessionId' | 'reference'>

function base(news: News): Base {
  const session = id(news.payload.call_session_id, 255)
  return {
    carrier: 'telnyx', carrierCallId: news.callId, eventId: joinedId(news.id), atMs: news.atMs,
    ...(session === undefined ? {} : { sessionId: session }),
    ...(news.state?.ref === undefined ? {} : { reference: news.state.ref }),
  }
}

/** https://developers.telnyx.com: `hangup_cause` of `call.hangup`. */
const CAUSES: Readonly<Record<string, EndCause>> = {
  normal_clearing: 'completed', originator_cancel: 'canceled', timeout: 'no_answer', no_answer: 'no_answer', time_limit: 'time_limit',
  user_busy: 'busy', call_rejected: 'rejected', not_found: 'unreachable', unspecified: 'failed',
}
const TRANSFERS: Readonly<Partial<Record<EndCause, TransferOutcome>>> = { busy: 'busy', no_answer: 'no_answer', rejected: 'rejected', canceled: 'canceled' }

const instantOf = (value: unknown): number => (typeof value === 'string' ? Date.parse(value) : Number.NaN)

/** No field tells it: from the start of the call to its end, rounded up. */
function durationOf({ payload, atMs }: News): number | null {
  const [from, to] = [instantOf(payload.start_time), instantOf(payload.end_time)]
  const length = Math.ceil(((Number.isNaN(to) ? atMs : to) - from) / 1000)
  return Number.isNaN(from) || length < 0 || length > 1e9 ? null : length
}

function ended(news: News): CallEvent[] {
  const { payload, state } = news
  const detail = id(payload.hangup_cause, 255) ?? 'unspecified'
  const cause = CAUSES[detail] ?? 'failed'
  const sipCode = sipCodeOf(payload.sip_hangup_cause)
  const source = payload.hangup_source
  const end: CallEvent = {
    kind: 'call.ended', ...base(news), cause, durationSeconds: durationOf(news), detail,
    ...(sipCode === undefined ? {} : { sipCode }),
    ...(source === 'caller' || source === 'callee' ? { endedBy: source } : {}),
  }
  // A target that was talked to told `call.bridged` before; one that never answered ends the transfer.
  const failed = state?.of === undefined ? undefined : TRANSFERS[cause] ?? (cause === 'unreachable' || cause === 'failed' ? 'failed' : undefined)
  return failed === undefined ? [end] : [end, transferred(news, state!.of!, failed)]
}

function transferred(news: News, of: string, outcome: TransferOutcome): CallEvent {
  return { kind: 'call.transfer', ...base(news), carrierCallId: of, eventId: joinedId(news.id, 'transfer'), outcome, otherCallId: news.callId, durationSeconds: null }
}

function bridged(news: News): CallEvent[] {
  const both: CallEvent = { kind: 'call.bridged', ...base(news) }
  return news.state?.of === undefined ? [both] : [both, transferred(news, news.state.of, 'answered')]
}

function initiated(news: News): CallEvent[] {
  const { payload } = news
  const callerName = text(payload.caller_id_name, 255)
  const begun: CallEvent = {
    kind: 'call.initiated', ...base(news),
    direction: payload.direction === 'outgoing' ? 'outbound' : 'inbound',
    from: text(payload.from, 255) ?? 'anonymous',
    to: text(payload.to, 255) ?? '',
    ...(callerName === undefined ? {} : { callerName }),
  }
  return news.state?.of === undefined ? [begun] : [begun, transferred(news, news.state.of, 'ringing')]
}

const VERDICTS: Readonly<Record<string, 'human' | 'machine' | 'fax' | 'silence'>> = { human: 'human', human_residence: 'human', human_business: 'human', machine: 'machine', fax_detected: 'fax', silence: 'silence' }

function machine(news: News, phase: 'detected' | 'greeting_ended'): CallEvent[] {
  const detail = id(news.payload.result, 255) ?? 'not_sure'
  return [{ kind: 'call.machine', ...base(news), phase, verdict: phase === 'greeting_ended' ? 'machine' : VERDICTS[detail] ?? 'unknown', detail }]
}

function stream(news: News, state: 'started' | 'stopped' | 'failed'): CallEvent[] {
  const streamId = id(news.payload.stream_id, 255)
  const reason = text(news.payload.failure_reason, 1024)
  return [{ kind: 'call.stream', ...base(news), state, ...(streamId === undefined ? {} : { streamId }), ...(reason === undefined ? {} : { reason }) }]
}

function recording(news: News, state: 'done' | 'failed'): CallEvent[] {
  const { payload } = news
  const urls = record(payload.recording_urls)
  const url = text(urls?.wav, 4096) ?? text(urls?.mp3, 4096)
  const recordingId = id(payload.recording_id, 255)
  const length = (instantOf(payload.recording_ended_at) - instantOf(payload.recording_started_at)) / 1000
  return [{
    kind: 'call.recording', ...base(news), state,
    ...(recordingId === undefined ? {} : { recordingId }),
    ...(url === undefined ? {} : { url }),
    durationSeconds: length >= 0 && length < 1e9 ? Math.round(length) : null,
  }]
}

function dtmf(news: News): CallEvent[] {
  const digits = id(news.payload.digit, 128)
  return digits === undefined ? [] : [{ kind: 'call.dtmf', ...base(news), digits }]
}

const READERS: Readonly<Record<string, (news: News) => CallEvent[]>> = {
  'call.initiated': initiated,
  'call.ringing': (news) => [{ kind: 'call.ringing', ...base(news) }],
  'call.answered': (news) => [{ kind: 'call.answered', ...base(news) }],
  'call.hangup': ended,
  'call.bridged': bridged,
  'call.dtmf.received': dtmf,
  'call.machine.detection.ended': (news) => machine(news, 'detected'),
  'call.machine.premium.detection.ended': (news) => machine(news, 'detected'),
  'call.machine.greeting.ended': (news) => machine(news, 'greeting_ended'),
  'call.machine.premium.greeting.ended': (news) => machine(news, 'greeting_ended'),
  'call.recording.saved': (news) => recording(news, 'done'),
  'call.recording.error': (news) => recording(news, 'failed'),
  'streaming.started': (news) => stream(news, 'started'),
  'streaming.stopped': (news) => stream(news, 'stopped'),
  'streaming.failed': (news) => stream(news, 'failed'),
}

/** What the call was to do when this had happened. A step that ended because the call did is followed by nothing. */
function next(news: News): CallEvent[] {
  const { state, payload } = news
  const isDue = state?.after === news.name && state.next !== undefined && payload.status !== 'call_hangup'
  return isDue ? [{ kind: 'call.next', ...base(news), eventId: joinedId(news.id, 'next'), instructions: state.next! }] : []
}

function newsOf(data: Json, nowMs: number): News | null {
  const name = id(data.event_type, 255)
  const payload = record(data.payload)
  const callId = id(payload?.call_control_id, 255) ?? id(payload?.call_leg_id, 255)
  if (name === undefined || !payload || callId === undefined) return null
  const told = instantOf(data.occurred_at)
  return { name, payload, callId, id: id(data.id, 255) ?? contentId(`${callId}:${name}`, data), state: readState(payload.client_state), atMs: timeMs(Number.isNaN(told) ? undefined : told, nowMs) }
}

export function normaliseCall(input: unknown, nowMs: number): CallEvent[] {
  const body = record(input)
  if (body && id(body.CallSid, 255) !== undefined) return normaliseTexml(body, nowMs)
  const data = record(body?.data)
  const news = data ? newsOf(data, nowMs) : null
  if (!news) throw new AppError('invalid_request', { message: 'This is no call webhook of Telnyx.', param: data ? 'body.data.payload' : 'body.data' })
  const read = READERS[news.name]
  const events = Object.hasOwn(READERS, news.name) && read ? [...read(news), ...next(news)] : next(news)
  return events.length > 0 ? events : [{ kind: 'call.other', ...base(news), name: news.name, data: raw(news.payload) }]
}
