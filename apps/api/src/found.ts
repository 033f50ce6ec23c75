import { AppError } from '@trunkline/core'

/** The row, or `not_found` naming the input that pointed nowhere. Another tenant's row is nowhere too. */
export function found<T>(row: T | null | undefined, param = 'params.id'): T {
  if (row === null || row === undefined) throw new AppError('not_found', { param })
  return row
}
