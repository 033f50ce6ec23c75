import type { Identity, Sender } from '@trunkline/core'
import { id, record, text, type Json } from '../json.ts'

/**
 * Who is meant. A WhatsApp user may come with a phone number, a business-scoped user id (BSUID), or both; the number is withheld from
 * businesses once a person takes a user name (developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids).
 * A BSUID is two letters of country, a dot and up to 128 characters, with `ENT.` between for a parent id: `US.13491208655302741918`.
 */

const BSUID = /^[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}$/
const PHONE = /^\+?\d{5,20}$/

/** Any of the two by its form: `from` and `recipient_id` have carried both. */
function identityOf(value: unknown): Identity | undefined {
  const given = id(value, 255)
  if (given === undefined) return undefined
  if (PHONE.test(given)) return { kind: 'phone', value: given.startsWith('+') ? given : `+${given}` }
  return { kind: 'wa_user_id', value: given }
}

/** Only a value in the form of a BSUID; a field meant for one never becomes a phone number. */
function userId(value: unknown): Identity | undefined {
  const given = id(value, 255)
  return given !== undefined && BSUID.test(given) ? { kind: 'wa_user_id', value: given } : undefined
}

/** The strongest first: user id, phone, then the parent id that linked portfolios share. Without repeats. */
export function identities(fields: { userId?: unknown; phone?: unknown; parentUserId?: unknown }): Identity[] {
  const found: Identity[] = []
  for (const identity of [userId(fields.userId), identityOf(fields.phone), userId(fields.parentUserId)]) {
    if (identity && !found.some(({ value }) => value === identity.value)) found.push(identity)
  }
  return found
}

/** The entry of `contacts[]` that belongs to a message. A user's id and phone number need not be equal (webhooks/reference/messages/text), so a single entry is taken as it is. */
function contactFor(contacts: unknown[], from: unknown, fromUserId: unknown): Json | undefined {
  if (contacts.length === 1) return record(contacts[0])
  for (const item of contacts) {
    const contact = record(item)
    if (!contact) continue
    if (from !== undefined && contact.wa_id === from) return contact
    if (fromUserId !== undefined && contact.user_id === fromUserId) return contact
  }
  return undefined
}

function named(found: Identity[], contact: Json | undefined): Sender | undefined {
  if (found.length === 0) return undefined
  const profile = record(contact?.profile)
  const name = text(profile?.name, 512)
  const username = text(profile?.username, 255) ?? text(contact?.username, 255)
  return { identities: found, ...(name && { name }), ...(username && { username }) }
}

/** Sender of an inbound message; undefined when nothing says who it was. */
export function senderOf(message: Json, contacts: unknown[]): Sender | undefined {
  const contact = contactFor(contacts, message.from, message.from_user_id)
  return named(
    identities({
      userId: message.from_user_id ?? message.user_id ?? contact?.user_id,
      phone: message.from ?? contact?.wa_id,
      parentUserId: message.from_parent_user_id ?? contact?.parent_user_id,
    }),
    contact,
  )
}

/** The person a message of the business went to. */
export function recipientOf(message: Json, contacts: unknown[]): Sender | undefined {
  const contact = contactFor(contacts, message.to, message.to_user_id)
  return named(
    identities({
      userId: message.to_user_id ?? contact?.user_id,
      phone: message.to ?? contact?.wa_id,
      parentUserId: message.to_parent_user_id ?? contact?.parent_user_id,
    }),
    contact,
  )
}

/** The person a status is about; the strongest identity only. */
export function statusContact(status: Json): Identity | undefined {
  return identities({ userId: status.recipient_user_id ?? status.user_id, phone: status.recipient_id, parentUserId: status.recipient_parent_user_id })[0]
}

/** The person any other object is about (`wa_id`, `user_id`). */
export function personOf(value: Json): Identity | undefined {
  return identities({ userId: value.user_id, phone: value.wa_id ?? value.from, parentUserId: value.parent_user_id })[0]
}

/** Two values of one kind that differ: a change of identity. */
export function changed(previous: unknown, current: unknown, kind: Identity['kind']): { previous: Identity; current: Identity } | undefined {
  const before = identityOf(previous)
  const after = identityOf(current)
  if (!before || !after || before.kind !== kind || after.kind !== kind || before.value === after.value) return undefined
  return { previous: before, current: after }
}
