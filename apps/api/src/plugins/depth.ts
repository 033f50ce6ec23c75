import { AppError } from '@trunkline/core'
import type { ApiApp } from '../deps.ts'

/** Deeper JSON than any of our schemas; a body of brackets alone must not reach code that recurses. */
const MAX_DEPTH = 64

export function registerDepthLimit(app: ApiApp): void {
  app.addHook('preValidation', async (request) => {
    if (isDeeperThan(request.body, MAX_DEPTH)) throw new AppError('invalid_request', { message: `The body is nested deeper than ${MAX_DEPTH} levels.`, param: 'body' })
  })
}

function isDeeperThan(root: unknown, limit: number): boolean {
  let level: unknown[] = [root]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limit) return true
    level = level.flatMap((value) => (typeof value === 'object' && value !== null && !Buffer.isBuffer(value) ? Object.values(value) : []))
  }
  return false
}
