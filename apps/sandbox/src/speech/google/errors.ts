import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FaultAction } from '../../faults/fault.ts'

/** Google's error envelope (cloud.google.com/apis/design/errors). */
export type GoogleRefusal = { status: number; code: string; message: string }

export const invalidArgument = (message: string): GoogleRefusal => ({ status: 400, code: 'INVALID_ARGUMENT', message })
export const sendRefusal = (reply: FastifyReply, { status, code, message }: GoogleRefusal): FastifyReply => reply.code(status).send({ error: { code: status, message, status: code } })

const CODES: Record<number, string> = { 400: 'INVALID_ARGUMENT', 401: 'UNAUTHENTICATED', 403: 'PERMISSION_DENIED', 404: 'NOT_FOUND', 429: 'RESOURCE_EXHAUSTED', 500: 'INTERNAL', 503: 'UNAVAILABLE', 504: 'DEADLINE_EXCEEDED' }

export function refuseByFault(reply: FastifyReply, action: FaultAction): void {
  const status = action.status ?? 500
  sendRefusal(reply, { status, code: typeof action.errorCode === 'string' ? action.errorCode : (CODES[status] ?? 'UNKNOWN'), message: 'Scripted by the sandbox.' })
}

/** A key in `?key=` or `x-goog-api-key`, or a bearer token. Good unless it says of itself that it is `invalid`. */
export function keyRefusal(request: FastifyRequest): GoogleRefusal | null {
  const given = (request.query as { key?: unknown }).key ?? request.headers['x-goog-api-key']
  const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1]
  if (typeof given === 'string' && given !== '') return /invalid/i.test(given) ? invalidArgument('API key not valid. Please pass a valid API key.') : null
  if (token === undefined) return { status: 403, code: 'PERMISSION_DENIED', message: "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API." }
  return /invalid/i.test(token) ? { status: 401, code: 'UNAUTHENTICATED', message: 'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.' } : null
}
