import type { FastifyReply } from 'fastify'
import type { FaultAction } from '../../faults/fault.ts'

/** The type travels in the header `x-amzn-errortype`, the message in the body (AWS restJson1 protocol). */
export type PollyRefusal = { status: number; type: string; message: string }

export const refusal = (type: string, message: string, status = 400): PollyRefusal => ({ status, type, message })
export const sendRefusal = (reply: FastifyReply, { status, type, message }: PollyRefusal): FastifyReply => reply.code(status).header('x-amzn-errortype', type).send({ message })

const TYPES: Record<number, string> = { 400: 'ValidationException', 403: 'AccessDeniedException', 429: 'ThrottlingException', 503: 'ServiceUnavailableException' }

export function refuseByFault(reply: FastifyReply, action: FaultAction): void {
  const status = action.status ?? 500
  sendRefusal(reply, refusal(typeof action.errorCode === 'string' ? action.errorCode : (TYPES[status] ?? 'ServiceFailureException'), 'Scripted by the sandbox.', status))
}
