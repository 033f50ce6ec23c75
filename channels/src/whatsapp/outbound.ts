import type { OutboundContent, RenderContext, Rendered } from '@trunkline/core'
import type { Json } from '../json.ts'
import { toWhatsApp } from '../markdown.ts'
import { allDiffer, allFit, isBlank, mediaAsText, mediaSource, misfit, numbered, tidy, type MediaKind, type MediaRule } from '../rendering.ts'
import { shorten } from '../text.ts'
import { renderCards } from './cards.ts'
import { linkButton, replyButtons } from './parts.ts'
import { Sheet } from './sheet.ts'
import { LIMITS } from './wire.ts'

/** From our content to Cloud API requests. Pure. Takes Markdown; says what a customer will not see as it was meant. */

type Of<K extends OutboundContent['kind']> = Extract<OutboundContent, { kind: K }>

/** Accepted files (developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media, "Supported media types"). */
export const MEDIA: Record<MediaKind, MediaRule> = {
  image: { types: ['image/jpeg', 'image/png'], bytesMax: 5 * 1024 * 1024 },
  video: { types: ['video/mp4', 'video/3gpp'], bytesMax: 16 * 1024 * 1024 },
  audio: { types: ['audio/aac', 'audio/amr', 'audio/mpeg', 'audio/mp4', 'audio/ogg'], bytesMax: 16 * 1024 * 1024 },
  document: { types: null, bytesMax: 100 * 1024 * 1024 },
  sticker: { types: ['image/webp'], bytesMax: 500 * 1024 },
}

function renderText(content: Of<'text'>, sheet: Sheet): void {
  sheet.text(toWhatsApp(content.text))
}

/** Which kind the file can go out as: its own, a sibling, a document, or a link. */
function carrier(content: Of<MediaKind>, sheet: Sheet): MediaKind | 'link' {
  const reason = misfit(content.media, MEDIA[content.kind])
  if (reason === null) return content.kind
  const fallback = (['image', 'document'] as const).find((kind) => (kind === 'document' || content.kind === 'sticker') && misfit(content.media, MEDIA[kind]) === null)
  const kind = fallback ?? (content.media.url ? 'link' : 'document')
  sheet.degrade(content.kind, kind, reason)
  return kind
}

function mediaPayload(kind: MediaKind, content: Of<MediaKind>, caption: string | undefined, sheet: Sheet): Json {
  const source = mediaSource(content.media, LIMITS.url)
  const isVoice = content.kind === 'audio' && content.voice === true && kind === 'audio'
  // A voice message must be Ogg with Opus; anything else is refused with 131053.
  const isOpus = /^audio\/ogg/i.test(content.media.mimeType ?? '')
  if (isVoice && !isOpus) sheet.degrade('voice message', 'audio file', 'only Ogg/Opus can be a voice message')
  const filename = kind === 'document' && content.media.filename && !isBlank(content.media.filename) ? shorten(content.media.filename, LIMITS.filename, 'characters') : undefined
  return { type: kind, [kind]: { ...source, ...(caption && { caption }), ...(filename && { filename }), ...(isVoice && isOpus && { voice: true }) } }
}

function renderMedia(content: Of<MediaKind>, sheet: Sheet): void {
  const kind = carrier(content, sheet)
  const caption = toWhatsApp(content.caption ?? '').trim()
  if (kind === 'link') return sheet.text(mediaAsText(content.media, caption))
  const isBeside = caption !== '' && kind !== 'audio' && kind !== 'sticker' && caption.length <= LIMITS.caption
  sheet.send(kind, mediaPayload(kind, content, isBeside ? caption : undefined, sheet), isBeside ? caption : `[${kind}]`)
  if (caption === '' || isBeside) return
  sheet.degrade('caption', 'text', kind === 'audio' || kind === 'sticker' ? `${kind} has no caption` : `longer than ${LIMITS.caption} characters`)
  sheet.text(caption)
}

function renderLocation(content: Of<'location'>, sheet: Sheet): void {
  const { latitude, longitude } = content
  const label = (value: string | undefined) => (value && !isBlank(value) ? shorten(value, LIMITS.place, 'characters') : undefined)
  const name = label(content.name)
  const place = label(content.address)
  sheet.send('location', { type: 'location', location: { latitude, longitude, ...(name && { name }), ...(place && { address: place }) } }, [name, place, `${latitude},${longitude}`].filter(Boolean).join(', '))
}

type ContactPayload = { name: { formatted_name: string; first_name: string } } & Json

/** Null for a card with nothing on it. */
function contactPayload(card: Of<'contacts'>['contacts'][number]): ContactPayload | null {
  const phones = card.phones.filter((phone) => !isBlank(phone))
  const emails = card.emails.filter((email) => !isBlank(email))
  const organisation = card.organisation && !isBlank(card.organisation) ? card.organisation : undefined
  const name = [card.name, organisation, phones[0], emails[0]].find((value) => value && !isBlank(value))
  if (!name) return null
  return {
    // The platform wants the full name and at least one of its parts.
    name: { formatted_name: name, first_name: name },
    ...(phones.length > 0 && { phones: phones.map((phone) => ({ phone })) }),
    ...(emails.length > 0 && { emails: emails.map((email) => ({ email })) }),
    ...(organisation && { org: { company: organisation } }),
  }
}

function renderContacts(content: Of<'contacts'>, sheet: Sheet): void {
  const contacts = content.contacts.map(contactPayload).filter((card) => card !== null)
  if (contacts.length === 0) return sheet.degrade('contacts', 'nothing', 'there is nothing on them')
  sheet.send('contacts', { type: 'contacts', contacts }, contacts.map((card) => card.name.formatted_name).join(', '))
}

