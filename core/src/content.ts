import { z } from 'zod'

/** A file that belongs to a message. Exactly one of `providerMediaId`, `url`, `mediaId` says where it is now. */
export const MediaRef = z.object({
  /** The supplier's handle; WhatsApp keeps webhook media for 7 days. */
  providerMediaId: z.string().max(512).optional(),
  url: z.url().max(4096).optional(),
  /** Row of our `media` table, once stored. */
  mediaId: z.uuid().optional(),
  mimeType: z.string().max(255).optional(),
  sha256: z.string().max(128).optional(),
  sizeBytes: z.number().int().nonnegative().optional(),
  filename: z.string().max(1024).optional(),
})
export type MediaRef = z.infer<typeof MediaRef>

const Text = z.object({ kind: z.literal('text'), text: z.string().max(65_536) })
const mediaKind = <K extends string>(kind: K) =>
  z.object({ kind: z.literal(kind), media: MediaRef, caption: z.string().max(4096).optional() })
const Image = mediaKind('image')
const Video = mediaKind('video')
const Document = mediaKind('document')
const Sticker = mediaKind('sticker')
/** `voice` marks a voice note (recorded in the app) as against an audio file. */
const Audio = mediaKind('audio').extend({ voice: z.boolean().optional() })
const Location = z.object({
  kind: z.literal('location'),
  latitude: z.number().min(-90).max(90),
  longitude: z.number().min(-180).max(180),
  name: z.string().max(1024).optional(),
  address: z.string().max(1024).optional(),
})
export const ContactCard = z.object({
  name: z.string().max(512),
  phones: z.array(z.string().max(64)).max(20).default([]),
  emails: z.array(z.string().max(320)).max(20).default([]),
  organisation: z.string().max(512).optional(),
})
export type ContactCard = z.infer<typeof ContactCard>
const Contacts = z.object({ kind: z.literal('contacts'), contacts: z.array(ContactCard).max(257) })

/** What a customer picked: a button, a list row, a quick reply, a postback or a submitted form. */
const Choice = z.object({
  kind: z.literal('choice'),
  via: z.enum(['button', 'list', 'quick_reply', 'postback', 'form']),
  id: z.string().max(4096),
  title: z.string().max(4096),
  data: z.record(z.string(), z.unknown()).optional(),
})
const Order = z.object({
  kind: z.literal('order'),
  catalogId: z.string().max(255).optional(),
  text: z.string().max(4096).optional(),
  items: z.array(z.object({ productId: z.string().max(255), quantity: z.number(), price: z.number().optional(), currency: z.string().max(8).optional() })).max(1000),
})
/** A type we have no words for: kept raw beside the message, shown as a placeholder, never dropped. */
const Unsupported = z.object({ kind: z.literal('unsupported'), rawType: z.string().max(255), note: z.string().max(1024).optional() })

const Button = z.object({ id: z.string().min(1).max(256), title: z.string().min(1).max(255) })
const Buttons = z.object({ kind: z.literal('buttons'), text: z.string().min(1).max(65_536), buttons: z.array(Button).min(1).max(25) })
const List = z.object({
  kind: z.literal('list'),
  text: z.string().min(1).max(65_536),
  buttonLabel: z.string().min(1).max(255),
  sections: z
    .array(
      z.object({
        title: z.string().max(255).optional(),
        rows: z.array(Button.extend({ description: z.string().max(1024).optional() })).min(1).max(100),
      }),
    )
    .min(1)
    .max(10),
})
const Link = z.object({ kind: z.literal('link'), text: z.string().min(1).max(65_536), label: z.string().min(1).max(255), url: z.url().max(4096) })
const Cards = z.object({
  kind: z.literal('cards'),
  cards: z
    .array(
      z.object({
        title: z.string().min(1).max(255),
        text: z.string().max(1024).optional(),
        imageUrl: z.url().max(4096).optional(),
        buttons: z.array(Button.extend({ url: z.url().max(4096).optional() })).max(10).default([]),
      }),
    )
    .min(1)
    .max(10),
})
/** A pre-approved message; the only thing WhatsApp delivers outside the 24-hour window. */
const Template = z.object({
  kind: z.literal('template'),
  name: z.string().min(1).max(512),
  language: z.string().min(2).max(16),
  parameters: z.array(z.string().max(1024)).max(50).default([]),
})

/** What a customer may send us. */
export const InboundContent = z.discriminatedUnion('kind', [Text, Image, Video, Document, Sticker, Audio, Location, Contacts, Choice, Order, Unsupported])
export type InboundContent = z.infer<typeof InboundContent>

/** What we may send. A channel renders it natively or degrades it and says so. */
export const OutboundContent = z.discriminatedUnion('kind', [Text, Image, Video, Document, Sticker, Audio, Location, Contacts, Buttons, List, Link, Cards, Template])
export type OutboundContent = z.infer<typeof OutboundContent>

export const MessageContent = z.union([InboundContent, OutboundContent])
export type MessageContent = z.infer<typeof MessageContent>

const mediaWord: Record<string, string> = { image: 'image', video: 'video', document: 'document', sticker: 'sticker', audio: 'audio' }

/** Plain words for any content: what a model reads, a search finds and an archive prints. */
export function contentAsText(content: MessageContent): string {
  switch (content.kind) {
    case 'text':
      return content.text
    case 'image':
    case 'video':
    case 'document':
    case 'sticker':
    case 'audio':
      return [`[${mediaWord[content.kind]}${content.media.filename ? `: ${content.media.filename}` : ''}]`, content.caption].filter(Boolean).join(' ')
    case 'location':
      return `[location: ${[content.name, content.address, `${content.latitude},${content.longitude}`].filter(Boolean).join(', ')}]`
    case 'contacts':
      return content.contacts.map((card) => `[contact: ${[card.name, ...card.phones, ...card.emails].join(', ')}]`).join(' ')
    case 'choice':
      return content.data ? `${content.title} ${JSON.stringify(content.data)}`.trim() : content.title
    case 'order':
      return `[order: ${content.items.map((item) => `${item.quantity} x ${item.productId}`).join(', ')}]${content.text ? ` ${content.text}` : ''}`
    case 'buttons':
      return `${content.text}\n${content.buttons.map((button) => `- ${button.title}`).join('\n')}`
    case 'list':
      return `${content.text}\n${content.sections.flatMap((section) => section.rows.map((row) => `- ${row.title}`)).join('\n')}`
    case 'link':
      return `${content.text}\n${content.label}: ${content.url}`
    case 'cards':
      return content.cards.map((card) => [card.title, card.text].filter(Boolean).join(': ')).join('\n')
    case 'template':
      return `[template ${content.name}: ${content.parameters.join(', ')}]`
    case 'unsupported':
      return `[unsupported message: ${content.rawType}]`
  }
}
