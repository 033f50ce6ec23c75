import { AppError, type InboundContent, type InboundEvent } from '@trunkline/core'
import { joinedId, record, timeMs } from '../json.ts'
import { VisitorEvent } from './wire.ts'

/** From a visitor's body to one event. Pure. The format is ours, so it is held to the letter: what does not fit is refused with its path. */

type Of<T extends VisitorEvent['type']> = Extract<VisitorEvent, { type: T }>

function parse(body: unknown): VisitorEvent {
  const given = record(body)
  if (!given) throw new AppError('invalid_request', { message: 'The body must be a JSON object.', param: 'body' })
  const parsed = VisitorEvent.safeParse(given.type === undefined ? { ...given, type: 'message' } : given)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  throw new AppError('invalid_request', { message: issue.message, param: ['body', ...issue.path].map(String).join('.') })
}

function mediaKind(mimeType: string | undefined): 'image' | 'video' | 'audio' | 'document' {
  const family = mimeType?.split('/')[0]
  return family === 'image' || family === 'video' || family === 'audio' ? family : 'document'
}

function readMedia(media: NonNullable<Of<'message'>['media']>): InboundContent {
  const { media_id: mediaId, mime_type: mimeType, size_bytes: sizeBytes, filename, caption } = media
  const ref = { mediaId, ...(mimeType && { mimeType }), ...(sizeBytes !== undefined && { sizeBytes }), ...(filename && { filename }) }
  return { kind: mediaKind(mimeType), media: ref, ...(caption && { caption }) }
}

function readContent(message: Of<'message'>): InboundContent {
  if (message.choice) return { kind: 'choice', via: 'button', ...message.choice }
  const media = message.media ?? (message.media_id === undefined ? undefined : { media_id: message.media_id })
  if (media) return readMedia(media)
  return { kind: 'text', text: message.text! }
}

/** A visitor's ids are only unique within the visitor. */
const messageIdOf = (event: { visitor_id: string; client_message_id: string }): string => joinedId('web', event.visitor_id, event.client_message_id)

function readMessage(message: Of<'message'>, nowMs: number): InboundEvent {
  const { page_url: url, page_title: headline, reply_to: replyTo, pre_chat: preChat, name } = message
  return {
    kind: 'message',
    to: message.number_id,
    atMs: timeMs(message.at_ms, nowMs),
    providerMessageId: messageIdOf(message),
    from: { identities: [{ kind: 'visitor', value: message.visitor_id }], ...(name && { name }), ...(preChat && { stated: { ...preChat } }) },
    content: readContent(message),
    ...(replyTo && { replyTo }),
    ...(url && { referral: { source: 'page', url, ...(headline && { headline }) } }),
    ...(preChat && { providerData: { pre_chat: { ...preChat } } }),
  }
}

function readReceipt(receipt: Of<'read' | 'delivered'>, nowMs: number): InboundEvent {
  return {
    kind: 'receipt',
    to: receipt.number_id,
    atMs: timeMs(receipt.at_ms, nowMs),
    status: receipt.type,
    contact: { kind: 'visitor', value: receipt.visitor_id },
    ...(receipt.message_id !== undefined && { providerMessageId: receipt.message_id }),
    ...(receipt.up_to_ms !== undefined && { watermarkMs: receipt.up_to_ms }),
  }
}

function readReaction(reaction: Of<'reaction'>, nowMs: number): InboundEvent {
  return {
    kind: 'reaction',
    to: reaction.number_id,
    atMs: timeMs(reaction.at_ms, nowMs),
    eventId: messageIdOf(reaction),
    from: { identities: [{ kind: 'visitor', value: reaction.visitor_id }] },
    targetMessageId: reaction.message_id,
    emoji: reaction.emoji,
  }
}

/** One event per body. Throws AppError `invalid_request` with the path of what does not fit. */
export function normalise(body: unknown, nowMs: number): InboundEvent[] {
  const event = parse(body)
  if (event.type === 'message') return [readMessage(event, nowMs)]
  return [event.type === 'reaction' ? readReaction(event, nowMs) : readReceipt(event, nowMs)]
}
