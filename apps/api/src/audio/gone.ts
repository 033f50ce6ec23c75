import type { FastifyReply } from 'fastify'

/** Fires when the client goes away before its answer is whole, and at the deadline. */
export function goneSignal(reply: FastifyReply, deadlineMs: number): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new Error('The client went away'))
  })
  return AbortSignal.any([gone.signal, AbortSignal.timeout(deadlineMs)])
}
