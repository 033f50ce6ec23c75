import { SpeechError } from '../stt/contract.ts'
import type { SpeechFailure, SpeechFailureCode } from '../stt/contract.ts'

/** Longest pause a supplier may ask of us. */
const RETRY_AFTER_CAP_MS = 3_600_000

/** What an HTTP status of a speech supplier means. Bodies are not quoted: they repeat keys and customers' words. */
export function httpFailure(engine: string, status: number, options: { requestId?: string | null; retryAfter?: string | null; detail?: string | null } = {}): SpeechFailure {
  // Google refuses a bad key with 400.
  const code = options.detail === 'API_KEY_INVALID' ? 'credentials' : codeOfStatus(status)
  const retryAfterMs = code === 'rate_limited' || code === 'unavailable' ? pauseMs(options.retryAfter) : undefined
  const detail = codeWord(options.detail)
  return { code, message: `${engine} answered ${status}${detail ? ` (${detail})` : ''}`, retryAfterMs, requestId: options.requestId ?? null }
}

function codeOfStatus(status: number): SpeechFailureCode {
  if (status === 401 || status === 402 || status === 403) return 'credentials'
  if (status === 408) return 'timeout'
  if (status === 429) return 'rate_limited'
  if (status >= 500 || status < 400) return 'unavailable'
  return 'bad_request'
}

/** `retry-after` in seconds or as a date (RFC 9110 §10.2.3). */
function pauseMs(retryAfter: string | null | undefined): number | undefined {
  if (!retryAfter) return undefined
  const seconds = Number(retryAfter)
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(retryAfter) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, ms), RETRY_AFTER_CAP_MS)
}

/** Only a code word passes (`voice_not_found`); prose is dropped because it may quote a key or a customer. */
export const codeWord = (detail: unknown): string | null => (typeof detail === 'string' && /^[A-Za-z][\w.-]{0,63}$/.test(detail) ? detail : null)

const CONNECT = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/
const TIMEOUT = /^(ETIMEDOUT|UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT)$|TimeoutError/

/** An error that carries no HTTP status: a socket, a deadline, bytes that nobody understands. */
export function socketFailure(engine: string, error: unknown, requestId: string | null = null): SpeechFailure {
  if (error instanceof SpeechError) return error.failure
  const words = causes(error).flatMap(({ name, code }) => [name, code ?? ''])
  // The AWS SDK calls a reset connection a TimeoutError.
  if (words.some((word) => /^(ECONNRESET|EPIPE)$/.test(word))) return { code: 'cut', message: `${engine} broke off`, requestId }
  if (words.some((word) => TIMEOUT.test(word))) return { code: 'timeout', message: `${engine} did not answer in time`, requestId }
  if (words.some((word) => CONNECT.test(word))) return { code: 'unavailable', message: `${engine} cannot be reached`, requestId }
  return { code: 'cut', message: `${engine} broke off`, requestId }
}

/** The error and what caused it. SDKs wrap sockets' errors two or three times. */
function causes(error: unknown): { name: string; code?: string }[] {
  const found: { name: string; code?: string }[] = []
  for (let at = error; at instanceof Error && found.length < 6; at = at.cause) found.push(at)
  return found
}

export const speechError = (code: SpeechFailureCode, message: string, requestId: string | null = null, cause?: unknown): SpeechError =>
  new SpeechError({ code, message, requestId }, { cause })
