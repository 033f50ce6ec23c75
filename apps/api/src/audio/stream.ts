import { AppError, toWireError } from '@trunkline/core'

/** One event of a stream as OpenAI's SDK reads it. */
export const eventOf = (event: { type: string } & Record<string, unknown>): string => `data: ${JSON.stringify(event)}\n\n`

/** For a failure after the status went out. The SDK throws for an event with `error`. */
export function failedEvent(error: unknown): string {
  const known = error instanceof AppError ? error : new AppError('internal', { cause: error })
  return `event: error\ndata: ${JSON.stringify({ error: toWireError(known, '').error })}\n\n`
}
