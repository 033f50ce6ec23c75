import { AppError, type RawWebhook } from '@trunkline/core'
import { sipCodeOf, type CallEvent, type EndCause, type TransferOutcome } from '../carriers/events.ts'
import { readPosted } from '../carriers/form.ts'
import { contentId, id, joinedId, number, raw, record, text, timeMs, type Json } from '../json.ts'

/**
 * Twilio's voice webhooks and callbacks, told apart by their fields: they all come as forms, and an app may point all of them at one
 * address (twilio.com/docs/voice/twiml#request-parameters, .../voice/api/call-resource#statuscallback).
 */
type News = { body: Json; callSid: string; atMs: number }

type Base = Pick<CallEvent, 'carrier' | 'carrierCallId' | 'eventId' | 'atMs' | 'sessionId'>

/** A header, told on as a field: the same for all attempts of one request, so that the same key pressed twice is not taken for one. */
const TOKEN = 'I-Twilio-Idempotency-Token'

export function readBody(raw: RawWebhook): unknown {
  const [body, token] = [record(readPosted(raw)), id(raw.headers['i-twilio-idempotency-token'], 128)]
  return body && token !== undefined ? { ...body, [TOKEN]: token } : body
}

/** Things that happen once in a call are numbered by the call; others by the request, or by what it says. */
const ONCE = new Set(['call.initiated', 'call.ringing', 'call.answered', 'call.ended'])

function eventId({ body, callSid }: News, kind: CallEvent['kind']): string {
  const token = id(body[TOKEN], 128)
  if (ONCE.has(kind)) return joinedId(callSid, kind)
  return token === undefined ? contentId(`${callSid}:${kind}`, body) : joinedId(callSid, kind, token)
}

function base(news: News, kind: CallEvent['kind']): Base {
  const { callSid, atMs } = news
  const parent = id(news.body.ParentCallSid, 255)
  return {
    carrier: 'twilio',
    carrierCallId: callSid,
    eventId: eventId(news, kind),
    atMs,
    ...(parent === undefined ? {} : { sessionId: parent }),
  }
}

const seconds = (value: unknown): number | null => {
  const parsed = number(value)
  return parsed === undefined || parsed < 0 || parsed > 1e9 ? null : Math.round(parsed)
}

/** Endings by CallStatus; a 4xx or 5xx of the network under `failed` says more. */
const CAUSES: Readonly<Record<string, EndCause>> = { completed: 'completed', busy: 'busy', 'no-answer': 'no_answer', canceled: 'canceled', failed: 'failed' }

function causeOf(status: string, sipCode: number | undefined): EndCause {
  if (status === 'failed' && (sipCode === 404 || sipCode === 484 || sipCode === 604)) return 'unreachable'
  if (status === 'failed' && (sipCode === 403 || sipCode === 603)) return 'rejected'
  return CAUSES[status] ?? 'failed'
}

function ended(news: News, status: string): CallEvent {
  const sipCode = sipCodeOf(news.body.SipResponseCode)
  return {
    kind: 'call.ended', ...base(news, 'call.ended'),
    cause: causeOf(status, sipCode),
    durationSeconds: seconds(news.body.CallDuration),
    detail: status,
    ...(sipCode === undefined ? {} : { sipCode }),
  }
}

function initiated(news: News): CallEvent {
  const { body } = news
  const callerName = text(body.CallerName, 255)
  const forwardedFrom = text(body.ForwardedFrom, 255)
  return {
    kind: 'call.initiated', ...base(news, 'call.initiated'),
    direction: body.Direction === 'inbound' ? 'inbound' : 'outbound',
    from: text(body.From, 255) ?? 'anonymous',
    to: text(body.To, 255) ?? text(body.Called, 255) ?? '',
    ...(callerName === undefined ? {} : { callerName }),
    ...(forwardedFrom === undefined ? {} : { forwardedFrom }),
  }
}

/** Where a call stands, by CallStatus (`queued`, `initiated`: not ringing yet). */
function progress(news: News): CallEvent[] {
  const status = id(news.body.CallStatus, 32)
  // The first request for instructions of an incoming call says `ringing`: for us the call begins with it.
  const isFirst = news.body.CallbackSource === undefined && news.body.Direction === 'inbound'
  if (status === undefined) return []
  if (status === 'queued' || status === 'initiated') return [initiated(news)]
  if (status === 'ringing') return [isFirst ? initiated(news) : { kind: 'call.ringing', ...base(news, 'call.ringing') }]
  if (status === 'in-progress' || status === 'answered') return [{ kind: 'call.answered', ...base(news, 'call.answered') }]
  return Object.hasOwn(CAUSES, status) ? [ended(news, status)] : []
}

const VERDICTS: Readonly<Record<string, 'human' | 'machine' | 'fax' | 'unknown'>> = { human: 'human', fax: 'fax', unknown: 'unknown', machine_start: 'machine', machine_end_beep: 'machine', machine_end_silence: 'machine', machine_end_other: 'machine' }

