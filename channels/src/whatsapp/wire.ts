import type { CloudAPIErrorResponse, CloudAPIResponse } from '@whatsapp-cloudapi/types/cloudapi'
import { z } from 'zod'
import { GraphVersion } from '../meta.ts'

/** Settings of a WhatsApp number and the exact requests the Cloud API accepts. Limits: developers.facebook.com/documentation/business-messaging/whatsapp/messages/* */

export const LIMITS = {
  text: 4096,
  caption: 1024,
  interactiveBody: 1024,
  listBody: 4096,
  buttons: 3,
  buttonTitle: 20,
  buttonId: 256,
  listRows: 10,
  listSections: 10,
  listLabel: 20,
  rowTitle: 24,
  rowDescription: 72,
  rowId: 200,
  sectionTitle: 24,
  cards: 10,
  cardBody: 160,
  cardLineBreaks: 2,
  cardButtons: 2,
  url: 2000,
  filename: 240,
  place: 1000,
  contacts: 257,
  callbackData: 512,
} as const

export const Settings = z.object({
  graph_version: GraphVersion,
  /** Shown to people; the address of a number is its `phone_number_id`. */
  display_phone_number: z.string().max(32).optional(),
  business_account_id: z.string().max(64).optional(),
})
export type Settings = z.infer<typeof Settings>

const wellFormed = (value: string) => value.isWellFormed()
/** Text a reader can see: not empty, not only white space, no half characters. */
const shown = (max: number) => z.string().max(max).refine((value) => value.trim().length > 0 && wellFormed(value), 'Must have visible text')
const link = z.url({ protocol: /^https?$/ }).max(LIMITS.url)
const media = z.union([z.strictObject({ id: z.string().min(1) }), z.strictObject({ link })])
const captioned = (extra: z.ZodRawShape = {}) =>
  z.union([
    z.strictObject({ id: z.string().min(1), caption: shown(LIMITS.caption).optional(), ...extra }),
    z.strictObject({ link, caption: shown(LIMITS.caption).optional(), ...extra }),
  ])

const voiceable = z.union([
  z.strictObject({ id: z.string().min(1), voice: z.boolean().optional() }),
  z.strictObject({ link, voice: z.boolean().optional() }),
])

const unique = <T>(items: T[], key: (item: T) => string) => new Set(items.map(key)).size === items.length
const ReplyButton = z.strictObject({ type: z.literal('reply'), reply: z.strictObject({ id: shown(LIMITS.buttonId), title: shown(LIMITS.buttonTitle) }) })
const ReplyButtons = z
  .array(ReplyButton)
  .min(1)
  .max(LIMITS.buttons)
  .refine((buttons) => unique(buttons, (button) => button.reply.id) && unique(buttons, (button) => button.reply.title), 'Ids and titles must differ')
const ImageHeader = z.strictObject({ type: z.literal('image'), image: media })
const body = (max: number) => z.strictObject({ text: shown(max) })
const CtaAction = z.strictObject({
  name: z.literal('cta_url'),
  parameters: z.strictObject({ display_text: shown(LIMITS.buttonTitle), url: link }),
})
const Row = z.strictObject({
  id: shown(LIMITS.rowId),
  title: shown(LIMITS.rowTitle),
  description: shown(LIMITS.rowDescription).optional(),
})
const Sections = z
  .array(z.strictObject({ title: shown(LIMITS.sectionTitle).optional(), rows: z.array(Row).min(1) }))
  .min(1)
  .max(LIMITS.listSections)
  .refine((sections) => sections.length === 1 || sections.every((section) => section.title), 'Several sections need titles')
  .refine((sections) => sections.flatMap((section) => section.rows).length <= LIMITS.listRows, 'At most 10 rows in all')
  .refine((sections) => unique(sections.flatMap((section) => section.rows), (row) => row.id), 'Row ids must differ')

/** One card; `type` is there for both kinds of button in Meta's own syntax (interactive-media-carousel-messages, 22 Dec 2025). */
const Card = z.strictObject({
  card_index: z.number().int().min(0).max(LIMITS.cards - 1),
  type: z.literal('cta_url'),
  header: ImageHeader,
  body: body(LIMITS.cardBody).refine(({ text }) => text.split('\n').length <= LIMITS.cardLineBreaks + 1, 'At most two line breaks').optional(),
  action: z.union([
    CtaAction,
    z.strictObject({
      buttons: z
        .array(z.strictObject({ type: z.literal('quick_reply'), quick_reply: z.strictObject({ id: shown(LIMITS.buttonId), title: shown(LIMITS.buttonTitle) }) }))
        .min(1)
        .max(LIMITS.cardButtons),
    }),
  ]),
})
const buttonCount = (card: z.infer<typeof Card>) => ('buttons' in card.action ? card.action.buttons.length : 0)
const Cards = z
  .array(Card)
  .min(2)
  .max(LIMITS.cards)
  .refine((cards) => cards.every((card) => buttonCount(card) === buttonCount(cards[0]!)), 'All cards need the same buttons')

