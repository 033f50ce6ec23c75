import { AppError } from '@trunkline/core'

/**
 * How a client comes in: `wss://host/v1/realtime?model=M`, `?intent=transcription` or `?call_id=C`, exactly one of them
 * (`openai` npm, realtime/internal-base). Ours beside them: `session_id=sess_...`, or the header `x-session-id`, of a client that
 * comes back to its session; the others may then be left out, and official clients, which cannot, are not held to them. The credential stands in the Authorization header, in `access_token`, or, from a
 * browser, in a subprotocol (`openai` npm, realtime/websocket).
 */
export type Target = { mode: 'realtime'; model: string } | { mode: 'transcription' } | { mode: 'call'; callId: string } | { mode: 'session' }

export type Connection = {
  credential: { source: 'header' | 'query' | 'subprotocol'; value: string }
  target: Target
  /** The session that the client comes back to. */
  sessionId: string | null
  /** The client asked for the event names of before GA. */
  beta: boolean
  /** What the server must answer with, or null when none may be: the one with a key in it is never repeated. */
  subprotocolToEcho: string | null
}

export type ParsedConnection = { ok: true; connection: Connection } | { ok: false; error: AppError }
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

const KEY_PROTOCOL = 'openai-insecure-api-key.'
const BETA_PROTOCOL = 'openai-beta.realtime-v1'
const CREDENTIAL_MAX = 4_096

/** `url` is that of the upgrade request (path and query); header names are lower case. Never throws. */
export function parseConnection(url: string, headers: Headers): ParsedConnection {
  try {
    return { ok: true, connection: connectionOf(queryOf(url), headers) }
  } catch (error) {
    if (error instanceof AppError) return { ok: false, error }
    throw error
  }
}

function queryOf(url: string): URLSearchParams {
  const query = url.indexOf('?')
  return new URLSearchParams(query === -1 ? '' : url.slice(query + 1).split('#')[0])
}

function connectionOf(query: URLSearchParams, headers: Headers): Connection {
  const protocols = listOf(headers['sec-websocket-protocol'])
  const sessionId = sessionOf(query, headers)
  const target = targetOf(query, sessionId)
  return {
    credential: credentialOf(query, headers, protocols),
    target,
    sessionId,
    beta: listOf(headers['openai-beta']).includes('realtime=v1') || protocols.includes(BETA_PROTOCOL),
    subprotocolToEcho: echoOf(protocols),
  }
}

const textOf = (header: string | readonly string[] | undefined): string => (typeof header === 'string' ? header : (header ?? []).join(','))
const listOf = (header: string | readonly string[] | undefined): string[] =>
  textOf(header)
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')

function sessionOf(query: URLSearchParams, headers: Headers): string | null {
  const given = [...query.getAll('session_id'), ...listOf(headers['x-session-id'])]
  const [sessionId] = given
  if (sessionId === undefined) return null
  if (new Set(given).size > 1) throw new AppError('invalid_request', { message: 'Give one session_id.', param: 'query.session_id' })
  if (!/^sess_[0-9A-Za-z]{4,64}$/.test(sessionId)) throw new AppError('invalid_request', { message: 'A session_id is sess_ and letters and digits.', param: 'query.session_id' })
  return sessionId
}

function targetOf(query: URLSearchParams, sessionId: string | null): Target {
  const given = (['model', 'intent', 'call_id'] as const).flatMap((name) => query.getAll(name).map((value) => ({ name, value })))
  const [only] = given
  if (!only && sessionId !== null) return { mode: 'session' }
  if (!only || given.length > 1)
    throw new AppError('invalid_request', { message: 'Give exactly one of model, intent=transcription or call_id.', param: 'query' })
  if (only.name === 'intent') {
    if (only.value !== 'transcription') throw new AppError('invalid_request', { message: 'The only intent is transcription.', param: 'query.intent' })
    return { mode: 'transcription' }
  }
  if (!/^[\w.:@/-]{1,128}$/.test(only.value))
    throw new AppError('invalid_request', { message: `${only.name} is 1 to 128 letters, digits or . : @ / _ -`, param: `query.${only.name}` })
  return only.name === 'model' ? { mode: 'realtime', model: only.value } : { mode: 'call', callId: only.value }
}

/** One credential. Several that say the same are fine (a proxy may add the header), two different ones are not. */
function credentialOf(query: URLSearchParams, headers: Headers, protocols: readonly string[]): Connection['credential'] {
  const found = [
    ...bearerOf(headers.authorization).map((value) => ({ source: 'header' as const, value })),
    ...protocols
      .filter((entry) => entry.startsWith(KEY_PROTOCOL))
      .map((entry) => ({ source: 'subprotocol' as const, value: entry.slice(KEY_PROTOCOL.length) })),
    ...query.getAll('access_token').map((value) => ({ source: 'query' as const, value })),
  ]
  const [credential] = found
  if (!credential)
    throw new AppError('missing_credentials', { message: 'Send a bearer token, the subprotocol openai-insecure-api-key.<key>, or access_token.' })
  if (new Set(found.map((entry) => entry.value)).size > 1)
    throw new AppError('invalid_request', { message: 'The credentials of header, subprotocol and query differ.' })
  if (!/^[\x21-\x7e]+$/.test(credential.value) || credential.value.length > CREDENTIAL_MAX) throw new AppError('invalid_api_key')
  return credential
}

function bearerOf(header: Headers[string]): string[] {
  const text = textOf(header).trim()
  if (text === '') return []
  const token = /^bearer +(\S+)$/i.exec(text)?.[1]
  if (!token) throw new AppError('invalid_api_key', { message: 'The Authorization header is `Bearer <key>`.', param: 'header.authorization' })
  return [token]
}

/** RFC 6455 §4.2.2: one of those offered. `realtime` is the one that all clients know. */
function echoOf(protocols: readonly string[]): string | null {
  if (protocols.includes('realtime')) return 'realtime'
  return protocols.find((entry) => !entry.startsWith(KEY_PROTOCOL) && /^[\w.+-]{1,128}$/.test(entry)) ?? null
}
