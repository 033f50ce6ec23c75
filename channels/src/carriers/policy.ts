import { AppError, type ErrorCode } from '@trunkline/core'
import type { PlaceOutcome } from './contract.ts'
import type { Operation } from './http.ts'

/** What a carrier's refusal means for us, as data. Decided by codes, never by texts: those can hold a phone number and change. */
export type RefusalRow = { code: ErrorCode; message: string; param?: string; retryAfterMs?: number }

export type RefusalPolicy = {
  rows: Readonly<Record<string, RefusalRow>>
  /** Codes that say "this call is over already". */
  over: ReadonlySet<string>
}

/** How one operation went wrong. `carrierCode` is '' when the carrier gave none. */
export type Refusal =
  | { kind: 'refused'; status: number; carrierCode: string; retryAfterMs?: number }
  /** Nothing of the request left this machine. */
  | { kind: 'not_sent'; reason: string }
  /** It left, and no whole answer came: it may have been carried out. */
  | { kind: 'lost'; reason: string }

/** Told by the way the operation broke off; an answer with a status is the carrier's own refusal. */
export function refusalOf(operation: Operation, answered: { status: number; carrierCode: string; retryAfterMs?: number } | null): Refusal {
  if (answered) return { kind: 'refused', ...answered }
  const fault = operation.fault ?? { written: true, reason: 'unreadable answer' }
  return { kind: fault.written ? 'lost' : 'not_sent', reason: fault.reason }
}

const BUSY_RETRY_MS = 2_000

function rowOf(refusal: Extract<Refusal, { kind: 'refused' }>, policy: RefusalPolicy): RefusalRow {
  const { status, carrierCode } = refusal
  if (policy.over.has(carrierCode)) return { code: 'invalid_state', message: 'The call is over.' }
  if (Object.hasOwn(policy.rows, carrierCode)) return policy.rows[carrierCode]!
  if (status === 401) return { code: 'invalid_credentials', message: 'The carrier refused the credentials.', param: 'credentials' }
  if (status === 404) return { code: 'not_found', message: 'The carrier knows no such thing.' }
  if (status === 429) return { code: 'rate_limited', message: 'The carrier asks to go more slowly.', retryAfterMs: BUSY_RETRY_MS }
  if (status >= 500) return { code: 'upstream_failed', message: 'The carrier reports a fault of its own.', retryAfterMs: BUSY_RETRY_MS }
  return { code: 'upstream_rejected', message: 'The carrier refused the request.' }
}

export function errorOf(refusal: Refusal, policy: RefusalPolicy): AppError {
  if (refusal.kind === 'not_sent') return new AppError('upstream_failed', { message: 'The carrier cannot be reached.', details: { reason: refusal.reason }, retryAfterMs: BUSY_RETRY_MS })
  if (refusal.kind === 'lost') return new AppError('upstream_timeout', { message: 'The carrier did not answer; it may have done what it was asked.', details: { reason: refusal.reason } })
  const row = rowOf(refusal, policy)
  return new AppError(row.code, { message: row.message, param: row.param, retryAfterMs: refusal.retryAfterMs ?? row.retryAfterMs, details: { carrier_code: refusal.carrierCode, status: refusal.status } })
}

/** No answer, or a fault of the carrier's own (502, 504): what was asked for may have been done. */
export const isOpen = (refusal: Refusal): boolean => refusal.kind === 'lost' || (refusal.kind === 'refused' && refusal.status >= 500)

/** Of a command that was asked about afterwards. `carriedOut` null: nobody can tell. */
export function settledError(refusal: Refusal, policy: RefusalPolicy, carriedOut: false | null): AppError {
  const { code, message, param, details, retryAfterMs } = errorOf(refusal, policy)
  return new AppError(code, { message, retryAfterMs, details: { ...details, carried_out: carriedOut }, ...(param === null ? {} : { param }) })
}

/** Whether what a client threw says for certain that nothing was done: a refusal, or the carrier's own word afterwards. */
export function isUndone(error: unknown): boolean {
  if (!(error instanceof AppError)) return false
  const { carried_out: carriedOut, status } = error.details ?? {}
  if (carriedOut !== undefined) return carriedOut === false
  return error.code !== 'upstream_timeout' && !(typeof status === 'number' && status >= 500)
}

const rejected = ({ code, message, param, retryAfterMs }: AppError, carrierCode: string): PlaceOutcome => ({ status: 'rejected', code, message, carrierCode, ...(param === null ? {} : { param }), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) })

/** `work` may refuse input of ours by AppError: that is an outcome, too. */
export async function asOutcome(work: () => Promise<PlaceOutcome>): Promise<PlaceOutcome> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof AppError) return rejected(error, 'input')
    throw error
  }
}

/** For a call that was to be placed. A fault of the carrier's own (5xx) leaves open whether the phone rings. */
export function placeOutcomeOf(refusal: Refusal, policy: RefusalPolicy): PlaceOutcome {
  if (refusal.kind === 'lost') return { status: 'unknown', reason: refusal.reason }
  if (refusal.kind === 'refused' && isOpen(refusal)) return { status: 'unknown', reason: `status ${refusal.status}` }
  return rejected(errorOf(refusal, policy), refusal.kind === 'refused' ? refusal.carrierCode : 'not_sent')
}

export const isOver = (refusal: Refusal, policy: RefusalPolicy): boolean => refusal.kind === 'refused' && policy.over.has(refusal.carrierCode)

/** `Retry-After` in seconds (RFC 9110 §10.2.3); at most an hour. */
export function retryAfterMs(header: string | null | undefined): number | undefined {
  const seconds = header == null || header.trim() === '' ? Number.NaN : Number(header)
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds, 3600) * 1000 : undefined
}

/** What an SDK's call came to: its value, or how it went wrong. */
export type Attempt<Value> = { ok: true; value: Value } | { ok: false; refusal: Refusal }

export function valueOf<Value>(attempt: Attempt<Value>, policy: RefusalPolicy): Value {
  if (attempt.ok) return attempt.value
  throw errorOf(attempt.refusal, policy)
}
