import type { Clock, HttpTool } from '@trunkline/core'
import { request } from 'undici'
import type { Dispatcher } from 'undici'
import { AddressRefused, checkUrl } from '../net/address.ts'
import type { GuardedNetwork } from '../net/connect.ts'

export const RESPONSE_BYTES_MAX = 256 * 1024
/** What of a result goes into the model's context. */
export const OUTPUT_CHARS_MAX = 8_000
const URL_CHARS_MAX = 8_192

/** Looks up a secret that a tenant stored for its tools; null: there is none of that name. */
export type SecretPort = (tenantId: string, name: string) => Promise<string | null>

export type HttpToolCall = { tenantId: string; tool: HttpTool; args: Record<string, unknown>; idempotencyKey: string }
/** `output` is what the model reads, also for failures. `fault` is a code word for the archive and the log. */
export type ToolResult = { ok: boolean; output: string; fault: string | null; status: number | null }
export type HttpToolPort = (call: HttpToolCall, signal: AbortSignal) => Promise<ToolResult>

/** Ours to set, or unsafe to let a tenant set. */
const RESERVED_HEADERS = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade', 'te', 'trailer', 'expect', 'idempotency-key', 'proxy-authorization'])

class ToolFault extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** Calls tools over HTTP: guarded addresses, no redirects, a deadline and a size limit. Never throws: a failure is a result. */
export function createHttpTools(deps: { network: GuardedNetwork; secrets: SecretPort; clock: Clock }): HttpToolPort {
  return async (call, signal) => {
    const deadline = new AbortController()
    const abort = () => deadline.abort()
    const cancel = deps.clock.after(call.tool.timeoutMs, abort)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    const secrets = new Set<string>()
    try {
      const headers = await resolveHeaders(call, deps.secrets, secrets)
      const answer = await send(call, headers, deps.network, deadline.signal)
      return redact(answer, secrets)
    } catch (error) {
      return failed(error, deadline.signal.aborted)
    } finally {
      cancel()
      signal.removeEventListener('abort', abort)
    }
  }
}

async function resolveHeaders(call: HttpToolCall, secretPort: SecretPort, secrets: Set<string>): Promise<Record<string, string>> {
  const headers: Record<string, string> = { accept: 'application/json, text/*;q=0.9', 'user-agent': 'trunkline-tools/1', 'idempotency-key': call.idempotencyKey }
  for (const [name, template] of Object.entries(call.tool.headers)) {
    if (RESERVED_HEADERS.has(name.toLowerCase())) throw new ToolFault('header_refused', `The header ${name} cannot be set by a tool.`)
    headers[name.toLowerCase()] = await fillSecrets(template, (secret) => secretPort(call.tenantId, secret), secrets)
  }
  return headers
}

async function fillSecrets(template: string, resolve: (name: string) => Promise<string | null>, secrets: Set<string>): Promise<string> {
  let filled = template
  for (const [placeholder, name] of template.matchAll(/\{\{\s*secret\.([A-Za-z0-9_.-]{1,64})\s*\}\}/g)) {
    const value = await resolve(name!)
    if (value === null) throw new ToolFault('secret_missing', `The secret ${name} is not set.`)
    secrets.add(value)
    filled = filled.replaceAll(placeholder, () => value)
  }
  return filled
}

async function send(call: HttpToolCall, headers: Record<string, string>, network: GuardedNetwork, signal: AbortSignal): Promise<ToolResult> {
  const { method } = call.tool
  const inQuery = method === 'GET' || method === 'DELETE'
  const { url } = checkUrl(inQuery ? withQuery(call.tool.url, call.args) : call.tool.url, network.policy)
  const response = await request(url, {
    method,
    headers: inQuery ? headers : { 'content-type': 'application/json', ...headers },
    body: inQuery ? null : JSON.stringify(call.args),
    dispatcher: network.agent,
    signal,
  })
  if (response.statusCode >= 300 && response.statusCode < 400) {
    await response.body.dump()
    throw new ToolFault('redirect_refused', 'The tool answered with a redirect, which is not followed.')
  }
  return toResult(response, await readLimited(response.body))
}

function withQuery(base: string, args: Record<string, unknown>): string {
  const url = URL.parse(base)
  if (!url) throw new AddressRefused('not a URL')
  for (const [name, value] of Object.entries(args)) url.searchParams.append(name, typeof value === 'string' ? value : JSON.stringify(value))
  if (url.href.length > URL_CHARS_MAX) throw new ToolFault('url_too_long', 'The arguments do not fit into a URL.')
  return url.href
}

async function readLimited(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = []
  let total = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    total += chunk.length
    // Leaving the loop destroys the stream and with it the connection: the rest is never read.
    if (total > RESPONSE_BYTES_MAX) throw new ToolFault('response_too_large', `The tool answered with more than ${RESPONSE_BYTES_MAX} bytes.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function toResult(response: Dispatcher.ResponseData, body: string): ToolResult {
  // We ask for no encoding; what comes encoded all the same is not unpacked, so that no small answer grows large.
  const encoding = String(response.headers['content-encoding'] ?? 'identity')
  if (encoding !== 'identity') throw new ToolFault('content_encoding_refused', 'The tool answered in a compressed form that was not asked for.')
  const type = String(response.headers['content-type'] ?? '')
  if (body !== '' && type !== '' && !/^(text\/|application\/([\w.+-]*\+)?(json|xml)|application\/x-ndjson)/i.test(type)) {
    throw new ToolFault('content_type_refused', 'The tool answered with something that is neither JSON nor text.')
  }
  const ok = response.statusCode < 400
  const readable = compact(body)
  const output = ok ? readable || '{"ok":true}' : JSON.stringify({ error: 'http_error', status: response.statusCode, body: readable.slice(0, OUTPUT_CHARS_MAX / 4) })
  return { ok, output: truncated(output), fault: ok ? null : `http_${response.statusCode}`, status: response.statusCode }
}

/** JSON without its indentation: the same facts in fewer tokens. */
function compact(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body))
  } catch {
    return body.trim()
  }
}

const truncated = (output: string) => (output.length <= OUTPUT_CHARS_MAX ? output : `${output.slice(0, OUTPUT_CHARS_MAX)}… [shortened from ${output.length} characters]`)

/** A server that echoes our headers must not teach the model a secret. Very short values are left: they would shred the text. */
function redact(result: ToolResult, secrets: ReadonlySet<string>): ToolResult {
  let output = result.output
  for (const secret of secrets) {
    if (secret.length < 6) continue
    output = output.replaceAll(secret, '[secret]').replaceAll(JSON.stringify(secret).slice(1, -1), '[secret]')
  }
  return { ...result, output }
}

function failed(error: unknown, aborted: boolean): ToolResult {
  const refused = addressRefused(error)
  if (refused) return failure('address_refused', refused.message)
  if (error instanceof ToolFault) return failure(error.code, error.message)
  return aborted ? failure('timeout', 'The tool did not answer in time.') : failure('unreachable', 'The tool could not be reached.')
}

const failure = (fault: string, message: string): ToolResult => ({ ok: false, output: JSON.stringify({ error: fault, message }), fault, status: null })

function addressRefused(error: unknown): AddressRefused | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 6; at = at.cause, depth++) if (at instanceof AddressRefused) return at
  return null
}
