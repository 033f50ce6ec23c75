import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply } from 'fastify'
import type { Fault, FaultAction } from './fault.ts'

/** Answers in the provider's own error form. */
export type Refuse = (reply: FastifyReply, action: FaultAction) => void

/**
 * The part of a fault that comes before the provider accepts.
 * Returns the HTTP status when the request ends here (0: no answer), or null when it goes on.
 */
export async function strikeBefore(fault: Fault, reply: FastifyReply, refuse: Refuse): Promise<number | null> {
  const { action } = fault
  if (action.delayMs) await delay(action.delayMs)
  if (action.hang) return leaveOpen(reply)
  if (action.reset) return drop(reply)
  if (action.garbage) {
    void reply.code(200).header('content-type', 'text/html').send('<html><body>502 upstream connect error</body></html>')
    return 200
  }
  const refuses = action.status !== undefined || (action.errorCode !== undefined && action.modelOutcome === undefined)
  if (!refuses) return null
  if (action.retryAfter !== undefined) void reply.header('retry-after', String(action.retryAfter))
  if (action.body === undefined) refuse(reply, action)
  else void reply.code(action.status ?? 400).send(action.body)
  return reply.statusCode
}

/** The part that comes after acceptance: true when the answer never arrives. */
export function strikeAfter(fault: Fault | undefined, reply: FastifyReply): boolean {
  if (fault?.action.acceptThenHang) leaveOpen(reply)
  else if (fault?.action.acceptThenReset) drop(reply)
  else return false
  return true
}

/** Half of a JSON body under a full Content-Length, then a broken connection. */
export function cutBody(reply: FastifyReply, body: string): void {
  reply.hijack()
  reply.raw.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  reply.raw.write(body.slice(0, body.length >> 1), () => reply.raw.destroy())
}

function leaveOpen(reply: FastifyReply): 0 {
  reply.hijack()
  return 0
}

function drop(reply: FastifyReply): 0 {
  reply.hijack()
  reply.raw.destroy()
  return 0
}
