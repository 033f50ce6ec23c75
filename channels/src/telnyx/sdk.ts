import type { Telnyx } from 'telnyx'
import { AppError } from '@trunkline/core'
import type { CarrierClientDeps, CarrierConfig } from '../carriers/contract.ts'
import type { CarrierHttp, Operation } from '../carriers/http.ts'
import { checked } from '../carriers/parsing.ts'
import { refusalOf, retryAfterMs, valueOf, type Attempt } from '../carriers/policy.ts'
import { list, record } from '../json.ts'
import { POLICY } from './policy.ts'
import { Credentials, Settings } from './wire.ts'

/** Telnyx's SDK over our own connections: one operation, one deadline, and how it went. */
export type Line = { http: CarrierHttp; deps: CarrierClientDeps }

export const settingsOf = (config: CarrierConfig): Settings => checked(Settings, config.settings, 'settings')
const credentialsOf = (config: CarrierConfig): Credentials => checked(Credentials, config.credentials, 'credentials', 'invalid_credentials')

/** Calls are placed with an application of the account, and numbers ring at its webhook. */
export function connectionOf(config: CarrierConfig): string {
  const { connection_id: connection } = settingsOf(config)
  if (connection === undefined) throw new AppError('invalid_request', { message: 'Telnyx needs the id of a Call Control or TeXML application.', param: 'settings.connection_id' })
  return connection
}

type Fetch = (url: string | URL | Request, init?: RequestInit) => Promise<Response>

/** Statuses that a Response may not have a body with (Fetch standard, "null body status"). */
const BODYLESS = new Set([101, 103, 204, 205, 304])

function fetchThrough({ http }: Line, operation: Operation): Fetch {
  return async (url, init = {}) => {
    const headers = Object.fromEntries(new Headers(init.headers))
    // The SDK writes JSON and forms as text; files, which it would not, are never sent from here.
    const body = init.body == null ? null : typeof init.body === 'string' ? init.body : String(init.body as URLSearchParams)
    const answer = await http.exchange(operation, { method: init.method ?? 'GET', url: String(url instanceof Request ? url.url : url), headers, body })
    return new Response(BODYLESS.has(answer.status) ? null : answer.body, { status: answer.status, headers: answer.headers })
  }
}

/** The SDK costs 24 MB and 130 ms to load: only a process that calls pays. */
async function sdkOf(line: Line, config: CarrierConfig, operation: Operation): Promise<Telnyx> {
  const { default: Sdk } = await import('telnyx')
  const { api_key: apiKey, public_key: publicKey } = credentialsOf(config)
  const baseURL = line.deps.baseUrl === null ? undefined : `${line.deps.baseUrl}/v2`
  // No retries: what was lost may have been done. No log: its lines name numbers.
  return new Sdk({ apiKey, publicKey, baseURL, fetch: fetchThrough(line, operation), maxRetries: 0, timeout: line.deps.timeoutMs, logLevel: 'off' })
}

/** The first error of `{errors: [{code, title, detail}]}`. */
function carrierCodeOf(body: unknown): string {
  const code = record(list(record(body)?.errors)[0])?.code
  return typeof code === 'string' || typeof code === 'number' ? String(code).slice(0, 64) : ''
}

export async function attempt<Value>(line: Line, config: CarrierConfig, signal: AbortSignal, run: (sdk: Telnyx) => Promise<Value>): Promise<Attempt<Value>> {
  const operation = line.http.operation(signal)
  const sdk = await sdkOf(line, config, operation)
  try {
    return { ok: true, value: await run(sdk) }
  } catch (error) {
    const { status, error: body, headers } = error as { status?: unknown; error?: unknown; headers?: unknown }
    const wait = headers instanceof Headers ? retryAfterMs(headers.get('retry-after')) : undefined
    return { ok: false, refusal: refusalOf(operation, typeof status === 'number' ? { status, carrierCode: carrierCodeOf(body), retryAfterMs: wait } : null) }
  }
}

export async function run<Value>(line: Line, config: CarrierConfig, signal: AbortSignal, work: (sdk: Telnyx) => Promise<Value>): Promise<Value> {
  return valueOf(await attempt(line, config, signal, work), POLICY)
}
