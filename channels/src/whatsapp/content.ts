import type { InboundContent, InboundMessage } from '@trunkline/core'
import { id, list, number, raw, record, text, type Json } from '../json.ts'

/** What one WhatsApp message object says. Fields: developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/* */

/** `keepRaw` says that our words do not hold all of the platform's object. */
export type ReadContent = { content: InboundContent; keepRaw: boolean }

const TEXT_MAX = 65_536
const CAPTION_MAX = 4096

const whole = (content: InboundContent): ReadContent => ({ content, keepRaw: false })
const partly = (content: InboundContent): ReadContent => ({ content, keepRaw: true })

function unsupported(rawType: string, note?: string): ReadContent {
  return partly({ kind: 'unsupported', rawType, ...(note ? { note } : {}) })
}

function readText(message: Json): ReadContent | undefined {
  const given = record(message.text)?.body
  const body = text(given, TEXT_MAX)
  return body === undefined ? undefined : { content: { kind: 'text', text: body }, keepRaw: body !== given }
}

function mediaRef(part: Json) {
  const providerMediaId = id(part.id)
  if (!providerMediaId) return undefined
  const mimeType = text(part.mime_type, 255)
  const sha256 = text(part.sha256, 128)
  const filename = text(part.filename, 1024)
  return { providerMediaId, ...(mimeType && { mimeType }), ...(sha256 && { sha256 }), ...(filename && { filename }) }
}

/** The address that some webhooks carry beside the id lives minutes; the id is what we keep. */
function readMedia(kind: 'image' | 'video' | 'document' | 'sticker', part: Json | undefined): ReadContent | undefined {
  const media = part && mediaRef(part)
  if (!media) return undefined
  const caption = text(part.caption, CAPTION_MAX)
  return whole({ kind, media, ...(caption && { caption }) })
}

function readAudio(part: Json | undefined, isVoice: boolean): ReadContent | undefined {
  const media = part && mediaRef(part)
  if (!media) return undefined
  const voice = isVoice || part.voice === true
  return whole({ kind: 'audio', media, ...(voice && { voice }) })
}

function readLocation(message: Json): ReadContent | undefined {
  const part = record(message.location)
  const latitude = number(part?.latitude)
  const longitude = number(part?.longitude)
  if (latitude === undefined || longitude === undefined || Math.abs(latitude) > 90 || Math.abs(longitude) > 180) return undefined
  const name = text(part?.name, 1024)
  const address = text(part?.address, 1024)
  return { content: { kind: 'location', latitude, longitude, ...(name && { name }), ...(address && { address }) }, keepRaw: part?.url !== undefined }
}

const CARD_LINES_MAX = 20
const CARDS_MAX = 257

function cardLines(value: unknown, field: string, max: number): string[] {
  const lines = list(value).map((item) => text(record(item)?.[field], max))
  return lines.filter((line) => line !== undefined).slice(0, CARD_LINES_MAX)
}

function readCard(value: unknown) {
  const card = record(value)
  const name = record(card?.name)
  const phones = cardLines(card?.phones, 'phone', 64)
  const shownName = text(name?.formatted_name, 512) ?? text(name?.first_name, 512) ?? phones[0] ?? 'Contact'
  const organisation = text(record(card?.org)?.company, 512)
  return { name: shownName, phones, emails: cardLines(card?.emails, 'email', 320), ...(organisation && { organisation }) }
}

/** Addresses, birthdays and vCards stay in the raw object. */
function readContacts(message: Json): ReadContent | undefined {
  const cards = list(message.contacts)
  return cards.length === 0 ? undefined : partly({ kind: 'contacts', contacts: cards.slice(0, CARDS_MAX).map(readCard) })
}

function parseForm(json: unknown): Json | undefined {
  if (typeof json !== 'string' || json.length > TEXT_MAX) return undefined
  try {
    const parsed = record(JSON.parse(json))
    return parsed && raw(parsed)
  } catch {
    return undefined
  }
}

function readForm(reply: Json): ReadContent | undefined {
  const data = parseForm(reply.response_json)
  const name = text(reply.name, 4096) ?? 'flow'
  const choice = { kind: 'choice', via: 'form', id: name, title: text(reply.body, 4096) ?? name, ...(data && { data }) } as const
  return { content: choice, keepRaw: data === undefined }
}