function renderButtons(content: Of<'buttons'>, sheet: Sheet): void {
  const { buttons } = content
  const titles = buttons.map((button) => button.title)
  const ids = buttons.map((button) => button.id)
  const text = toWhatsApp(content.text)
  if (!allDiffer(ids) || !allDiffer(titles)) return asNumbers('buttons', text, titles, 'two of them have the same id or title', sheet)
  if (buttons.length <= LIMITS.buttons && allFit(titles, LIMITS.buttonTitle) && allFit(ids, LIMITS.buttonId)) {
    const body = sheet.body(text, LIMITS.interactiveBody)
    return sheet.interactive('buttons', { type: 'button', body: { text: body }, action: { buttons: replyButtons(buttons) } }, numbered(body, titles))
  }
  if (buttons.length <= LIMITS.listRows && allFit(titles, LIMITS.rowTitle) && allFit(ids, LIMITS.rowId)) {
    sheet.degrade('buttons', 'list', `more than ${LIMITS.buttons} buttons or a title longer than ${LIMITS.buttonTitle} characters`)
    return sendList(text, '☰', [{ rows: buttons.map(({ id, title }) => ({ id, title })) }], sheet)
  }
  asNumbers('buttons', text, titles, 'more or longer than WhatsApp can show', sheet)
}

function asNumbers(from: string, text: string, choices: string[], reason: string, sheet: Sheet): void {
  sheet.degrade(from, 'numbered text', reason)
  sheet.text(numbered(text, choices))
}

type Section = { title?: string; rows: { id: string; title: string; description?: string }[] }

function sendList(text: string, label: string, sections: Section[], sheet: Sheet): void {
  const body = sheet.body(text, LIMITS.listBody)
  const words = numbered(body, sections.flatMap((section) => section.rows.map((row) => row.title)))
  sheet.interactive('list', { type: 'list', body: { text: body }, action: { button: label, sections } }, words)
}

/** A piece of a list, cut with a note when it is too long; blank ones are left out. */
function cut(value: string | undefined, max: number, what: string, sheet: Sheet): string | undefined {
  if (value === undefined || isBlank(value)) return undefined
  if (value.length > max) sheet.degrade(what, `shortened ${what}`, `longer than ${max} characters`)
  return shorten(value, max, 'characters')
}

function rowPayload(row: Of<'list'>['sections'][number]['rows'][number], sheet: Sheet): Section['rows'][number] {
  const description = cut(row.description, LIMITS.rowDescription, 'row description', sheet)
  return { id: row.id, title: row.title, ...(description && { description }) }
}

function listSections(content: Of<'list'>, sheet: Sheet): Section[] {
  const rows = (section: Of<'list'>['sections'][number]) => section.rows.map((row) => rowPayload(row, sheet))
  const isTitled = content.sections.every((section) => section.title && !isBlank(section.title))
  if (!isTitled) return [{ rows: content.sections.flatMap(rows) }]
  return content.sections.map((section) => ({ title: cut(section.title, LIMITS.sectionTitle, 'section title', sheet)!, rows: rows(section) }))
}

function renderList(content: Of<'list'>, sheet: Sheet): void {
  const rows = content.sections.flatMap((section) => section.rows)
  const text = toWhatsApp(content.text)
  const ids = rows.map((row) => row.id)
  const fits = rows.length <= LIMITS.listRows && allFit(rows.map((row) => row.title), LIMITS.rowTitle) && allFit(ids, LIMITS.rowId) && allDiffer(ids)
  if (fits) return sendList(text, cut(content.buttonLabel, LIMITS.listLabel, 'list label', sheet) ?? '☰', listSections(content, sheet), sheet)
  const choices = rows.map((row) => (row.description ? `${row.title}: ${row.description}` : row.title))
  asNumbers('list', text, choices, `more than ${LIMITS.listRows} rows, or too long or equal ones`, sheet)
}

function renderLink(content: Of<'link'>, sheet: Sheet): void {
  const action = linkButton(content.label, content.url)
  const text = toWhatsApp(content.text)
  if (!action) {
    sheet.degrade('link', 'text', `the label is longer than ${LIMITS.buttonTitle} characters or the address cannot be a button`)
    return sheet.text(`${text}\n${content.label}: ${content.url}`)
  }
  const body = sheet.body(text, LIMITS.interactiveBody)
  sheet.interactive('link', { type: 'cta_url', body: { text: body }, action }, `${body}\n${content.label}: ${content.url}`)
}

/** Line breaks, tabs and long gaps are refused inside a parameter (error 132018), and so is an empty one. */
function templateParameter(value: string): Json {
  return { type: 'text', text: value.replace(/\s+/g, ' ').trim() || '-' }
}

function renderTemplate(content: Of<'template'>, sheet: Sheet): void {
  const parameters = content.parameters.map(templateParameter)
  const components = parameters.length > 0 ? { components: [{ type: 'body', parameters }] } : {}
  sheet.send('template', { type: 'template', template: { name: content.name, language: { code: content.language }, ...components } }, `[template ${content.name}: ${content.parameters.join(', ')}]`)
}

/** Throws AppError `invalid_request` when the person cannot be addressed here or a file has no address. */
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
      renderContacts(content, sheet)
      break
    case 'buttons':
      renderButtons(content, sheet)
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
      renderTemplate(content, sheet)
      break
    default:
      renderMedia(content, sheet)
  }
  return { requests: sheet.requests, degradations: sheet.degradations }
}
