import type { FastifyReply, FastifyRequest } from 'fastify'

/** Fires when the client goes away before its answer is whole, unless it sent a key to ask for it again; and at the deadline. */
export function goneSignal(request: FastifyRequest, reply: FastifyReply, deadlineMs: number): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished && request.keyed === null) gone.abort(new Error('The client went away'))
  })
  return AbortSignal.any([gone.signal, AbortSignal.timeout(deadlineMs)])
}
