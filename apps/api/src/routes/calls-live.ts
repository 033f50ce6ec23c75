import { AppError, type Id } from '@trunkline/core'
import type { calls } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { audit } from '../audit.ts'
import type { ApiDeps } from '../deps.ts'
import type { FindCall } from './calls-transcript.ts'

/** Finds a call that runs, and writes into the audit what is done in it. Throws AppError `not_found`, `invalid_state`. */
export type LiveCall = (request: FastifyRequest & { params: { id: Id } }, action: string, changes?: Record<string, unknown>) => Promise<calls.Call>

export const liveCallOf = ({ db }: ApiDeps, find: FindCall): LiveCall => (request, action, changes) =>
  db.tenant(request.auth.tenantId, async (tx) => {
    const call = await find(tx, request, request.params.id)
    if (call.status !== 'in_progress') throw new AppError('invalid_state', { message: 'This call is not running.' })
    await audit(tx, request, { action, target: { kind: 'call', id: call.id }, ...(changes ? { changes } : {}) })
    return call
  })

/** Throws AppError `invalid_state` for a call that goes on without us. */
export function withSound(call: calls.Call): calls.Call {
  if (call.isHeld || call.wish === null || call.wish === 'hang_up') return call
  if (call.wish === 'transfer') throw new AppError('invalid_state', { message: 'This call was put through: the carrier connects both sides itself, and no sound of it comes here any more. Nobody can hear it from here, nor be heard in it.' })
  throw new AppError('invalid_state', { message: 'The sound of this call is away for a moment, and comes back. Try again.', retryAfterMs: 2_000 })
}
