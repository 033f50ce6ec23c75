import type { OutboundContent } from '@trunkline/core'
import { webUrl, type Json } from '../json.ts'
import { allDiffer, allFit, cardAsText, isBlank, numbered } from '../rendering.ts'
import type { Sheet } from './sheet.ts'
import { LIMITS } from './wire.ts'

/** Cards: a generic template where all of them fit (80 characters a line, three buttons), else a bubble for each (instagram-messaging/features/generic-template). */

type Card = Extract<OutboundContent, { kind: 'cards' }>['cards'][number]

const usableUrl = (given: string | undefined): string | undefined => {
  const url = webUrl(given)
  return url && url.length <= LIMITS.url ? url : undefined
}

function buttonPayload(button: Card['buttons'][number]): Json | null {
  if (!allFit([button.title], LIMITS.title)) return null
  if (!button.url) return allFit([button.id], LIMITS.payload) ? { type: 'postback', payload: button.id, title: button.title } : null
  const url = usableUrl(button.url)
  return url ? { type: 'web_url', url, title: button.title } : null
}

function element(card: Card): Json | null {
  const buttons = card.buttons.map(buttonPayload).filter((button) => button !== null)
  const image = usableUrl(card.imageUrl)
  const subtitle = card.text && !isBlank(card.text) ? card.text : undefined
  const fits = allFit([card.title], LIMITS.elementTitle) && (!subtitle || subtitle.length <= LIMITS.subtitle) && (!card.imageUrl || image)
  const isWhole = fits && buttons.length === card.buttons.length && buttons.length <= LIMITS.templateButtons
  if (!isWhole || !(subtitle || image || buttons.length > 0)) return null
  return { title: card.title, ...(subtitle && { subtitle }), ...(image && { image_url: image }), ...(buttons.length > 0 && { buttons }) }
}

function renderBubble(card: Card, sheet: Sheet): void {
  const image = usableUrl(card.imageUrl)
  if (image) sheet.send('image', { attachment: { type: 'image', payload: { url: image } } }, '[image]')
  const replies = card.buttons.filter((button) => !button.url)
  const titles = replies.map((reply) => reply.title)
  const fits = replies.length > 0 && replies.length <= LIMITS.quickReplies && allFit(titles, LIMITS.title) && allFit(replies.map((reply) => reply.id), LIMITS.payload) && allDiffer(titles)
  if (!fits) return sheet.text(numbered(cardAsText(card), titles))
  const body = sheet.body(cardAsText(card), LIMITS.textBytes)
  sheet.send('buttons', { text: body, quick_replies: replies.map(({ id, title }) => ({ content_type: 'text', title, payload: id })) }, numbered(body, titles))
}

export function renderCards(content: Extract<OutboundContent, { kind: 'cards' }>, sheet: Sheet): void {
  const elements = content.cards.map(element).filter((item) => item !== null)
  if (elements.length === content.cards.length && elements.length <= LIMITS.elements) {
    return sheet.template('cards', { template_type: 'generic', elements }, content.cards.map(cardAsText).join('\n\n'))
  }
  sheet.degrade('cards', `${content.cards.length} messages`, 'a card is too long for a template or has too many buttons')
  for (const card of content.cards) renderBubble(card, sheet)
}
