import type { Identity, InboundEvent, NumberNotice, Sender } from '@trunkline/core'
import { EventList, metaEntries } from '../events.ts'
import { contentId, id, joinedId, list, number, raw, record, text, timeMs, type Json } from '../json.ts'
import { readParts, readPostback, readReferral, readReplyTo } from './content.ts'

/**
 * From Meta's webhook body to our events. Pure; every level is looped, and one odd element never costs the good ones beside it.
 * Shapes: developers.facebook.com/documentation/instagram-platform/webhooks/examples (24 Nov 2025) and
 * developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events.
 */

type Origin = { to: string; atMs: number; entryTime: unknown }
type Messaging = { event: Json; customer: string; origin: Origin }

const sender = (igsid: string): Sender => ({ identities: [{ kind: 'igsid', value: igsid }] })
const identity = (igsid: string): Identity => ({ kind: 'igsid', value: igsid })

/** The id is a digest of the content and of `entry.time`: a redelivery is known again, the same news later is not taken for one. */
function notice(topic: string, value: unknown, origin: Origin, options: { eventId?: string; severity?: NumberNotice['severity']; contact?: Identity } = {}): NumberNotice {
  const data = raw(value)
  return {
    kind: 'notice',
    to: origin.to,
    atMs: origin.atMs,
    eventId: options.eventId ?? contentId(topic, [origin.to, origin.entryTime, data]),
    topic,
    severity: options.severity ?? 'info',
    ...(options.contact && { contact: options.contact }),
    data,
  }
}

const unreadable = (value: unknown, origin: Origin): NumberNotice => notice('unreadable', value, origin, { severity: 'warning' })

/** The first part keeps the platform's id, so that replies and reactions find it; the others get `#2`, `#3`. */
function readCustomerMessage(message: Json, { event, customer, origin }: Messaging): InboundEvent[] {
  const mid = id(message.mid, 500) ?? contentId('instagram', [customer, event.timestamp, message])
  const referral = readReferral(message.referral)
  const quoted = readReplyTo(message)
  return readParts(message).map((part, index) => ({
    kind: 'message',
    to: origin.to,
    atMs: origin.atMs,
    providerMessageId: index === 0 ? mid : `${mid}#${index + 1}`,
    from: sender(customer),
    content: part.content,
    ...(part.referral && { referral: part.referral }),
    ...(index === 0 && quoted),
    ...(index === 0 && referral && { referral }),
    ...(part.keepRaw && { providerData: raw(message) }),
  }))
}

/** Instagram sends echoes inside `messages`; `metadata` is what the sender put there (message-echoes, 18 Mar 2026). */
function readEcho(message: Json, { customer, origin, event }: Messaging): InboundEvent[] {
  const mid = id(message.mid, 500)
  if (!mid) return [unreadable(event, origin)]
  const callbackData = text(message.metadata, 512)
  return readParts(message).map((part, index) => ({
    kind: 'echo',
    to: origin.to,
    atMs: origin.atMs,
    providerMessageId: index === 0 ? mid : `${mid}#${index + 1}`,
    contact: sender(customer),
    content: part.content,
    ...(callbackData && { callbackData }),
  }))
}

function readMessage(part: Messaging): InboundEvent[] {
  const message = record(part.event.message)
  if (!message) return [unreadable(part.event, part.origin)]
  if (message.is_deleted === true) return readUnsend(message, part)
  return message.is_echo === true ? readEcho(message, part) : readCustomerMessage(message, part)
}

/** Our own messages can be taken back too, in the app: that is news, not a customer's revision. */
function readUnsend(message: Json, { event, customer, origin }: Messaging): InboundEvent[] {
  const mid = id(message.mid)
  if (!mid) return [unreadable(event, origin)]
  const eventId = joinedId('deleted', mid)
  if (message.is_echo === true) return [notice('echo_revoke', event, origin, { eventId, contact: identity(customer) })]
  return [{ kind: 'revision', to: origin.to, atMs: origin.atMs, eventId, from: sender(customer), targetMessageId: mid, change: { type: 'deleted' } }]
}

function readEdit({ event, customer, origin }: Messaging): InboundEvent[] {
  const edit = record(event.message_edit)
  const mid = id(edit?.mid)
  const body = text(edit?.text, 65_536)
  if (!mid || body === undefined) return [unreadable(event, origin)]
  const eventId = joinedId('edited', mid, number(edit?.num_edit) ?? number(event.timestamp) ?? 0)
  return [{ kind: 'revision', to: origin.to, atMs: origin.atMs, eventId, from: sender(customer), targetMessageId: mid, change: { type: 'edited', content: { kind: 'text', text: body } } }]
}

/** The words of a reaction, for bodies without the emoji itself (message-reactions). */
const EMOJI: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  ['love', '❤️'],
  ['smile', '😆'],
  ['laugh', '😆'],
  ['wow', '😮'],
  ['sad', '😢'],
  ['angry', '😠'],
  ['yes', '👍'],
  ['like', '👍'],
  ['no', '👎'],
  ['dislike', '👎'],
])

/** A reaction has no id of its own. */
function readReaction({ event, customer, origin }: Messaging): InboundEvent[] {
  const reaction = record(event.reaction)
  const mid = id(reaction?.mid)
  if (!mid) return [unreadable(event, origin)]
  const emoji = reaction?.action === 'unreact' ? null : (text(reaction?.emoji, 64) ?? EMOJI.get(reaction?.reaction) ?? '❤️')
  const eventId = joinedId('reaction', mid, customer, emoji ?? 'removed', number(event.timestamp) ?? 0)
  return [{ kind: 'reaction', to: origin.to, atMs: origin.atMs, eventId, from: sender(customer), targetMessageId: mid, emoji }]
}

