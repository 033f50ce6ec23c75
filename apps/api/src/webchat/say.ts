import { AppError, type InboundMessage } from '@trunkline/core'
import { webchat } from '@trunkline/db'
import type { ApiDeps } from '../deps.ts'
import { visitorOn, type Chat } from './chat.ts'
import type { Limits } from './limits.ts'
import type { VisitorWords } from './protocol.ts'

export type Said = { client_message_id: string; message_id: string; duplicate: boolean }

/**
 * A visitor's words become an event of the channel and go through the queue's door like any webhook: when this resolves they are
 * committed. The same `client_message_id` is the same message for ever. Throws AppError.
 */
export async function say(deps: ApiDeps, limits: Limits, chat: Chat, visitorId: string, words: VisitorWords): Promise<Said> {
  const visitor = visitorOn(chat.number, visitorId)
  await assertRate(deps, `webchat-message:${visitorId}`, limits.messagesPerMinute)
  const [event] = deps.channels.webchat.normalise(await bodyOf(deps, chat, visitor, words), deps.clock.nowMs()) as [InboundMessage]
  const { duplicates } = await deps.ports.accept({ id: visitor.numberId, tenantId: visitor.tenantId }, [event])
  const messageId = await deps.db.tenant(visitor.tenantId, async (tx) => {
    const accepted = await webchat.acceptedId(tx, visitor.numberId, event.providerMessageId)
    // Its turn links it, too; but a turn may have to wait for days, and uploads without a message are deleted.
    if (accepted !== null && words.media_id !== undefined) await webchat.linkFile(tx, visitor, words.media_id, accepted)
    return accepted
  })
  if (messageId === null) throw new AppError('internal', { message: 'An accepted message is not in the inbox.' })
  return { client_message_id: words.client_message_id, message_id: messageId, duplicate: duplicates > 0 }
}

/** Throws AppError `rate_limited`. Counted over all processes. */
export async function assertRate(deps: Pick<ApiDeps, 'limiter'>, key: string, perMinute: number): Promise<void> {
  const { allowed, retryAfterMs } = await deps.limiter.check([{ name: 'account', key, limit: perMinute, windowMs: 60_000 }])
  if (!allowed) throw new AppError('rate_limited', { retryAfterMs })
}

/** The channel's own wire. What a file is, we say: the visitor only names it. */
async function bodyOf(deps: ApiDeps, chat: Chat, visitor: webchat.Visitor, words: VisitorWords): Promise<Record<string, unknown>> {
  const { media_id: mediaId, caption, pre_chat: preChat, ...rest } = words
  const name = preChat?.['name']?.trim()
  return {
    ...rest,
    number_id: visitor.numberId,
    visitor_id: visitor.visitorId,
    ...(mediaId === undefined ? {} : { media: await fileOf(deps, visitor, mediaId, caption) }),
    ...(preChat === undefined ? {} : { pre_chat: checked(chat, preChat) }),
    ...(name ? { name } : {}),
  }
}

async function fileOf(deps: ApiDeps, visitor: webchat.Visitor, mediaId: string, caption: string | undefined): Promise<Record<string, unknown>> {
  const found = await deps.db.tenant(visitor.tenantId, (tx) => webchat.ownFile(tx, visitor, mediaId))
  if (found === null) throw new AppError('not_found', { message: 'There is no such file of this visitor.', param: 'body.media_id' })
  return { media_id: mediaId, mime_type: found.mimeType, size_bytes: found.sizeBytes, ...(found.filename && { filename: found.filename }), ...(caption && { caption }) }
}

const EMAIL = /^[^\s@]{1,64}@[^\s@]{1,255}$/
const PHONE = /^\+?[\d ()/.-]{4,32}$/

/** Fields that the number asks for and no others, each in the form that it has. */
function checked(chat: Chat, given: Record<string, string>): Record<string, string> {
  const known = new Map(chat.settings.pre_chat_fields.map((field) => [field.name, field]))
  const fault = (name: string, message: string) => new AppError('invalid_request', { message, param: `body.pre_chat.${name}` })
  for (const [name, value] of Object.entries(given)) {
    const field = known.get(name)
    if (!field) throw fault(name, 'This chat does not ask for this.')
    if (value !== '' && field.type === 'email' && !EMAIL.test(value)) throw fault(name, 'Expected an e-mail address.')
    if (value !== '' && field.type === 'phone' && !PHONE.test(value)) throw fault(name, 'Expected a phone number.')
  }
  const empty = [...known.values()].find((field) => field.required && !given[field.name]?.trim())
  if (empty) throw fault(empty.name, 'This field is required.')
  return given
}