function readReply(reply: Json | undefined, via: 'button' | 'list'): ReadContent | undefined {
  const choiceId = id(reply?.id, 4096)
  const title = text(reply?.title, 4096)
  if (choiceId === undefined && title === undefined) return undefined
  return { content: { kind: 'choice', via, id: choiceId ?? title!, title: title ?? choiceId! }, keepRaw: reply?.description !== undefined }
}

function readInteractive(message: Json): ReadContent | undefined {
  const part = record(message.interactive)
  if (part?.type === 'button_reply') return readReply(record(part.button_reply), 'button')
  if (part?.type === 'list_reply') return readReply(record(part.list_reply), 'list')
  const form = part?.type === 'nfm_reply' ? record(part.nfm_reply) : undefined
  if (form) return readForm(form)
  const type = text(part?.type, 200)
  return type ? unsupported(`interactive.${type}`) : undefined
}

/** A quick-reply button of a template. */
function readButton(message: Json): ReadContent | undefined {
  const part = record(message.button)
  return readReply({ id: part?.payload, title: part?.text }, 'button')
}

function readOrderItem(value: unknown) {
  const item = record(value)
  const productId = id(item?.product_retailer_id, 255)
  const quantity = number(item?.quantity)
  if (productId === undefined || quantity === undefined) return undefined
  const price = number(item?.item_price)
  const currency = text(item?.currency, 8)
  return { productId, quantity, ...(price !== undefined && { price }), ...(currency && { currency }) }
}

const ORDER_ITEMS_MAX = 1000

function readOrder(message: Json): ReadContent | undefined {
  const part = record(message.order)
  const given = list(part?.product_items)
  const items = given.slice(0, ORDER_ITEMS_MAX).map(readOrderItem).filter((item) => item !== undefined)
  if (items.length === 0) return undefined
  const catalogId = id(part?.catalog_id, 255)
  const note = text(part?.text, 4096)
  return { content: { kind: 'order', items, ...(catalogId && { catalogId }), ...(note && { text: note }) }, keepRaw: items.length < given.length }
}

function readUnsupported(message: Json): ReadContent {
  const error = record(list(message.errors)[0])
  const note = text(record(error?.error_data)?.details, 1024) ?? text(error?.details, 1024) ?? text(error?.title, 1024)
  // Since v24.0 the object names what the person sent (webhooks/reference/messages/unsupported).
  return unsupported(text(record(message.unsupported)?.type, 255) ?? text(message.type, 255) ?? 'unknown', note)
}

function readByType(message: Json): ReadContent | undefined {
  switch (message.type) {
    case 'text':
      return readText(message)
    case 'image':
    case 'video':
    case 'document':
    case 'sticker':
      return readMedia(message.type, record(message[message.type]))
    case 'audio':
      return readAudio(record(message.audio), false)
    case 'voice':
      return readAudio(record(message.voice) ?? record(message.audio), true)
    case 'location':
      return readLocation(message)
    case 'contacts':
      return readContacts(message)
    case 'interactive':
      return readInteractive(message)
    case 'button':
      return readButton(message)
    case 'order':
      return readOrder(message)
    default:
      return undefined
  }
}

/** Never fails: what does not fit its type is `unsupported`, with the raw object kept. */
export function readContent(message: Json): ReadContent {
  return readByType(message) ?? readUnsupported(message)
}

type Context = Pick<InboundMessage, 'replyTo' | 'forwarded' | 'referral'>

function adReferral(referral: Json): Context['referral'] {
  const reference = id(referral.source_id)
  const url = text(referral.source_url, 4096)
  const headline = text(referral.headline, 4096)
  const source = text(referral.source_type, 255) ?? 'ad'
  return { source, ...(reference && { id: reference }), ...(url && { url }), ...(headline && { headline }), data: raw(referral) }
}

/** Quote, forward mark, product asked about and the ad that led here. */
export function readContext(message: Json): Context {
  const context = record(message.context)
  const referral = record(message.referral)
  if (!context && !referral) return {}
  const replyTo = id(context?.id)
  const forwarded = context?.forwarded === true || context?.frequently_forwarded === true
  const product = record(context?.referred_product)
  const productId = id(product?.product_retailer_id)
  const source = referral ? adReferral(referral) : product ? { source: 'product', ...(productId && { id: productId }), data: raw(product) } : undefined
  return { ...(replyTo && { replyTo }), ...(forwarded && { forwarded }), ...(source && { referral: source }) }
}
