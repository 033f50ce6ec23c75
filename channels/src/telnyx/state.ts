import { z } from 'zod'
import { AppError } from '@trunkline/core'
import { CallInstructions } from '../carriers/instructions.ts'
import { record } from '../json.ts'

/**
 * `client_state`: what we give along with a command and Telnyx tells back in every event of that leg. It carries our reference, and what a
 * call is to do next: Telnyx carries out one command at a time and tells when it is done, so the plan waits with Telnyx and survives us.
 */
const State = z.object({
  v: z.literal(1),
  ref: z.string().min(1).max(128).optional(),
  next: CallInstructions.optional(),
  /** The event that makes `next` due: the same state comes with every other event, too. */
  after: z.enum(['call.answered', 'call.speak.ended', 'call.playback.ended', 'streaming.stopped']).optional(),
  /** The call that this leg is the target of a transfer of. */
  of: z.string().min(1).max(255).optional(),
})
export type State = Omit<z.infer<typeof State>, 'v'>

/** Of base64. Telnyx names no limit; a plan of this size is some twenty sentences. */
const STATE_CHARS_MAX = 32 * 1024

/** Never nothing: a command without state would leave the old plan in force. Throws AppError `invalid_request` for a plan that would not come back. */
export function writeState(state: State): string {
  const written = Buffer.from(JSON.stringify({ v: 1, ...state })).toString('base64')
  if (written.length > STATE_CHARS_MAX) throw new AppError('invalid_request', { message: 'These instructions are too long to wait at Telnyx.', param: 'instructions' })
  return written
}

/** Null for a state that is not ours: somebody else's application may use the field, too. */
export function readState(value: unknown): State | null {
  if (typeof value !== 'string' || value.length === 0 || value.length > STATE_CHARS_MAX) return null
  try {
    const parsed = State.safeParse(JSON.parse(Buffer.from(value, 'base64').toString('utf8')))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}

/** The reference alone, without looking at the rest: a media socket asks for no plan. */
export function referenceOf(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length === 0 || value.length > STATE_CHARS_MAX) return undefined
  try {
    const state = record(JSON.parse(Buffer.from(value, 'base64').toString('utf8')))
    return typeof state?.ref === 'string' && state.v === 1 && state.ref.length > 0 && state.ref.length <= 128 ? state.ref : undefined
  } catch {
    return undefined
  }
}