/** `AnsweredBy`, in the answer's own webhook or in that of asynchronous detection (twilio.com/docs/voice/answering-machine-detection). */
function machine(news: News): CallEvent[] {
  const answeredBy = id(news.body.AnsweredBy, 64)
  if (answeredBy === undefined) return []
  const phase = answeredBy.startsWith('machine_end') ? 'greeting_ended' : 'detected'
  return [{ kind: 'call.machine', ...base(news, 'call.machine'), phase, verdict: VERDICTS[answeredBy] ?? 'unknown', detail: answeredBy }]
}

const RECORDING_STATES: Readonly<Record<string, 'started' | 'done' | 'failed'>> = { 'in-progress': 'started', completed: 'done', absent: 'failed', failed: 'failed' }

function recording(news: News): CallEvent {
  const { body } = news
  const url = text(body.RecordingUrl, 4096)
  const recordingId = id(body.RecordingSid, 255)
  return {
    kind: 'call.recording', ...base(news, 'call.recording'),
    // The `action` of <Record> tells no status: it is called when the recording is done.
    state: RECORDING_STATES[id(body.RecordingStatus, 32) ?? 'completed'] ?? 'failed',
    ...(recordingId === undefined ? {} : { recordingId }),
    ...(url === undefined ? {} : { url }),
    durationSeconds: seconds(body.RecordingDuration),
  }
}

const TRANSFERS: Readonly<Record<string, TransferOutcome>> = { completed: 'answered', answered: 'answered', busy: 'busy', 'no-answer': 'no_answer', canceled: 'canceled', failed: 'failed' }

function transfer(news: News, status: string): CallEvent {
  const otherCallId = id(news.body.DialCallSid, 255)
  return {
    kind: 'call.transfer', ...base(news, 'call.transfer'),
    outcome: TRANSFERS[status] ?? 'failed',
    ...(otherCallId === undefined ? {} : { otherCallId }),
    durationSeconds: seconds(news.body.DialCallDuration),
  }
}

/**
 * Of the leg that a <Dial> has opened: until it is over (that is told to the `action`) it is news of the call that dialed. Twilio and TeXML
 * send the dialing call along as `ParentCallSid` (twilio.com/docs/voice/twiml/number#attributes-status-callback-event).
 */
function child(news: News, parent: string): CallEvent[] {
  const outcome = CHILD_STATES[id(news.body.CallStatus, 32) ?? '']
  if (!outcome) return [other(news)]
  return [{ kind: 'call.transfer', ...base(news, 'call.transfer'), eventId: joinedId(news.callSid, 'dialed', outcome), carrierCallId: parent, outcome, otherCallId: news.callSid, durationSeconds: null }]
}

const CHILD_STATES: Readonly<Record<string, 'ringing' | 'answered'>> = { queued: 'ringing', initiated: 'ringing', ringing: 'ringing', 'in-progress': 'answered', answered: 'answered' }

const STREAM_STATES: Readonly<Record<string, 'started' | 'stopped' | 'failed'>> = { 'stream-started': 'started', 'stream-stopped': 'stopped', 'stream-error': 'failed' }

function stream(news: News, state: 'started' | 'stopped' | 'failed'): CallEvent {
  const streamId = id(news.body.StreamSid, 255)
  const reason = text(news.body.StreamError, 1024)
  return { kind: 'call.stream', ...base(news, 'call.stream'), state, ...(streamId === undefined ? {} : { streamId }), ...(reason === undefined ? {} : { reason }) }
}

function other(news: News): CallEvent {
  return { kind: 'call.other', ...base(news, 'call.other'), name: text(news.body.StatusCallbackEvent, 255) ?? text(news.body.CallStatus, 255) ?? 'unknown', data: raw(news.body) }
}

/** `CallbackSource` of status callbacks. */
const PROGRESS = 'call-progress-events'

/** Callbacks about a part of a call carry the call's status too: the part is the news. */
function read(news: News): CallEvent[] {
  const { body } = news
  const streamState = STREAM_STATES[id(body.StreamEvent, 64) ?? '']
  if (streamState) return [stream(news, streamState)]
  if (body.RecordingSid !== undefined) return [recording(news)]
  const parent = id(body.ParentCallSid, 255)
  if (parent !== undefined && body.CallbackSource === PROGRESS) return child(news, parent)
  // TeXML tells in the end of a call once more how the last <Dial> of it went.
  const dialed = body.CallbackSource === PROGRESS ? undefined : id(body.DialCallStatus, 32)
  if (dialed !== undefined) return [transfer(news, dialed)]
  const digits = id(body.Digits, 128)
  if (digits !== undefined) return [{ kind: 'call.dtmf', ...base(news, 'call.dtmf'), digits }]
  const isDetection = body.AnsweredBy !== undefined && body.MachineDetectionDuration !== undefined && body.CallbackSource === undefined
  return isDetection ? machine(news) : [...progress(news), ...machine(news)]
}

export function normaliseCall(input: unknown, nowMs: number): CallEvent[] {
  const body = record(input)
  const callSid = id(body?.CallSid, 255)
  if (!body || callSid === undefined) throw new AppError('invalid_request', { message: 'This is no voice webhook of Twilio.', param: 'body.CallSid' })
  const told = typeof body.Timestamp === 'string' ? Date.parse(body.Timestamp) : Number.NaN
  const news: News = { body, callSid, atMs: timeMs(Number.isNaN(told) ? undefined : told, nowMs) }
  const events = read(news)
  return events.length > 0 ? events : [other(news)]
}
