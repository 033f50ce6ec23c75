import { AppError, Id } from '@trunkline/core'
import { z } from 'zod'
import { HELD_PATTERN } from './held.ts'

// The words of a visitor's socket and of the REST routes beside it; README.md shows them in use.

const ClientId = z.string().regex(/^[\w-]{1,128}$/, 'Expected 1 to 128 letters, digits, _ or -').meta({ examples: ['c_9f2k3d'] })
export const Position = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
export const HeldText = z.string().max(4_000).regex(HELD_PATTERN, 'Expected ranges such as 1-4,6-9')

/** Exactly one of text, choice and media_id; the channel's own schema has the last word. */
export const VisitorWords = z.strictObject({
  client_message_id: ClientId.meta({ description: 'Chosen by the client and kept while it tries again: the same id is the same message' }),
  text: z.string().min(1).max(8_000).optional().meta({ examples: ['When do you open?'] }),
  choice: z.strictObject({ id: z.string().min(1).max(256), title: z.string().min(1).max(255) }).optional().meta({ description: 'A button or a list row that was picked', examples: [{ id: 'book', title: 'Book a table' }] }),
  media_id: Id.optional().meta({ description: 'A file of this visitor' }),
  caption: z.string().min(1).max(4_096).optional(),
  page_url: z.url({ protocol: /^https?$/ }).max(4_096).optional(),
  page_title: z.string().max(512).optional(),
  pre_chat: z.record(z.string().max(40), z.string().max(512)).optional().meta({ description: 'What the visitor filled in before the chat' }),
}).meta({ id: 'VisitorWords', examples: [{ client_message_id: 'c_9f2k3d', text: 'When do you open?' }] })
export type VisitorWords = z.infer<typeof VisitorWords>

export const ClientEvent = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('hello'), token: z.string().min(1).max(2_048), last_seq: Position.optional(), have: HeldText.optional() }),
  z.strictObject({ type: z.literal('message'), ...VisitorWords.shape }),
  z.strictObject({ type: z.literal('typing') }),
  z.strictObject({ type: z.literal('read'), seq: Position }),
  z.strictObject({ type: z.literal('ping') }),
])
export type ClientEvent = z.infer<typeof ClientEvent>

/** Why a socket was closed. 1001 (we are going away) and 1009 (frame too large) are the standard's. */
export const CLOSE = {
  notText: 1003,
  abuse: 1008,
  tooSlow: 1013,
  unauthorised: 4401,
  tooMany: 4429,
  chatGone: 4404,
} as const

/** Throws AppError `invalid_json` or `invalid_request` with the path of what does not fit. */
export function parseEvent(text: string): ClientEvent {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    throw new AppError('invalid_json', { message: 'The frame is not valid JSON.', param: 'frame' })
  }
  const parsed = ClientEvent.safeParse(given)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  throw new AppError('invalid_request', { message: issue.message, param: ['frame', ...issue.path].join('.') })
}
