/** The closed set of error types on the wire, REST and WebSocket alike, with their HTTP status. */
export const ERROR_STATUS = {
  invalid_request_error: 400,
  authentication_error: 401,
  insufficient_credit_error: 402,
  permission_error: 403,
  not_found_error: 404,
  conflict_error: 409,
  rate_limit_error: 429,
  internal_error: 500,
  upstream_error: 502,
  system_busy_error: 503,
} as const
export type ErrorType = keyof typeof ERROR_STATUS

type CodeRow = { type: ErrorType; status?: number; retry: boolean; message: string }

/** One row per published code. A code is public contract: it is never reused for another meaning. */
export const ERROR_CODES = {
  invalid_request: { type: 'invalid_request_error', retry: false, message: 'The request is not valid.' },
  invalid_json: { type: 'invalid_request_error', retry: false, message: 'The body is not valid JSON.' },
  payload_too_large: { type: 'invalid_request_error', status: 413, retry: false, message: 'The body is larger than this endpoint accepts.' },
  unsupported_media_type: { type: 'invalid_request_error', status: 415, retry: false, message: 'This content type is not accepted here.' },
  invalid_credentials: { type: 'invalid_request_error', status: 422, retry: false, message: 'The supplier refused these credentials.' },
  invalid_state: { type: 'conflict_error', retry: false, message: 'This is not possible in the present state.' },
  missing_credentials: { type: 'authentication_error', retry: false, message: 'No credentials were given.' },
  invalid_api_key: { type: 'authentication_error', retry: false, message: 'This API key is not valid.' },
  invalid_token: { type: 'authentication_error', retry: false, message: 'This token is not valid or has expired.' },
  invalid_login: { type: 'authentication_error', retry: false, message: 'E-mail or password is wrong.' },
  signature_invalid: { type: 'authentication_error', retry: false, message: 'The signature is not valid.' },
  account_locked: { type: 'rate_limit_error', retry: true, message: 'Too many failed attempts. Try again later.' },
  email_not_verified: { type: 'permission_error', retry: false, message: 'Verify the e-mail address first.' },
  permission_denied: { type: 'permission_error', retry: false, message: 'These credentials do not allow this.' },
  tenant_suspended: { type: 'permission_error', retry: false, message: 'This tenant is suspended.' },
  origin_not_allowed: { type: 'permission_error', retry: false, message: 'This origin is not on the allow-list.' },
  not_found: { type: 'not_found_error', retry: false, message: 'There is no such thing here.' },
  conflict: { type: 'conflict_error', retry: false, message: 'This conflicts with what exists.' },
  idempotency_mismatch: { type: 'conflict_error', retry: false, message: 'This Idempotency-Key was used with another request.' },
  idempotency_in_progress: { type: 'conflict_error', retry: true, message: 'The first request with this Idempotency-Key is still running.' },
  rate_limited: { type: 'rate_limit_error', retry: true, message: 'Too many requests.' },
  insufficient_credit: { type: 'insufficient_credit_error', retry: false, message: 'The credit balance does not cover this.' },
  system_busy: { type: 'system_busy_error', retry: true, message: 'The queue is full. Try again shortly.' },
  unavailable: { type: 'system_busy_error', retry: true, message: 'A part of the system is not available right now.' },
  upstream_failed: { type: 'upstream_error', retry: true, message: 'A supplier failed.' },
  upstream_rejected: { type: 'upstream_error', retry: false, message: 'A supplier refused the request.' },
  upstream_timeout: { type: 'upstream_error', status: 504, retry: true, message: 'A supplier did not answer in time.' },
  fenced: { type: 'conflict_error', retry: false, message: 'Another worker owns this now.' },
  internal: { type: 'internal_error', retry: false, message: 'Something went wrong on our side.' },
} as const satisfies Record<string, CodeRow>
export type ErrorCode = keyof typeof ERROR_CODES
/** Of a code that another process told. */
export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_CODES, code)

export type AppErrorOptions = {
  /** Replaces the table's message. Goes to the caller: no secrets, no personal data, no database text. */
  message?: string
  /** Path of the offending input, e.g. `body.settings.phone_number_id`. */
  param?: string
  cause?: unknown
  /** Goes to the caller too. */
  details?: Record<string, unknown>
  /** How long the caller should wait, milliseconds. */
  retryAfterMs?: number
}

/** The one error class. The code decides type, HTTP status and whether a job may try again. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly param: string | null
  readonly details: Record<string, unknown> | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, options: AppErrorOptions = {}) {
    super(options.message ?? ERROR_CODES[code].message, { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.param = options.param ?? null
    this.details = options.details
    this.retryAfterMs = options.retryAfterMs
  }

  get type(): ErrorType {
    return ERROR_CODES[this.code].type
  }

  get status(): number {
    const row: CodeRow = ERROR_CODES[this.code]
    return row.status ?? ERROR_STATUS[row.type]
  }

  get retry(): boolean {
    return ERROR_CODES[this.code].retry
  }
}

export type WireError = {
  error: {
    type: ErrorType
    code: string
    message: string
    param: string | null
    request_id: string
    retry_after_ms?: number
    details?: Record<string, unknown>
  }
}

/** The one shape of an error on the wire. Anything that is not an AppError becomes `internal` and tells nothing. */
export function toWireError(error: unknown, requestId: string): WireError {
  const known = error instanceof AppError ? error : new AppError('internal')
  return {
    error: {
      type: known.type,
      code: known.code,
      message: known.message,
      param: known.param,
      request_id: requestId,
      ...(known.retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(known.retryAfterMs) }),
      ...(known.details === undefined ? {} : { details: known.details }),
    },
  }
}
