import type { InboundContent, InboundMessage } from '@trunkline/core'
import { id, list, raw, record, text, webUrl, type Json } from '../json.ts'

/** What one Instagram message says. Fields: developers.facebook.com/documentation/instagram-platform/webhooks/examples, …/instagram-messaging/features/* */

export type Referral = NonNullable<InboundMessage['referral']>
/** One message may carry several files: each becomes a message of its own. */
export type ReadPart = { content: InboundContent; referral?: Referral; keepRaw: boolean }

const TEXT_MAX = 65_536
const CAPTION_MAX = 4096

type FileKind = 'image' | 'video' | 'audio' | 'document'
const FILES: ReadonlyMap<unknown, FileKind> = new Map<unknown, FileKind>([
  ['image', 'image'],
  ['video', 'video'],
  ['audio', 'audio'],
  ['file', 'document'],
  // A heart sticker comes with the picture's address.
  ['like_heart', 'image'],
])

/** What people pass on: words for the reader, the address for who wants to look. `share` and `reel` are the older names of `ig_post` and `ig_reel` (changelog, 27 Apr 2026). */
const SHARES: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  ['share', 'shared post'],
  ['ig_post', 'shared post'],
  ['reel', 'shared reel'],
  ['ig_reel', 'shared reel'],
  ['ig_story', 'shared story'],
  ['story_mention', 'story mention'],
  ['fallback', 'shared link'],
])

function unsupported(rawType: string): ReadPart {
  return { content: { kind: 'unsupported', rawType }, keepRaw: true }
}

function readFile(kind: FileKind, payload: Json, caption: string | undefined): ReadPart | undefined {
  const url = webUrl(payload.url)
  const attachmentId = id(payload.attachment_id)
  if (!url && !attachmentId) return undefined
  const media = url ? { url } : { providerMediaId: attachmentId }
  const beside = caption && caption.length <= CAPTION_MAX ? { caption } : {}
  return { content: { kind, media, ...beside }, keepRaw: caption !== undefined && caption.length > CAPTION_MAX }
}

function readShare(type: string, words: string, payload: Json, caption: string | undefined): ReadPart {
  const url = webUrl(payload.url)
  const title = text(payload.title, CAPTION_MAX)
  const reference = id(payload.reel_video_id) ?? id(payload.ig_post_media_id) ?? id(payload.id)
  const referral: Referral = { source: type, ...(reference && { id: reference }), ...(url && { url }), ...(title && { headline: title }) }
  const shownText = caption ?? [`[${words}]`, title, url].filter(Boolean).join(' ')
  return { content: { kind: 'text', text: shownText }, referral, keepRaw: true }
}

function readAttachment(item: unknown, caption: string | undefined): ReadPart {
  const attachment = record(item)
  const payload = record(attachment?.payload) ?? {}
  const type = text(attachment?.type, 255) ?? 'attachment'
  const file = FILES.get(type)
  const words = SHARES.get(type)
  const part = file ? readFile(file, payload, caption) : words ? readShare(type, words, payload, caption) : undefined
  return part ?? unsupported(type)
}

function readQuickReply(message: Json): ReadPart | undefined {
  const reply = record(message.quick_reply)
  const payload = id(reply?.payload, 4096) ?? text(reply?.payload, 4096)
  if (!payload) return undefined
  return { content: { kind: 'choice', via: 'quick_reply', id: payload, title: text(message.text, 4096) ?? payload }, keepRaw: false }
}

const ATTACHMENTS_MAX = 30

/** Never empty: what does not fit is one `unsupported` part with the raw object kept. */
export function readParts(message: Json): ReadPart[] {
  const choice = readQuickReply(message)
  if (choice) return [choice]
  const body = text(message.text, TEXT_MAX)
  const attachments = list(message.attachments)
  const parts = attachments.slice(0, ATTACHMENTS_MAX).map((item, index) => readAttachment(item, index === 0 ? body : undefined))
  const hasBody = parts.some(({ content }) => ('caption' in content && content.caption === body) || (content.kind === 'text' && content.text === body))
  if (body !== undefined && !hasBody) parts.unshift({ content: { kind: 'text', text: body }, keepRaw: body !== message.text })
  if (parts.length > 0) return parts
  return [unsupported(message.is_unsupported === true ? 'unsupported' : 'empty')]
}

/** A button of a template, a persistent-menu item or an ice breaker. */
export function readPostback(postback: Json): InboundContent {
  const title = text(postback.title, 4096)
  const payload = text(postback.payload, 4096)
  if (!title && !payload) return { kind: 'unsupported', rawType: 'postback' }
  return { kind: 'choice', via: 'postback', id: payload ?? title!, title: title ?? payload! }
}

/** Where a conversation came from: an ad, a product, an ig.me link (webhooks, "messaging_referral"). */
export function readReferral(value: unknown): Referral | undefined {
  const referral = record(value)
  if (!referral) return undefined
  const ad = record(referral.ads_context_data)
  const reference = id(referral.ad_id) ?? id(referral.ref) ?? id(record(referral.product)?.id)
  const url = webUrl(referral.referer_uri) ?? webUrl(ad?.photo_url) ?? webUrl(ad?.video_url)
  const headline = text(ad?.ad_title, CAPTION_MAX)
  return { source: text(referral.source, 255) ?? 'referral', ...(reference && { id: reference }), ...(url && { url }), ...(headline && { headline }), data: raw(referral) }
}

/** `reply_to` names a message, or a story of ours that was answered. */
export function readReplyTo(message: Json): Pick<InboundMessage, 'replyTo' | 'referral'> {
  const replyTo = record(message.reply_to)
  const mid = id(replyTo?.mid)
  const story = record(replyTo?.story)
  const storyId = id(story?.id)
  const url = webUrl(story?.url)
  return { ...(mid && { replyTo: mid }), ...(story && { referral: { source: 'story_reply', ...(storyId && { id: storyId }), ...(url && { url }) } }) }
}
