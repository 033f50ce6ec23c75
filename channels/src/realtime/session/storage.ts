import { AppError } from '@trunkline/core'
import { State } from './state.ts'

/** What goes to Redis. It holds the conversation in words: it is stored as personal data. */
export const serialise = (state: State): string => JSON.stringify(state)

/** The state, exactly as it was. Throws AppError `invalid_state` for what is not one of ours or of another version. */
export function restore(stored: string): State {
  let value: unknown
  try {
    value = JSON.parse(stored)
  } catch (cause) {
    throw new AppError('invalid_state', { message: 'The stored session is not JSON.', cause })
  }
  const parsed = State.safeParse(value)
  if (!parsed.success)
    throw new AppError('invalid_state', {
      message: 'The stored session is of another version or damaged.',
      details: { at: parsed.error.issues[0]?.path.join('.') ?? '' },
    })
  return parsed.data
}