function readPostbackEvent({ event, customer, origin }: Messaging): InboundEvent[] {
  const postback = record(event.postback)
  if (!postback) return [unreadable(event, origin)]
  const referral = readReferral(postback.referral)
  const content = readPostback(postback)
  const providerMessageId = id(postback.mid) ?? contentId('postback', [customer, event.timestamp, postback])
  return [{ kind: 'message', to: origin.to, atMs: origin.atMs, providerMessageId, from: sender(customer), content, ...(referral && { referral }), ...(content.kind === 'unsupported' && { providerData: raw(postback) }) }]
}

/** `messaging_seen` names the message; Messenger's `read` and `delivery` give a watermark: everything up to that time. */
function readReceipts(value: unknown, status: 'read' | 'delivered', { event, customer, origin }: Messaging): InboundEvent[] {
  const receipt = record(value)
  const base = { kind: 'receipt', to: origin.to, atMs: origin.atMs, status, contact: identity(customer) } as const
  const mids = [receipt?.mid, ...list(receipt?.mids)].map((mid) => id(mid)).filter((mid) => mid !== undefined)
  if (mids.length > 0) return mids.map((providerMessageId) => ({ ...base, providerMessageId }))
  const watermark = number(receipt?.watermark)
  return watermark === undefined ? [unreadable(event, origin)] : [{ ...base, watermarkMs: timeMs(watermark, origin.atMs) }]
}

function readMessaging(part: Messaging): InboundEvent[] {
  const { event, customer, origin } = part
  if (event.message !== undefined) return readMessage(part)
  if (event.message_edit !== undefined) return readEdit(part)
  if (event.reaction !== undefined) return readReaction(part)
  if (event.postback !== undefined) return readPostbackEvent(part)
  if (event.read !== undefined) return readReceipts(event.read, 'read', part)
  if (event.delivery !== undefined) return readReceipts(event.delivery, 'delivered', part)
  const topic = ['referral', 'optin', 'pass_thread_control', 'take_thread_control', 'request_thread_control', 'app_roles'].find((name) => event[name] !== undefined)
  return [notice(topic ?? 'unknown', event, origin, { contact: identity(customer) })]
}

/** Sender and recipient change places in an echo. */
function readItem(item: unknown, origin: Origin, isStandby: boolean): InboundEvent[] {
  const event = record(item)
  if (!event) return [unreadable(item, origin)]
  const message = record(event.message)
  const isEcho = message?.is_echo === true
  const from = id(record(event.sender)?.id, 255)
  const to = id(record(event.recipient)?.id, 255)
  const customer = isEcho ? to : from
  const atMs = timeMs(event.timestamp, origin.atMs)
  // The form Meta's dashboard sends as a test has an entry id of "0".
  const ours = origin.to && origin.to !== '0' ? origin.to : ((isEcho ? from : to) ?? origin.to)
  if (!customer) return [unreadable(item, { ...origin, to: ours })]
  const part: Messaging = { event, customer, origin: { ...origin, to: ours, atMs } }
  return isStandby && !isEcho && (message || event.postback) ? [standbyNotice(part)] : readMessaging(part)
}

/** Another app holds the thread: kept to be seen, must not start a turn (webhook-events/standby). */
function standbyNotice({ event, customer, origin }: Messaging): InboundEvent {
  const mid = id(record(event.message)?.mid)
  return notice('standby_message', event, origin, { contact: identity(customer), ...(mid && { eventId: mid }) })
}

const MESSAGING_FIELDS: ReadonlySet<unknown> = new Set(['messages', 'messaging_postbacks', 'messaging_seen', 'messaging_referral', 'messaging_optins', 'message_reactions', 'message_edit', 'message_edits', 'standby'])

/** Subscribed fields other than messaging (comments, mentions), and the form of Meta's test button, which wraps a messaging object. */
function readChange(item: unknown, origin: Origin): InboundEvent[] {
  const change = record(item)
  if (!change) return [unreadable(item, origin)]
  if (MESSAGING_FIELDS.has(change.field) && record(change.value)) return readItem(change.value, origin, change.field === 'standby')
  return [notice(text(change.field, 200) ?? 'unknown', change, origin)]
}

function readEntry(item: unknown, nowMs: number, into: EventList): void {
  const entry = record(item)
  const origin: Origin = { to: id(entry?.id, 255) ?? '', atMs: timeMs(entry?.time, nowMs), entryTime: entry?.time ?? null }
  const parts = [entry?.messaging, entry?.standby, entry?.changes]
  if (!parts.some((part) => Array.isArray(part))) return into.add(unreadable(item, origin))
  for (const event of list(entry?.messaging)) into.add(...readItem(event, origin, false))
  for (const event of list(entry?.standby)) into.add(...readItem(event, origin, true))
  for (const change of list(entry?.changes)) into.add(...readChange(change, origin))
}

/** All events of one webhook body, in the body's order. Throws AppError `invalid_request` when it is not Instagram's envelope or holds more than 1,000 events. */
export function normalise(body: unknown, nowMs: number): InboundEvent[] {
  const list = new EventList()
  for (const entry of metaEntries(body, 'instagram')) readEntry(entry, nowMs, list)
  return list.events
}
