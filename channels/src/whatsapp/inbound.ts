import type { InboundEvent, Receipt, ReceiptStatus } from '@trunkline/core'
import { EventList, metaEntries } from '../events.ts'
import { contentId, id, list, raw, record, text, timeMs, type Json } from '../json.ts'
import { readContent, readContext } from './content.ts'
import { notice, preferenceNotices, systemEvents, userIdUpdates, type Origin } from './notices.ts'
import { recipientOf, senderOf, statusContact } from './people.ts'

/** From Meta's webhook body to our events. Pure; every level is looped, and one odd element never costs the good ones beside it. */

const STATUSES: ReadonlySet<string> = new Set<ReceiptStatus>(['sent', 'delivered', 'read', 'played', 'failed'])

function receiptError(status: Json): Receipt['error'] {
  const error = record(list(status.errors)[0])
  const code = id(error?.code, 64)
  if (code === undefined) return undefined
  const title = text(record(error?.error_data)?.details, 1024) ?? text(error?.title, 1024) ?? text(error?.message, 1024)
  return { code, title: title ?? 'Unknown error' }
}

/** `pricing` says what the message cost us; `conversation` belongs to the older pricing (webhooks/reference/messages/status, 21 May 2026). */
function receiptPricing(status: Json): Receipt['pricing'] {
  const pricing = record(status.pricing)
  const conversation = record(status.conversation)
  if (!pricing && !conversation) return undefined
  return { ...(pricing && raw(pricing)), ...(conversation && { conversation: raw(conversation) }) }
}

function readStatus(item: unknown, origin: Origin): InboundEvent {
  const status = record(item)
  const providerMessageId = id(status?.id)
  if (!status || !providerMessageId || typeof status.status !== 'string' || !STATUSES.has(status.status)) {
    return notice('unknown_status', item, origin, { contact: status && statusContact(status), severity: 'warning' })
  }
  const contact = statusContact(status)
  const callbackData = text(status.biz_opaque_callback_data, 512)
  const error = receiptError(status)
  const pricing = receiptPricing(status)
  return {
    kind: 'receipt',
    to: origin.to,
    atMs: timeMs(status.timestamp, origin.nowMs),
    providerMessageId,
    status: status.status as ReceiptStatus,
    ...(contact && { contact }),
    ...(callbackData && { callbackData }),
    ...(error && { error }),
    ...(pricing && { pricing }),
  }
}

type Part = { message: Json; messageId: string; contacts: unknown[]; origin: Origin }

function readReaction({ message, messageId, contacts, origin }: Part): InboundEvent | undefined {
  const reaction = record(message.reaction)
  const targetMessageId = id(reaction?.message_id)
  const from = senderOf(message, contacts)
  if (!targetMessageId || !from) return undefined
  // No emoji or an empty one takes the reaction back (webhooks/reference/messages/reaction).
  const emoji = text(reaction?.emoji, 64) ?? null
  return { kind: 'reaction', to: origin.to, atMs: origin.atMs, eventId: messageId, from, targetMessageId, emoji }
}

/** Only numbers shared with the WhatsApp Business app get these (webhooks/reference/messages/edit and /revoke, 2026). */
function readRevision({ message, messageId, contacts, origin }: Part): InboundEvent | undefined {
  const part = record(message.type === 'revoke' ? message.revoke : message.edit)
  const targetMessageId = id(part?.original_message_id)
  const from = senderOf(message, contacts)
  const edited = record(part?.message)
  if (!targetMessageId || !from || (message.type === 'edit' && !edited)) return undefined
  const change = edited ? ({ type: 'edited', content: readContent(edited).content } as const) : ({ type: 'deleted' } as const)
  return { kind: 'revision', to: origin.to, atMs: origin.atMs, eventId: messageId, from, targetMessageId, change }
}

function readCustomerMessage({ message, messageId, contacts, origin }: Part): InboundEvent | undefined {
  const from = senderOf(message, contacts)
  if (!from) return undefined
  const { content, keepRaw } = readContent(message)
  return {
    kind: 'message',
    to: origin.to,
    atMs: origin.atMs,
    providerMessageId: messageId,
    from,
    content,
    ...readContext(message),
    ...(keepRaw && { providerData: raw(message) }),
  }
}

function readKnown(part: Part): InboundEvent[] | undefined {
  const { message, messageId, contacts, origin } = part
  if (message.type === 'system') return systemEvents(message, messageId, origin)
  // A group is no conversation with one person: an answer would go to its sender alone (Groups API).
  if (message.group_id !== undefined) return [notice('group_message', message, origin, { eventId: messageId, contact: senderOf(message, contacts)?.identities[0] })]
  const event =
    message.type === 'reaction' ? readReaction(part) : message.type === 'edit' || message.type === 'revoke' ? readRevision(part) : readCustomerMessage(part)
  return event && [event]
}

