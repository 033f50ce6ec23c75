import { AppError, messageChannel, type Channel, type Id, type OutboundContent } from '@trunkline/core'
import { contacts, conversations, happened, media, messages, numbers, sealJson, type Tx } from '@trunkline/db'
import type { ApiDeps } from '../deps.ts'
import { windowOpen } from './conversation-view.ts'
import { signedFile } from './media-link.ts'

type HumanMessage = { conversationId: Id; content: OutboundContent; replyToMessageId?: Id | undefined; userId: Id | null }

/**
 * A person's words: opens the conversation again if it was closed, takes it over when the agent has it, stores the message and puts what leaves into the
 * outbox, in one transaction. The caller wakes the direct lane after the commit.
 */
export async function writeAsHuman(tx: Tx, deps: ApiDeps, wish: HumanMessage): Promise<messages.Message> {
  const before = await conversations.reopen(tx, wish.conversationId)
  const conversation = await conversations.setHandler(tx, wish.conversationId, 'human')
  tellHandler(tx, before, conversation)
  const channel = deps.channels[messageChannel(conversation.channel)]
  await assertSendable(tx, deps, conversation, channel, wish.content)
  const replyTo = wish.replyToMessageId === undefined ? null : await quoted(tx, conversation.id, wish.replyToMessageId)
  const leaving = await withFile(tx, deps, conversation.numberId, wish.content)
  const { requests, degradations } = channel.render(leaving, { to: conversation.replyTo, ...(replyTo === null ? {} : { replyTo }) })
  if (requests.length === 0) throw new AppError('invalid_request', { message: 'Nothing of this content can be sent on this channel.', param: 'body.content' })
  const message = await messages.append(tx, {
    conversationId: conversation.id,
    kind: wish.content.kind,
    contentSealed: sealJson(deps.keyring, wish.content, conversation.tenantId),
    author: 'human',
    authorUserId: wish.userId,
    replyTo,
    details: degradations.length > 0 ? { degradations } : null,
  })
  // The shape the worker's lanes read: the request as it leaves, and the address that its rate is counted by.
  const stored = requests.map((request) => sealJson(deps.keyring, { request, to: conversation.replyTo.value, identity: conversation.replyTo }, conversation.tenantId))
  await messages.queueParts(tx, message, stored)
  return message
}

/** Live news of a change of hands. */
export function tellHandler(tx: Tx, before: conversations.Conversation, { id, tenantId, projectId, handler }: conversations.Conversation): void {
  if (before.handler !== handler) happened(tx, tenantId, { type: 'conversation.handler_changed', projectId, data: { conversation_id: id, handler, was: before.handler } })
}

async function assertSendable(tx: Tx, deps: ApiDeps, conversation: conversations.Conversation, channel: Channel, content: OutboundContent): Promise<void> {
  const number = await numbers.get(tx, conversation.numberId)
  if (number.status === 'stopped') throw new AppError('invalid_state', { message: 'The number is stopped.', details: { reason: 'number_stopped', stop_reason: number.stopReason } })
  const contact = await contacts.get(tx, conversation.contactId)
  if (contact.optedOutAt) throw new AppError('invalid_state', { message: 'The contact has opted out.', details: { reason: 'opted_out' } })
  if (content.kind === 'template' && !channel.can.templates) throw new AppError('invalid_request', { message: 'This channel has no templates.', param: 'body.content.kind' })
  assertWindow(deps, conversation, channel, content.kind)
}

/** AppError `invalid_state` with reason `window_closed` when the platform would refuse a free-form message now. */
export function assertWindow(deps: Pick<ApiDeps, 'clock'>, conversation: conversations.Conversation, channel: Channel, kind: string): void {
  if (kind === 'template' || windowOpen(channel, conversation, deps.clock)) return
  throw new AppError('invalid_state', {
    message: channel.can.templates ? 'The customer last wrote too long ago: only an approved template can be sent now.' : 'The customer last wrote too long ago: this channel delivers nothing until they write again.',
    param: 'body.content.kind',
    details: { reason: 'window_closed', allowed_kinds: channel.can.templates ? ['template'] : [], last_inbound_at: conversation.lastInboundAt?.toISOString() ?? null },
  })
}

async function quoted(tx: Tx, conversationId: Id, messageId: Id): Promise<string> {
  const [message] = await messages.byIds(tx, [messageId])
  if (message?.conversationId !== conversationId) throw new AppError('not_found', { message: 'There is no such message in this conversation.', param: 'body.reply_to_message_id' })
  if (message.providerMessageId === null) throw new AppError('invalid_state', { message: 'The supplier does not know this message, so it cannot be quoted.', param: 'body.reply_to_message_id' })
  return message.providerMessageId
}

/** A file of ours gets an address the supplier can fetch it from. */
async function withFile(tx: Tx, deps: ApiDeps, numberId: Id, content: OutboundContent): Promise<OutboundContent> {
  if (!('media' in content)) return content
  const { mediaId } = content.media
  if (mediaId === undefined) {
    if (content.media.url === undefined) throw new AppError('invalid_request', { message: 'Name a file by media_id or url.', param: 'body.content.media' })
    return content
  }
  const file = await media.get(tx, mediaId).catch((cause: unknown) => {
    throw cause instanceof AppError ? new AppError('not_found', { message: 'There is no such file.', param: 'body.content.media.media_id', cause }) : cause
  })
  if (file.numberId !== numberId) throw new AppError('invalid_request', { message: 'This file was uploaded for another number.', param: 'body.content.media.media_id' })
  if (file.state !== 'stored') throw new AppError('invalid_state', { message: `This file is ${file.state}.`, param: 'body.content.media.media_id' })
  const facts = { mimeType: file.mimeType ?? undefined, sizeBytes: file.sizeBytes ?? undefined, filename: content.media.filename ?? file.filename ?? undefined }
  return { ...content, media: { ...facts, mediaId, url: signedFile(deps, file) } }
}
