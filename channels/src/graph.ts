import { Agent, DecoratorHandler, request, type Dispatcher } from 'undici'
import { AppError, type RejectionPolicy, type SendOutcome } from '@trunkline/core'
import { record, number, type Json } from './json.ts'

/** Speaks HTTP with Meta's Graph API for WhatsApp and Instagram: pooled connections, deadlines, size limits, and what an answer means for a message. */

/** One row of a platform's error policy. Base a decision on codes, never on titles (developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes). */
export type ErrorRow = {
  policy: RejectionPolicy
  /** Our own plain words: Meta's texts may carry a customer's number. */
  message: string
  /** First delay; the caller grows it with the attempt. */
  retryAfterMs?: number
}

/** Rows by `code/subcode`, `/subcode` or `code`, looked up in this order; then ranges. */
export type ErrorPolicy = {
  rows: Readonly<Record<string, ErrorRow>>
  ranges: readonly { from: number; to: number; row: ErrorRow }[]
}

export type GraphReply =
  | { kind: 'answer'; status: number; json: Json | undefined; retryAfterMs: number | undefined }
  /** Nothing of the request left this machine: safe to send again. */
  | { kind: 'not_sent'; reason: string }
  /** It left, and no whole answer came: it may have been carried out. */
  | { kind: 'lost'; reason: string }

export type GraphCall = {
  method: 'GET' | 'POST'
  url: string
  accessToken: string
  body?: Json
  signal: AbortSignal
}

const ANSWER_BYTES_MAX = 256 * 1024
const CONNECTIONS_PER_ORIGIN = 128
const CONNECT_TIMEOUT_MS = 5_000

/** Passed with a request so that the interceptor can say whether it was handed to a connected socket. */
type Tracker = { signal: AbortSignal; written: boolean }
type Tracked = Dispatcher.DispatchOptions & { tracker?: Tracker }

/** What fails before `onRequestStart` has certainly not been sent: refused, no such host, no free connection in time. */
function watched(handler: Dispatcher.DispatchHandler, tracker: Tracker): Dispatcher.DispatchHandler {
  const inner: Dispatcher.DispatchHandler = new DecoratorHandler(handler)
  return {
    onRequestStart(controller, context) {
      // An aborted request is started only to be told so; nothing of it is written.
      tracker.written = !tracker.signal.aborted
      inner.onRequestStart?.(controller, context)
    },
    onRequestUpgrade: (...args) => inner.onRequestUpgrade?.(...args),
    onResponseStart: (...args) => inner.onResponseStart?.(...args),
    onResponseData: (...args) => inner.onResponseData?.(...args),
    onResponseEnd: (...args) => inner.onResponseEnd?.(...args),
    onResponseError: (...args) => inner.onResponseError?.(...args),
  }
}

const watchWrites: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
  const { tracker } = options as Tracked
  return dispatch(options, tracker ? watched(handler, tracker) : handler)
}

/**
 * A pool of keep-alive connections, one per client. Idle connections close after undici's 4 s or the server's hint less 1 s: reusing one that the
 * server is just closing would make an `unknown` outcome out of nothing.
 */
export function createGraphAgent(timeoutMs: number): Dispatcher {
  const agent = new Agent({
    connections: CONNECTIONS_PER_ORIGIN,
    connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, timeoutMs) },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  })
  return agent.compose(watchWrites)
}

/** Frees the connection of an answer nobody reads. */
export async function discard(body: Dispatcher.ResponseData['body']): Promise<void> {
  await body.dump({ limit: 4096 }).catch(() => undefined)
}

/** Reads a body of at most `maxBytes`; null when there is more (the connection is then closed). */
export async function readBody(body: Dispatcher.ResponseData['body'], maxBytes: number): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

function parseJson(bytes: Buffer | null): Json | undefined {
  if (!bytes) return undefined
  try {
    return record(JSON.parse(bytes.toString('utf8')))
  } catch {
    return undefined
  }
}

/** `Retry-After` in seconds (RFC 9110 §10.2.3); dates are not used by Graph. At most an hour. */
function retryAfter(headers: Dispatcher.ResponseData['headers']): number | undefined {
  const seconds = number(headers['retry-after'])
  return seconds !== undefined && seconds >= 0 ? Math.min(seconds, 3600) * 1000 : undefined
}

function reasonOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown }
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'network error'
}

/** One call. Never throws: what went wrong, and whether it may have had an effect, is the reply. Bodies are not logged. */
export async function callGraph(agent: Dispatcher, timeoutMs: number, call: GraphCall): Promise<GraphReply> {
  const tracker: Tracker = { signal: AbortSignal.any([call.signal, AbortSignal.timeout(timeoutMs)]), written: false }
  const options: NonNullable<Parameters<typeof request>[1]> & { tracker: Tracker } = {
    method: call.method,
    dispatcher: agent,
    signal: tracker.signal,
    headers: { authorization: `Bearer ${call.accessToken}`, ...(call.body ? { 'content-type': 'application/json' } : {}) },
    body: call.body ? JSON.stringify(call.body) : null,
    tracker,
  }
  try {
    const response = await request(call.url, options)
    const json = parseJson(await readBody(response.body, ANSWER_BYTES_MAX))
    return { kind: 'answer', status: response.statusCode, json, retryAfterMs: retryAfter(response.headers) }
  } catch (error) {
    return { kind: tracker.written ? 'lost' : 'not_sent', reason: reasonOf(error) }
  }
}

