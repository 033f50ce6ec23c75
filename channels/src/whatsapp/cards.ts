import type { OutboundContent } from '@trunkline/core'
import { webUrl, type Json } from '../json.ts'
import { allDiffer, allFit, cardAsText, isBlank, numbered } from '../rendering.ts'
import { shorten } from '../text.ts'
import { linkButton, replyButtons } from './parts.ts'
import type { Sheet } from './sheet.ts'
import { LIMITS } from './wire.ts'

/**
 * Cards. A native carousel is strict: 2 to 10 cards, an image on each, at most 160 characters and two line breaks, and on every card either one link or
 * the same number of quick replies (developers.facebook.com/documentation/business-messaging/whatsapp/messages/interactive-media-carousel-messages).
 * What does not fit becomes one bubble per card.
 */

type Card = Extract<OutboundContent, { kind: 'cards' }>['cards'][number]

function words(card: Card): string {
  const title = card.title.trim()
  return [title && `*${title}*`, card.text?.trim()].filter(Boolean).join('\n')
}

function imageOf(card: Card): string | undefined {
  const url = webUrl(card.imageUrl)
  return url && url.length <= LIMITS.url ? url : undefined
}

function cardAction(card: Card): Json | null {
  const [first] = card.buttons
  if (card.buttons.length === 1 && first?.url) return linkButton(first.title, first.url)
  const isReplies = card.buttons.length >= 1 && card.buttons.length <= LIMITS.cardButtons && card.buttons.every((button) => !button.url)
  if (!isReplies || !allFit(card.buttons.map((button) => button.title), LIMITS.buttonTitle) || !allFit(card.buttons.map((button) => button.id), LIMITS.buttonId)) return null
  return { buttons: card.buttons.map(({ id, title }) => ({ type: 'quick_reply', quick_reply: { id, title } })) }
}

function carouselCard(card: Card, index: number): Json | null {
  const image = imageOf(card)
  const action = cardAction(card)
  const body = words(card)
  if (!image || !action || body === '' || body.length > LIMITS.cardBody || body.split('\n').length > LIMITS.cardLineBreaks + 1) return null
  return { card_index: index, type: 'cta_url', header: { type: 'image', image: { link: image } }, body: { text: body }, action }
}

/** All cards in the platform's form, or null when one does not fit or they differ in their buttons. */
function carousel(cards: Card[]): Json[] | null {
  if (cards.length < 2 || cards.length > LIMITS.cards) return null
  const kinds = new Set(cards.map((card) => (card.buttons[0]?.url ? 'link' : card.buttons.length)))
  const rendered = cards.map(carouselCard).filter((card) => card !== null)
  return kinds.size === 1 && rendered.length === cards.length ? rendered : null
}

/** One card as a bubble of its own: picture, words, and as many of its buttons as one bubble can hold. */
function renderBubble(card: Card, sheet: Sheet): void {
  const image = imageOf(card)
  const header = image ? { header: { type: 'image', image: { link: image } } } : {}
  const [only] = card.buttons
  const link = card.buttons.length === 1 && only?.url ? linkButton(only.title, only.url) : null
  if (link) return sheet.interactive('cards', { type: 'cta_url', ...header, body: { text: sheet.body(words(card), LIMITS.interactiveBody) }, action: link }, cardAsText(card))
  const replies = card.buttons.filter((button) => !button.url)
  const linkLines = card.buttons.filter((button) => button.url).map((button) => `${button.title}: ${button.url}`)
  const text = [words(card), ...linkLines].join('\n')
  if (replies.length > 0 && areButtons(replies)) {
    return sheet.interactive('cards', { type: 'button', ...header, body: { text: sheet.body(text, LIMITS.interactiveBody) }, action: { buttons: replyButtons(replies) } }, numbered(text, replies.map((reply) => reply.title)))
  }
  renderPlainBubble(numbered(text, replies.map((reply) => reply.title)), image, sheet)
}

function areButtons(replies: Card['buttons']): boolean {
  const titles = replies.map((reply) => reply.title)
  const ids = replies.map((reply) => reply.id)
  return replies.length <= LIMITS.buttons && allFit(titles, LIMITS.buttonTitle) && allFit(ids, LIMITS.buttonId) && allDiffer(titles) && allDiffer(ids)
}

function renderPlainBubble(text: string, image: string | undefined, sheet: Sheet): void {
  if (!image) return sheet.text(text)
  const caption = text.trim().length <= LIMITS.caption && !isBlank(text) ? text.trim() : undefined
  sheet.send('image', { type: 'image', image: { link: image, ...(caption && { caption }) } }, caption ?? '[image]')
  if (!caption) sheet.text(text)
}

export function renderCards(content: Extract<OutboundContent, { kind: 'cards' }>, sheet: Sheet): void {
  const cards = carousel(content.cards)
  if (cards) {
    // The platform demands a text above the cards and we have none: their titles say what is to be seen.
    const body = shorten(content.cards.map((card) => card.title.trim()).join(' · '), LIMITS.interactiveBody, 'characters')
    return sheet.interactive('cards', { type: 'carousel', body: { text: body }, action: { cards } }, content.cards.map(cardAsText).join('\n\n'))
  }
  if (content.cards.length > 1) sheet.degrade('cards', `${content.cards.length} messages`, 'a WhatsApp carousel needs 2 to 10 cards with a picture, short text and the same buttons')
  for (const card of content.cards) renderBubble(card, sheet)
}
