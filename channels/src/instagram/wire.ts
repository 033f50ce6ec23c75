import { z } from 'zod'
import { GraphVersion } from '../meta.ts'

/** Settings of an Instagram account and the exact requests its Send API accepts. Limits: developers.facebook.com/documentation/business-messaging/instagram-messaging/* */

export const LIMITS = {
  /** Bytes of UTF-8, not characters. */
  textBytes: 1000,
  quickReplies: 13,
  title: 20,
  payload: 1000,
  templateButtons: 3,
  buttonText: 640,
  elements: 10,
  elementTitle: 80,
  subtitle: 80,
  url: 2000,
  metadata: 1000,
} as const

export const Settings = z.object({
  graph_version: GraphVersion,
  username: z.string().max(64).optional(),
  /** Marks what we send, to know it again in its echo. Documented for Messenger; off for an API that refuses it. */
  echo_metadata: z.boolean().default(true),
})
export type Settings = z.infer<typeof Settings>

const isVisible = (value: string) => value.trim().length > 0 && value.isWellFormed()
const shown = (max: number) => z.string().max(max).refine(isVisible, 'Must have visible text')
const shownBytes = (max: number) =>
  z.string().refine((value) => Buffer.byteLength(value) <= max, `At most ${max} bytes`).refine(isVisible, 'Must have visible text')
const link = z.url({ protocol: /^https?$/ }).max(LIMITS.url)

const Button = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('web_url'), url: link, title: shown(LIMITS.title) }),
  z.strictObject({ type: z.literal('postback'), payload: shown(LIMITS.payload), title: shown(LIMITS.title) }),
])
const Buttons = z.array(Button).min(1).max(LIMITS.templateButtons)
/** A title alone is refused: an element needs at least one more property (generic-template, 2026). */
const Element = z
  .strictObject({ title: shown(LIMITS.elementTitle), subtitle: shown(LIMITS.subtitle).optional(), image_url: link.optional(), buttons: Buttons.optional() })
  .refine((element) => element.subtitle ?? element.image_url ?? element.buttons, 'Needs more than a title')

const Template = z.discriminatedUnion('template_type', [
  z.strictObject({ template_type: z.literal('button'), text: shown(LIMITS.buttonText), buttons: Buttons }),
  z.strictObject({ template_type: z.literal('generic'), elements: z.array(Element).min(1).max(LIMITS.elements) }),
])

const file = z.union([z.strictObject({ url: link }), z.strictObject({ attachment_id: z.string().min(1) })])
const Attachment = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('image'), payload: file }),
  z.strictObject({ type: z.literal('video'), payload: file }),
  z.strictObject({ type: z.literal('audio'), payload: file }),
  z.strictObject({ type: z.literal('file'), payload: file }),
  z.strictObject({ type: z.literal('template'), payload: Template }),
])

const QuickReply = z.strictObject({ content_type: z.literal('text'), title: shown(LIMITS.title), payload: shown(LIMITS.payload) })
const metadata = z.string().min(1).max(LIMITS.metadata).optional()
const Message = z.union([
  z.strictObject({ text: shownBytes(LIMITS.textBytes), quick_replies: z.array(QuickReply).min(1).max(LIMITS.quickReplies).optional(), metadata }),
  z.strictObject({ attachment: Attachment, metadata }),
])

/** The body of `POST /{version}/{ig_id}/messages` for everything we send. Strict: what passes here is what the platform accepts. */
export const SendRequest = z.strictObject({
  recipient: z.strictObject({ id: z.string().regex(/^[\w.-]{1,255}$/) }),
  messaging_type: z.literal('RESPONSE'),
  message: Message,
  reply_to: z.strictObject({ mid: z.string().min(1).max(512) }).optional(),
})
export type SendRequest = z.infer<typeof SendRequest>

/** `typing_on` and `mark_seen` go to the same path without a message (sender-actions). */
export const SenderAction = z.strictObject({
  recipient: z.strictObject({ id: z.string().min(1) }),
  sender_action: z.enum(['typing_on', 'typing_off', 'mark_seen']),
})
