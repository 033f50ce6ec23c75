import { AppError, type OutboundContent, type RenderContext, type Rendered } from '@trunkline/core'
import { webUrl, type Json } from '../json.ts'
import { toPlain } from '../markdown.ts'
import { allDiffer, allFit, contactsAsText, isBlank, locationAsText, mediaAsText, mediaSource, misfit, numbered, tidy, type MediaKind, type MediaRule } from '../rendering.ts'
import { renderCards } from './cards.ts'
import { Sheet } from './sheet.ts'
import { LIMITS } from './wire.ts'

/** From our content to Instagram's Send API. Pure. Instagram shows no formatting, no lists, no captions: what is lost is said. */

type Of<K extends OutboundContent['kind']> = Extract<OutboundContent, { kind: K }>

const MB = 1024 * 1024

/** Accepted files (instagram-messaging/features/attachment-upload, 1 Apr 2026; PDF since 19 Dec 2025). Stickers go out as images. */
export const MEDIA: Record<MediaKind, MediaRule> = {
  image: { types: ['image/png', 'image/jpeg', 'image/gif'], bytesMax: 8 * MB },
  sticker: { types: ['image/png', 'image/jpeg', 'image/gif'], bytesMax: 8 * MB },
  video: { types: ['video/mp4', 'video/ogg', 'video/x-msvideo', 'video/avi', 'video/quicktime', 'video/webm'], bytesMax: 25 * MB },
  audio: { types: ['audio/aac', 'audio/mp4', 'audio/x-m4a', 'audio/m4a', 'audio/wav', 'audio/x-wav'], bytesMax: 25 * MB },
  document: { types: ['application/pdf'], bytesMax: 25 * MB },
}

const ATTACHMENT: Record<MediaKind, string> = { image: 'image', sticker: 'image', video: 'video', audio: 'audio', document: 'file' }

/** The words alone; said when marks were taken away. */
function plain(text: string, sheet: Sheet): string {
  const words = toPlain(text)
  if (words !== text) sheet.degrade('formatting', 'plain text', 'Instagram shows no formatting')
  return words
}

function renderText(content: Of<'text'>, sheet: Sheet): void {
  sheet.text(plain(content.text, sheet))
}

function renderMedia(content: Of<MediaKind>, sheet: Sheet): void {
  const caption = plain(content.caption ?? '', sheet).trim()
  const reason = misfit(content.media, MEDIA[content.kind])
  if (reason !== null && content.media.url) {
    sheet.degrade(content.kind, 'link', reason)
    return sheet.text(mediaAsText(content.media, caption))
  }
  if (content.kind === 'sticker') sheet.degrade('sticker', 'image', 'Instagram has no stickers of ours')
  const source = mediaSource(content.media, LIMITS.url)
  const payload: Json = 'id' in source ? { attachment_id: source.id } : { url: source.link }
  sheet.send(content.kind === 'sticker' ? 'image' : content.kind, { attachment: { type: ATTACHMENT[content.kind], payload } }, `[${content.kind}]`)
  if (caption === '') return
  sheet.degrade('caption', 'text', 'Instagram has no captions')
  sheet.text(caption)
}

function renderLocation(content: Of<'location'>, sheet: Sheet): void {
  sheet.degrade('location', 'map link', 'Instagram has no locations')
  sheet.text(locationAsText(content))
}

function renderContacts(content: Of<'contacts'>, sheet: Sheet): void {
  sheet.degrade('contacts', 'text', 'Instagram has no contact cards')
  sheet.text(contactsAsText(content.contacts))
}

type Choice = { id: string; title: string }

/** Up to 13 quick replies under a text; more or longer ones become numbers. */
function renderChoices(kind: 'buttons' | 'list', given: string, choices: Choice[], words: string[], sheet: Sheet): void {
  const titles = choices.map((choice) => choice.title)
  const text = plain(given, sheet)
  const fits = choices.length <= LIMITS.quickReplies && allFit(titles, LIMITS.title) && allFit(choices.map((choice) => choice.id), LIMITS.payload) && allDiffer(titles)
  if (!fits) {
    sheet.degrade(kind, 'numbered text', `more than ${LIMITS.quickReplies}, longer than ${LIMITS.title} characters or two with one title`)
    return sheet.text(numbered(text, words))
  }
  const body = sheet.body(text, LIMITS.textBytes)
  const replies = choices.map(({ id, title }) => ({ content_type: 'text', title, payload: id }))
  sheet.send('buttons', { text: body, quick_replies: replies }, numbered(body, titles))
}

function renderList(content: Of<'list'>, sheet: Sheet): void {
  const rows = content.sections.flatMap((section) => section.rows)
  sheet.degrade('list', 'quick replies', 'Instagram has no lists')
  renderChoices('list', content.text, rows, rows.map((row) => (row.description ? `${row.title}: ${row.description}` : row.title)), sheet)
}

function renderLink(content: Of<'link'>, sheet: Sheet): void {
  const url = webUrl(content.url)
  const text = plain(content.text, sheet)
  if (!url || url.length > LIMITS.url || !allFit([content.label], LIMITS.title)) {
    sheet.degrade('link', 'text', `the label is longer than ${LIMITS.title} characters or the address cannot be a button`)
    return sheet.text(`${text}\n${content.label}: ${content.url}`)
  }
  const body = sheet.body(text, LIMITS.buttonText)
  sheet.template('link', { template_type: 'button', text: body, buttons: [{ type: 'web_url', url, title: content.label }] }, `${body}\n${content.label}: ${url}`)
}

/** Throws AppError `invalid_request` when the person cannot be addressed here, a file has no address, or the content is a template: Instagram has none. */
export function render(given: OutboundContent, context: RenderContext): Rendered {
  const sheet = new Sheet(context)
  const content = tidy(given)
  switch (content.kind) {
    case 'text':
      renderText(content, sheet)
      break
    case 'location':
      renderLocation(content, sheet)
      break
    case 'contacts':
      if (content.contacts.length === 0 || isBlank(contactsAsText(content.contacts))) sheet.degrade('contacts', 'nothing', 'there are none')
      else renderContacts(content, sheet)
      break
    case 'buttons':
      renderChoices('buttons', content.text, content.buttons, content.buttons.map((button) => button.title), sheet)
      break
    case 'list':
      renderList(content, sheet)
      break
    case 'link':
      renderLink(content, sheet)
      break
    case 'cards':
      renderCards(content, sheet)
      break
    case 'template':
      throw new AppError('invalid_request', { message: 'Instagram has no message templates.', param: 'content.kind' })
    default:
      renderMedia(content, sheet)
  }
  return { requests: sheet.requests, degradations: sheet.degradations }
}
