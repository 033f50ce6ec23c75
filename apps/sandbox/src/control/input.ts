import type { ZodType } from 'zod'

/** A mistake in a call of the control API; answered as 400 with the place of the mistake. */
export class ControlError extends Error {
  readonly statusCode: number
  readonly param: string | null
  constructor(statusCode: number, message: string, param: string | null = null) {
    super(message)
    this.statusCode = statusCode
    this.param = param
  }
}

/** Control API only; the providers' own routes answer bad input in the providers' own words. */
export function parseOr400<T>(schema: ZodType<T>, input: unknown, where: 'body' | 'query'): T {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  throw new ControlError(400, `${where}${issue.path.length ? `.${issue.path.join('.')}` : ''}: ${issue.message}`, issue.path.join('.') || null)
}
