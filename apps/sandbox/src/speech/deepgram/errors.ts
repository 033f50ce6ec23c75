import { randomUUID } from 'node:crypto'
import type { FastifyReply } from 'fastify'
import type { FaultAction } from '../../faults/fault.ts'

/** A refusal of the handshake; the reason is in headers too, for clients whose WebSocket hides the body (Deepgram docs, "websocket errors"). */
export function refuseDeepgram(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  const requestId = String(reply.getHeader('dg-request-id') ?? randomUUID())
  return reply.code(status).header('dg-request-id', requestId).header('dg-error', message).send({ err_code: code, err_msg: message, request_id: requestId })
}

const CODES: Record<number, string> = { 400: 'Bad Request', 401: 'INVALID_AUTH', 402: 'ASR_PAYMENT_REQUIRED', 403: 'INSUFFICIENT_PERMISSIONS', 429: 'TOO_MANY_REQUESTS' }

export function refuseByFault(reply: FastifyReply, action: FaultAction): void {
  const status = action.status ?? 500
  refuseDeepgram(reply, status, typeof action.errorCode === 'string' ? action.errorCode : (CODES[status] ?? 'INTERNAL_SERVER_ERROR'), 'Scripted by the sandbox.')
}
