import { AppError } from '@trunkline/core'

/** The AppError that `run` throws; anything else, or nothing, fails the test. */
export function refusal(run: () => unknown): AppError {
  try {
    run()
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('expected a refusal')
}
