import { AppError, type Logger } from '@trunkline/core'
import type { Duplex } from 'node:stream'

/** Answers an upgrade with an error of HTTP in our shape. */
export function refuse(stream: Duplex, error: unknown, log: Logger): void {
  const known = error instanceof AppError ? error : new AppError('internal', { cause: error })
  if (known.status >= 500) log.error({ error }, 'a socket could not be opened')
  const body = JSON.stringify({ error: { type: known.type, code: known.code, message: known.message, param: known.param } })
  const retry = known.retryAfterMs === undefined ? '' : `Retry-After: ${Math.max(1, Math.ceil(known.retryAfterMs / 1_000))}\r\n`
  stream.on('error', () => stream.destroy())
  stream.end(`HTTP/1.1 ${known.status} Refused\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${retry}Connection: close\r\n\r\n${body}`)
}
