import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FaultAction } from '../../faults/fault.ts'

/** `detail` with a status word (elevenlabs.io/docs, "errors"), or FastAPI's list of places for bad input (422). */
export type ElevenRefusal = { status: number; detail: { status: string; message: string } | { loc: string[]; msg: string; type: string }[] }

export const badInput = (field: string, msg: string, type = 'value_error'): ElevenRefusal => ({ status: 422, detail: [{ loc: ['body', field], msg, type }] })
export const known = (status: number, word: string, message: string): ElevenRefusal => ({ status, detail: { status: word, message } })

export const sendRefusal = (reply: FastifyReply, { status, detail }: ElevenRefusal): FastifyReply => reply.code(status).send({ detail })

const WORDS: Record<number, string> = { 401: 'invalid_api_key', 403: 'missing_permissions', 404: 'voice_not_found', 429: 'too_many_concurrent_requests', 503: 'system_busy' }

export function refuseByFault(reply: FastifyReply, action: FaultAction): void {
  const status = action.status ?? 500
  sendRefusal(reply, known(status, typeof action.errorCode === 'string' ? action.errorCode : (WORDS[status] ?? 'internal_server_error'), 'Scripted by the sandbox.'))
}

/** Header `xi-api-key`. Any key is good, except one that says of itself that it is `invalid`. */
export function keyRefusal(key: FastifyRequest['headers'][string]): ElevenRefusal | null {
  if (typeof key !== 'string' || key === '') return known(401, 'needs_authorization', 'Neither authorization header nor xi-api-key received, please provide one.')
  return /invalid/i.test(key) ? known(401, 'invalid_api_key', 'Invalid API key') : null
}