export type GraphError = { code: number; subcode: number | undefined; isTransient: boolean }

/** Graph's error object, if the answer carries one. */
export function graphError(json: Json | undefined): GraphError | undefined {
  const error = record(json?.error)
  const code = number(error?.code)
  if (!error || code === undefined) return undefined
  return { code, subcode: number(error.error_subcode), isTransient: error.is_transient === true }
}

function rowFor(error: GraphError, status: number, policy: ErrorPolicy): ErrorRow {
  const keys = error.subcode === undefined ? [`${error.code}`] : [`${error.code}/${error.subcode}`, `/${error.subcode}`, `${error.code}`]
  for (const key of keys) if (Object.hasOwn(policy.rows, key)) return policy.rows[key]!
  const range = policy.ranges.find(({ from, to }) => error.code >= from && error.code <= to)
  if (range) return range.row
  if (error.isTransient || status >= 500) return { policy: 'retry', message: 'The platform reports a passing fault.', retryAfterMs: 2_000 }
  if (status === 429) return { policy: 'number_rate', message: 'The platform asks to send more slowly.', retryAfterMs: 2_000 }
  return { policy: 'final', message: 'The platform refused the request.' }
}

function rejected(row: ErrorRow, code: string, retryAfterMs: number | undefined): SendOutcome {
  const delayMs = retryAfterMs ?? row.retryAfterMs
  return { status: 'rejected', policy: row.policy, code, message: row.message, ...(delayMs === undefined ? {} : { retryAfterMs: delayMs }) }
}

/** Statuses without a Graph error object come from something in front of Graph. Those that cannot mean "carried out" are refusals; the others are not known. */
function bareStatus(status: number, retryAfterMs: number | undefined): SendOutcome {
  const code = `http_${status}`
  if (status === 401) return rejected({ policy: 'reconnect', message: 'The access token was not accepted.' }, code, retryAfterMs)
  if (status === 429) return rejected({ policy: 'number_rate', message: 'The platform asks to send more slowly.', retryAfterMs: 2_000 }, code, retryAfterMs)
  // 408: the server gave up reading the request. 503: refused at the door (messaging.md §2.1 counts it as transient).
  if (status === 408 || status === 503) return rejected({ policy: 'retry', message: 'The platform is not available right now.', retryAfterMs: 2_000 }, code, retryAfterMs)
  if (status < 500) return rejected({ policy: 'final', message: 'The platform refused the request.' }, code, retryAfterMs)
  return { status: 'unknown', reason: `${code} without an error object` }
}

/** What a send's reply means. `messageId` reads the platform's id from a success; without one the outcome is unknown. */
export function outcomeOf(reply: GraphReply, policy: ErrorPolicy, messageId: (json: Json) => string | undefined): SendOutcome {
  if (reply.kind === 'not_sent') {
    return { status: 'rejected', policy: 'retry', code: 'not_sent', message: 'The platform could not be reached.', retryAfterMs: 2_000 }
  }
  if (reply.kind === 'lost') return { status: 'unknown', reason: reply.reason }
  const error = graphError(reply.json)
  if (error) {
    const code = error.subcode === undefined ? `${error.code}` : `${error.code}/${error.subcode}`
    return rejected(rowFor(error, reply.status, policy), code, reply.retryAfterMs)
  }
  if (reply.status < 200 || reply.status > 299) return bareStatus(reply.status, reply.retryAfterMs)
  const id = reply.json ? messageId(reply.json) : undefined
  return id === undefined ? { status: 'unknown', reason: 'accepted without a message id' } : { status: 'accepted', providerMessageId: id }
}

/** For calls that read (media, checks): the answer's JSON, or an AppError that says whether trying later can help. */
export function readOrThrow(reply: GraphReply): Json {
  if (reply.kind !== 'answer') throw new AppError('upstream_failed', { message: `The platform could not be reached (${reply.reason}).` })
  const error = graphError(reply.json)
  if (!error && reply.status === 200 && reply.json) return reply.json
  const details = { status: reply.status, ...(error ? { code: error.code } : {}) }
  // 100/33: "object does not exist, cannot be loaded due to missing permissions" (Graph's answer for an expired or foreign id).
  if (reply.status === 404 || (error?.code === 100 && error.subcode === 33)) throw new AppError('not_found', { details })
  // A token can be renewed and a fault can pass; any other refusal stays.
  const mayPass = reply.status >= 500 || reply.status === 429 || reply.status === 401 || error?.code === 190 || error?.isTransient || (!error && reply.status === 200)
  throw new AppError(mayPass ? 'upstream_failed' : 'upstream_rejected', { details, ...(reply.retryAfterMs ? { retryAfterMs: reply.retryAfterMs } : {}) })
}
