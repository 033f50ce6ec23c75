import { z } from 'zod'
import { InboundContent } from './content.ts'

/** How one channel knows an outside person. Never assume a phone: WhatsApp user names come without one. */
export const IdentityKind = z.enum(['phone', 'wa_user_id', 'igsid', 'visitor', 'email', 'sip'])
export type IdentityKind = z.infer<typeof IdentityKind>
export const Identity = z.object({ kind: IdentityKind, value: z.string().min(1).max(255) })
export type Identity = z.infer<typeof Identity>

/** Who wrote: the strongest identity first (it names the conversation), aliases after it. */
export const Sender = z.object({
  identities: z.array(Identity).min(1).max(5),
  name: z.string().max(512).optional(),
  username: z.string().max(255).optional(),
  /** What they said of themselves in a form (web chat: before the chat). Fills the contact's fields where these are empty. */
  stated: z.record(z.string().max(64), z.string().max(512)).optional(),
})
export type Sender = z.infer<typeof Sender>

const base = {
  /** Our address at the supplier (WhatsApp `phone_number_id`, Instagram account id, our number id for web chat). */
  to: z.string().max(255),
  /** Supplier's time, Unix milliseconds; never used for order. */
  atMs: z.number().int(),
}

export const Referral = z.object({
  source: z.string().max(255),
  id: z.string().max(512).optional(),
  url: z.string().max(4096).optional(),
  headline: z.string().max(4096).optional(),
  data: z.record(z.string(), z.unknown()).optional(),
})

/** A message of a customer: the one event that waits in the number's FIFO queue and starts a turn. */
export const InboundMessage = z.object({
  kind: z.literal('message'),
  ...base,
  providerMessageId: z.string().min(1).max(512),
  from: Sender,
  content: InboundContent,
  /** Supplier's id of the quoted message. */
  replyTo: z.string().max(512).optional(),
  referral: Referral.optional(),
  forwarded: z.boolean().optional(),
  /** The supplier's own object when our words do not hold all of it (unknown types, order details, story data). */
  providerData: z.record(z.string(), z.unknown()).optional(),
})
export type InboundMessage = z.infer<typeof InboundMessage>

export const ReceiptStatus = z.enum(['sent', 'delivered', 'read', 'played', 'failed'])
export type ReceiptStatus = z.infer<typeof ReceiptStatus>

/** Delivery status of a message of ours. Names it by the supplier's id, or (Instagram, Messenger) by a watermark. */
export const Receipt = z.object({
  kind: z.literal('receipt'),
  ...base,
  providerMessageId: z.string().max(512).optional(),
  /** All our messages to `contact` up to this supplier time have this status. */
  watermarkMs: z.number().int().optional(),
  contact: Identity.optional(),
  status: ReceiptStatus,
  /** What we sent as `biz_opaque_callback_data`: reconciles an `unknown` outcome. */
  callbackData: z.string().max(512).optional(),
  error: z.object({ code: z.string().max(64), title: z.string().max(1024) }).optional(),
  pricing: z.record(z.string(), z.unknown()).optional(),
})
export type Receipt = z.infer<typeof Receipt>

/** Something we (or another app of the business) sent, told back by the supplier. */
export const Echo = z.object({
  kind: z.literal('echo'),
  ...base,
  providerMessageId: z.string().min(1).max(512),
  contact: Sender,
  content: InboundContent,
  callbackData: z.string().max(512).optional(),
})
export type Echo = z.infer<typeof Echo>

/** `emoji: null` takes the reaction back. */
export const Reaction = z.object({
  kind: z.literal('reaction'),
  ...base,
  eventId: z.string().min(1).max(512),
  from: Sender,
  targetMessageId: z.string().min(1).max(512),
  emoji: z.string().max(64).nullable(),
})
export type Reaction = z.infer<typeof Reaction>

/** The customer took a message back or changed it. History keeps what was. */
export const Revision = z.object({
  kind: z.literal('revision'),
  ...base,
  eventId: z.string().min(1).max(512),
  from: Sender,
  targetMessageId: z.string().min(1).max(512),
  change: z.discriminatedUnion('type', [z.object({ type: z.literal('deleted') }), z.object({ type: z.literal('edited'), content: InboundContent })]),
})
export type Revision = z.infer<typeof Revision>

/** WhatsApp `user_id_update`: the same person under a new id. */
export const IdentityChange = z.object({
  kind: z.literal('identity_change'),
  ...base,
  eventId: z.string().min(1).max(512),
  previous: Identity,
  current: Identity,
})
export type IdentityChange = z.infer<typeof IdentityChange>

/** Anything about our number itself (quality, template review, account restriction, opt-out): kept, shown, never lost. */
export const NumberNotice = z.object({
  kind: z.literal('notice'),
  ...base,
  eventId: z.string().min(1).max(512),
  topic: z.string().max(255),
  severity: z.enum(['info', 'warning', 'critical']),
  contact: Identity.optional(),
  data: z.record(z.string(), z.unknown()),
})
export type NumberNotice = z.infer<typeof NumberNotice>

export const InboundEvent = z.discriminatedUnion('kind', [InboundMessage, Receipt, Echo, Reaction, Revision, IdentityChange, NumberNotice])
export type InboundEvent = z.infer<typeof InboundEvent>

/** The key of a conversation on its number: `igsid:1784…`. The strongest identity decides; aliases are resolved by the contact graph. */
export function conversationKey(sender: Sender): string {
  const first = sender.identities[0]!
  return `${first.kind}:${first.value}`
}
