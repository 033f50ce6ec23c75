import type { InboundEvent, NumberNotice } from '@trunkline/core'
import { contentId, list, raw, record, text, timeMs, type Json } from '../json.ts'
import { changed, personOf } from './people.ts'

/** Everything that is not about a message: kept as notices, so that nothing the platform says about a number is lost. */

/** Where an event came from: its number (or account), and what the supplier said around it. */
export type Origin = { to: string; atMs: number; entryTime: unknown; nowMs: number }

type Severity = NumberNotice['severity']

/** Words in a notice that mean it needs a person; by field, looked up in the value's own status words. */
const SEVERITY: Record<string, { critical: RegExp; warning: RegExp; otherwise: Severity }> = {
  account_update: { critical: /DISABLED|VIOLATION|RESTRICTION|DELETED|BANNED/, warning: /REMOVED|OFFBOARDED|EXPIR/, otherwise: 'info' },
  account_alerts: { critical: /CRITICAL/, warning: /WARNING|DECREASED/, otherwise: 'info' },
  account_review_update: { critical: /REJECTED/, warning: /DEFERRED/, otherwise: 'info' },
  phone_number_quality_update: { critical: /^$/, warning: /FLAGGED(?<!UNFLAGGED)|DOWNGRADE/, otherwise: 'info' },
  phone_number_name_update: { critical: /^$/, warning: /REJECTED|DECLINED/, otherwise: 'info' },
  message_template_status_update: { critical: /^$/, warning: /REJECTED|DISABLED|PAUSED|FLAGGED|LOCKED|LIMIT|DELETION/, otherwise: 'info' },
  message_template_quality_update: { critical: /^$/, warning: /RED|YELLOW/, otherwise: 'info' },
  template_category_update: { critical: /^$/, warning: /^$/, otherwise: 'warning' },
  security: { critical: /^$/, warning: /^$/, otherwise: 'warning' },
  errors: { critical: /^$/, warning: /^$/, otherwise: 'warning' },
}

const STATUS_WORDS = ['event', 'decision', 'new_quality_score', 'alert_severity'] as const

function severityOf(topic: string, value: Json): Severity {
  const rule = Object.hasOwn(SEVERITY, topic) ? SEVERITY[topic]! : undefined
  if (!rule) return 'info'
  const words = STATUS_WORDS.map((field) => value[field] ?? record(value.alert_info)?.[field]).filter((word) => typeof word === 'string').join(' ')
  return words && rule.critical.test(words) ? 'critical' : words && rule.warning.test(words) ? 'warning' : rule.otherwise
}

type NoticeOptions = { eventId?: string; severity?: Severity; contact?: NumberNotice['contact']; atMs?: number }

/**
 * One notice. The supplier does not number these: the id is a digest of the content and of `entry.time`, so that a redelivery is known again
 * and the same news a month later is not taken for one.
 */
export function notice(topic: string, value: unknown, origin: Origin, options: NoticeOptions = {}): NumberNotice {
  const data = raw(value)
  return {
    kind: 'notice',
    to: origin.to,
    atMs: options.atMs ?? origin.atMs,
    eventId: options.eventId ?? contentId(topic, [origin.to, origin.entryTime, data]),
    topic,
    severity: options.severity ?? severityOf(topic, data),
    ...(options.contact && { contact: options.contact }),
    data,
  }
}

/** `user_preferences`: a person stops or resumes marketing messages (webhooks/reference/user_preferences, 21 May 2026). */
export function preferenceNotices(value: Json, origin: Origin): NumberNotice[] {
  return list(value.user_preferences).map((item) => {
    const preference = record(item)
    if (!preference) return notice('unreadable', item, origin, { severity: 'warning' })
    const topic = preference.value === 'stop' ? 'opt_out' : preference.value === 'resume' ? 'opt_in' : 'user_preferences'
    return notice(topic, preference, origin, { contact: personOf(preference), atMs: timeMs(preference.timestamp, origin.atMs) })
  })
}

/**
 * `user_id_update`: the same person under a new user id. Meta described it as a field of its own (March 2026) and corrected on 11 Aug 2026 that the
 * change comes as a system message (developers.facebook.com/documentation/business-messaging/whatsapp/changelog); partners still forward the field
 * (developer.8x8.com/connect/docs/whatsapp-business-scoped-user-ids). Both are read.
 */
export function userIdUpdates(value: Json, origin: Origin): InboundEvent[] {
  const updates = Array.isArray(value.user_id_update) ? value.user_id_update : [value.user_id_update ?? value]
  return updates.flatMap((item): InboundEvent[] => {
    const update = record(item)
    const events = update ? [...identityChanges(contentId('user_id_update', update), timeMs(update.timestamp, origin.atMs), origin.to, pairs(update))] : []
    return events.length > 0 ? events : [notice('user_id_update', item, origin)]
  })
}

type Pair = { previous: unknown; current: unknown; kind: 'wa_user_id' | 'phone' }

function pairs(update: Json): Pair[] {
  const user = record(update.user_id)
  const parent = record(update.parent_user_id)
  const phone = record(update.wa_id)
  return [
    { previous: user?.previous ?? update.previous_user_id, current: user?.current ?? update.current_user_id ?? update.user_id, kind: 'wa_user_id' },
    { previous: parent?.previous ?? update.previous_parent_user_id, current: parent?.current ?? update.parent_user_id, kind: 'wa_user_id' },
    { previous: phone?.previous, current: phone?.current, kind: 'phone' },
  ]
}

/** One event per identity that changed, each with its own stable id. */
function identityChanges(eventId: string, atMs: number, to: string, candidates: Pair[]): InboundEvent[] {
  const events: InboundEvent[] = []
  for (const { previous, current, kind } of candidates) {
    const change = changed(previous, current, kind)
    if (change) events.push({ kind: 'identity_change', to, atMs, eventId: events.length === 0 ? eventId : `${eventId}#${events.length + 1}`, ...change })
  }
  return events
}

/**
 * System messages (webhooks/reference/messages/system): `user_changed_number` (also `customer_changed_number` before v12) gives the new phone as `wa_id`
 * and, since 11 Aug 2026, the previous user ids; `user_changed_user_id` comes when no phone can be shared.
 */
export function systemEvents(message: Json, messageId: string, origin: Origin): InboundEvent[] {
  const system = record(message.system) ?? {}
  const events = identityChanges(messageId, origin.atMs, origin.to, [
    ...pairs({ ...system, wa_id: undefined }),
    { previous: message.from, current: system.wa_id ?? system.new_wa_id, kind: 'phone' },
  ])
  if (events.length > 0) return events
  const stopped = system.type === 'user_preference_changed' ? text(system.marketing, 32) : undefined
  const topic = stopped === 'stop' ? 'opt_out' : stopped === 'resume' ? 'opt_in' : 'system_message'
  return [notice(topic, message, origin, { eventId: messageId, contact: personOf(message) })]
}