const Interactive = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('button'), header: ImageHeader.optional(), body: body(LIMITS.interactiveBody), action: z.strictObject({ buttons: ReplyButtons }) }),
  z.strictObject({ type: z.literal('list'), body: body(LIMITS.listBody), action: z.strictObject({ button: shown(LIMITS.listLabel), sections: Sections }) }),
  z.strictObject({ type: z.literal('cta_url'), header: ImageHeader.optional(), body: body(LIMITS.interactiveBody), action: CtaAction }),
  z.strictObject({ type: z.literal('carousel'), body: body(LIMITS.interactiveBody), action: z.strictObject({ cards: Cards }) }),
])

const ContactCard = z.strictObject({
  name: z.strictObject({ formatted_name: shown(512), first_name: shown(512) }),
  phones: z.array(z.strictObject({ phone: shown(64) })).optional(),
  emails: z.array(z.strictObject({ email: shown(320) })).optional(),
  org: z.strictObject({ company: shown(512) }).optional(),
})

/** A template's text parameter may hold no line breaks, tabs or more than four spaces in a row (error 132018). */
const TemplateText = shown(1024).refine((value) => !/[\n\r\t]| {5}/.test(value), 'No line breaks, tabs or long gaps')
const Template = z.strictObject({
  name: z.string().min(1).max(512),
  language: z.strictObject({ code: z.string().min(2).max(16) }),
  components: z
    .array(z.strictObject({ type: z.literal('body'), parameters: z.array(z.strictObject({ type: z.literal('text'), text: TemplateText })).min(1) }))
    .optional(),
})

const base = {
  messaging_product: z.literal('whatsapp'),
  recipient_type: z.literal('individual'),
  /** Digits of the phone number. */
  to: z.string().regex(/^\d{5,20}$/).optional(),
  /** Business-scoped user id, instead of `to` (business-scoped-user-ids, upd. 28 May 2026). */
  recipient: z.string().regex(/^[A-Z]{2}\.[A-Za-z0-9.]{1,132}$/).optional(),
  context: z.strictObject({ message_id: z.string().min(1).max(512) }).optional(),
  biz_opaque_callback_data: z.string().min(1).max(LIMITS.callbackData).optional(),
}

/** The body of `POST /{version}/{phone_number_id}/messages` for everything we send. Strict: what passes here is what the platform accepts. */
export const SendRequest = z
  .discriminatedUnion('type', [
    z.strictObject({ ...base, type: z.literal('text'), text: z.strictObject({ body: shown(LIMITS.text), preview_url: z.boolean().optional() }) }),
    z.strictObject({ ...base, type: z.literal('image'), image: captioned() }),
    z.strictObject({ ...base, type: z.literal('video'), video: captioned() }),
    z.strictObject({ ...base, type: z.literal('document'), document: captioned({ filename: shown(LIMITS.filename).optional() }) }),
    z.strictObject({ ...base, type: z.literal('audio'), audio: voiceable }),
    z.strictObject({ ...base, type: z.literal('sticker'), sticker: media }),
    z.strictObject({
      ...base,
      type: z.literal('location'),
      location: z.strictObject({ latitude: z.number().min(-90).max(90), longitude: z.number().min(-180).max(180), name: shown(LIMITS.place).optional(), address: shown(LIMITS.place).optional() }),
    }),
    z.strictObject({ ...base, type: z.literal('contacts'), contacts: z.array(ContactCard).min(1).max(LIMITS.contacts) }),
    z.strictObject({ ...base, type: z.literal('interactive'), interactive: Interactive }),
    z.strictObject({ ...base, type: z.literal('template'), template: Template }),
  ])
  .refine((request) => (request.to === undefined) !== (request.recipient === undefined), 'Exactly one of to and recipient')
export type SendRequest = z.infer<typeof SendRequest>

/** What the platform answers, for tests and for whoever plays it. */
export type SendResponse = CloudAPIResponse
export type ErrorResponse = CloudAPIErrorResponse
