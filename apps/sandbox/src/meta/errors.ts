import type { FastifyReply } from 'fastify'
import type { FaultAction } from '../faults/fault.ts'

/** A refusal in Graph's words. `status` is the HTTP status. */
export type GraphRefusal = { status: number; code: number; message: string; subcode?: number; details?: string; type?: string; product?: 'whatsapp' | 'instagram' }

/**
 * HTTP status and message by code. WhatsApp: developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
 * (May 2026). Instagram and Messenger: messenger-platform error codes.
 */
const known: Record<number, readonly [status: number, message: string]> = {
  0: [401, 'AuthException'],
  1: [500, 'An unknown error occurred'],
  2: [503, 'Service temporarily unavailable'],
  3: [500, 'API Method'],
  4: [400, 'Application request limit reached'],
  10: [403, 'Application does not have permission for this action'],
  33: [400, 'Parameter value is not valid'],
  100: [400, 'Invalid parameter'],
  190: [401, 'Error validating access token: Session has expired or the token is malformed.'],
  200: [403, 'Permissions error'],
  368: [403, 'Temporarily blocked for policies violations'],
  551: [400, 'This person isn\'t available right now.'],
  613: [400, 'Calls to this api have exceeded the rate limit.'],
  80007: [400, 'Rate limit issues'],
  130429: [400, 'Rate limit hit'],
  130472: [400, "User's number is part of an experiment"],
  131000: [500, 'Something went wrong'],
  131005: [403, 'Access denied'],
  131008: [400, 'Required parameter is missing'],
  131009: [400, 'Parameter value is not valid'],
  131016: [500, 'Service unavailable'],
  131021: [400, 'Recipient cannot be sender'],
  131026: [400, 'Message undeliverable'],
  131031: [403, 'Account has been locked'],
  131042: [400, 'Business eligibility payment issue'],
  131047: [400, 'Re-engagement message'],
  131048: [400, 'Spam rate limit hit'],
  131049: [400, 'This message was not delivered to maintain healthy ecosystem engagement.'],
  131050: [400, 'User has stopped marketing messages'],
  131051: [400, 'Unsupported message type'],
  131052: [400, 'Media download error'],
  131053: [400, 'Media upload error'],
  131056: [400, '(Business Account, Consumer Account) pair rate limit hit'],
  131057: [500, 'Account in maintenance mode'],
  132000: [400, 'Number of parameters does not match the expected number of params'],
  132001: [404, 'Template name does not exist in the translation'],
  132015: [400, 'Template is paused'],
  133010: [400, 'Phone number not registered'],
}

export function knownRefusal(code: number, extra: Partial<GraphRefusal> = {}): GraphRefusal {
  const [status, message] = known[code] ?? [400, 'Unknown error']
  return { status, code, message: code >= 2 ? `(#${code}) ${message}` : message, ...extra }
}

/** Graph's title of a code, as used in the `errors[]` of a failed status. */
export const errorTitle = (code: number): string => known[code]?.[1] ?? 'Unknown error'

let traces = 0
const traceId = () => `A${Buffer.from(`${process.pid}.${++traces}.sandbox`).toString('base64url')}`

/** `{"error":{...}}` as Graph answers it. */
export function sendRefusal(reply: FastifyReply, refusal: GraphRefusal): FastifyReply {
  const error: Record<string, unknown> = { message: refusal.message, type: refusal.type ?? 'OAuthException', code: refusal.code }
  if (refusal.subcode !== undefined) error.error_subcode = refusal.subcode
  if (refusal.details !== undefined) error.error_data = { messaging_product: refusal.product ?? 'whatsapp', details: refusal.details }
  error.fbtrace_id = traceId()
  return reply.code(refusal.status).send({ error })
}

/** A scripted fault in Graph's form. */
export function refuseByFault(reply: FastifyReply, action: FaultAction): void {
  const code = Number(action.errorCode ?? codeForStatus(action.status ?? 500))
  const base = knownRefusal(Number.isInteger(code) ? code : 1)
  sendRefusal(reply, { ...base, status: action.status ?? base.status, subcode: action.errorSubcode, details: 'Scripted by the sandbox.' })
}

function codeForStatus(status: number): number {
  if (status === 401) return 190
  if (status === 403) return 10
  if (status === 429) return 130429
  if (status === 503) return 2
  return status >= 500 ? 131000 : 100
}