function unreadable(item: unknown, origin: Origin): InboundEvent {
  return notice('unreadable', item, origin, { severity: 'warning' })
}

/** A message without a usable id gets one of its content, so that it is kept and a redelivery is known. */
function readMessage(item: unknown, contacts: unknown[], origin: Origin): InboundEvent[] {
  const message = record(item)
  if (!message) return [unreadable(item, origin)]
  const messageId = id(message.id) ?? contentId('whatsapp', message)
  const part: Part = { message, messageId, contacts, origin: { ...origin, atMs: timeMs(message.timestamp, origin.nowMs) } }
  return readKnown(part) ?? [unreadable(item, origin)]
}

/** A message the business sent from its phone (coexistence), or another agent of the number sent (webhooks/reference/smb_message_echoes, /standby). */
function readEcho(item: unknown, contacts: unknown[], origin: Origin): InboundEvent {
  const message = record(item)
  const contact = message && recipientOf(message, contacts)
  const providerMessageId = id(message?.id)
  if (!message || !contact || !providerMessageId) return unreadable(item, origin)
  const atMs = timeMs(message.timestamp, origin.nowMs)
  if (message.type === 'edit' || message.type === 'revoke') {
    return notice(`echo_${message.type}`, message, origin, { eventId: providerMessageId, contact: contact.identities[0], atMs })
  }
  return { kind: 'echo', to: origin.to, atMs, providerMessageId, contact, content: readContent(message).content }
}

/** Another agent (Meta Business Agent) holds the conversation: kept to be seen, must not start a turn (webhooks/reference/standby, 4 Aug 2026). */
function standbyNotice(item: unknown, contacts: unknown[], origin: Origin): InboundEvent {
  const message = record(item)
  const eventId = message && id(message.id)
  return notice('standby_message', item, origin, {
    contact: message && senderOf(message, contacts)?.identities[0],
    atMs: timeMs(message?.timestamp, origin.atMs),
    ...(eventId && { eventId }),
  })
}

function readMessagesField(value: Json, origin: Origin, into: EventList, isStandby: boolean): void {
  const contacts = list(value.contacts)
  for (const item of list(value.messages)) into.add(...(isStandby ? [standbyNotice(item, contacts, origin)] : readMessage(item, contacts, origin)))
  for (const item of list(value.message_echoes)) into.add(readEcho(item, contacts, origin))
  for (const item of list(value.statuses)) into.add(readStatus(item, origin))
  for (const item of list(value.errors)) into.add(notice('errors', item, origin))
}

const MESSAGE_PARTS = ['messages', 'message_echoes', 'statuses', 'errors'] as const

function readChange(change: Json, origin: Origin, into: EventList): void {
  const value = record(change.value)
  const field = text(change.field, 200) ?? 'unknown'
  if (!value) into.add(notice(field, change, origin, { severity: 'warning' }))
  else if (field === 'user_id_update') into.add(...userIdUpdates(value, origin))
  else if (field === 'user_preferences' && Array.isArray(value.user_preferences)) into.add(...preferenceNotices(value, origin))
  else if (MESSAGE_PARTS.some((part) => Array.isArray(value[part]))) readMessagesField(value, origin, into, field === 'standby')
  else into.add(notice(field, value, origin))
}

function readEntry(item: unknown, nowMs: number, into: EventList): void {
  const entry = record(item)
  const accountId = id(entry?.id, 255) ?? ''
  const origin: Origin = { to: accountId, atMs: timeMs(entry?.time, nowMs), entryTime: entry?.time ?? null, nowMs }
  if (!entry || !Array.isArray(entry.changes)) return into.add(unreadable(item, origin))
  for (const given of entry.changes as unknown[]) {
    const change = record(given)
    if (!change) into.add(unreadable(given, origin))
    // News about the whole account has no number: it is addressed to the account (WABA) id.
    else readChange(change, { ...origin, to: id(record(record(change.value)?.metadata)?.phone_number_id, 255) ?? accountId }, into)
  }
}

/** All events of one webhook body, in the body's order. Throws AppError `invalid_request` when it is not WhatsApp's envelope or holds more than 1,000 events. */
export function normalise(body: unknown, nowMs: number): InboundEvent[] {
  const list = new EventList()
  for (const entry of metaEntries(body, 'whatsapp_business_account')) readEntry(entry, nowMs, list)
  return list.events
}
