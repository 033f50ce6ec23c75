import { AppError } from '@trunkline/core'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** So many at a time in this process, and so many of them one tenant's: no tenant keeps the others out. */
export type Limits = { all: number; tenant: number }
const BUSY_RETRY_MS = 2_000

/** Counts a request until its answer is out, or the client is gone and nobody will ask for it again. Throws AppError `unavailable`. */
export function createGate({ all, tenant }: Limits): (request: FastifyRequest, reply: FastifyReply) => void {
  const inside = new Map<string, number>()
  let count = 0
  return (request, reply) => {
    const { tenantId } = request.auth
    const theirs = inside.get(tenantId) ?? 0
    if (count >= all || theirs >= tenant) throw new AppError('unavailable', { message: theirs >= tenant ? `At most ${tenant} of these requests at a time.` : 'Too much is being heard and spoken here at the moment.', retryAfterMs: BUSY_RETRY_MS })
    count++
    inside.set(tenantId, theirs + 1)
    const leave = () => {
      count--
      const left = (inside.get(tenantId) ?? 1) - 1
      if (left > 0) inside.set(tenantId, left)
      else inside.delete(tenantId)
    }
    // With a key the work goes on without the client.
    reply.raw.once('close', () => (request.keyed ? void request.keyed.over.then(leave) : leave()))
  }
}
