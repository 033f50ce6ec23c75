import { el, icon, ICONS, link, safeUrl } from './element.ts'
import { markdown } from './markdown.ts'
import type { Words } from './words.ts'

/** `pick`: the visitor chooses one of the buttons. */
export type ContentContext = { words: Words; own: boolean; pick?(choice: { id: string; title: string }): void; onLoad(): void }
type Json = Record<string, unknown>
type Choice = { id: string; title: string; description?: string; url?: string }

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const list = <Item>(value: unknown): Item[] => (Array.isArray(value) ? (value as Item[]) : [])

/** A message's content as elements. What we have no words for is shown as its kind. */
export function render(content: Json & { kind: string }, context: ContentContext): Node[] {
  switch (content.kind) {
    case 'text':
      return [context.own ? el('p', { class: 'plain', text: text(content.text) }) : markdown(text(content.text))]
    case 'choice':
      return [el('p', { class: 'plain', text: text(content.title) })]
    case 'image':
    case 'sticker':
    case 'video':
    case 'audio':
    case 'document':
      return [media(content.kind, (content.media ?? {}) as Json, text(content.caption), context), ...(content.caption ? [markdown(text(content.caption))] : [])]
    case 'buttons':
      return [markdown(text(content.text)), choices(list(content.buttons), context)]
    case 'list':
      return [markdown(text(content.text)), ...list<Json>(content.sections).flatMap((section) => [...(section.title ? [el('p', { class: 'heading', text: text(section.title) })] : []), choices(list(section.rows), context)])]
    case 'link':
      return [markdown(text(content.text)), link(content.url, { class: 'choice' }, text(content.label))]
    case 'cards':
      return [el('div', { class: 'cards' }, ...list<Json>(content.cards).map((card) => cardOf(card, context)))]
    case 'location':
      return [link(`https://www.openstreetmap.org/?mlat=${Number(content.latitude)}&mlon=${Number(content.longitude)}`, {}, [text(content.name), text(content.address)].filter(Boolean).join(', ') || `${Number(content.latitude)}, ${Number(content.longitude)}`)]
    case 'contacts':
      return list<Json>(content.contacts).map(contactOf)
    default:
      return [el('p', { text: `[${content.kind}]` })]
  }
}

function choices(all: Choice[], { pick }: ContentContext): HTMLElement {
  return el('div', { class: 'choices' }, ...all.map((choice) => {
    if (choice.url) return link(choice.url, { class: 'choice' }, choice.title)
    const click = () => pick?.({ id: choice.id, title: choice.title })
    return el('button', { class: 'choice', type: 'button', on: { click } }, choice.title, choice.description ? el('small', { text: choice.description }) : null)
  }))
}

function cardOf(card: Json, context: ContentContext): HTMLElement {
  const image = safeUrl(card.image_url)
  return el('div', { class: 'card' },
    image ? el('img', { src: image, alt: '', loading: 'lazy', on: { load: context.onLoad } }) : null,
    el('strong', { text: text(card.title) }),
    card.text ? el('p', { text: text(card.text) }) : null,
    list(card.buttons).length > 0 ? choices(list(card.buttons), context) : null,
  )
}

function contactOf(contact: Json): HTMLElement {
  const ways = [...list<string>(contact.phones).map((phone) => link(`tel:${phone.replaceAll(/[^\d+]/g, '')}`, {}, phone)), ...list<string>(contact.emails).map((email) => link(`mailto:${email}`, {}, email))]
  return el('div', { class: 'card' }, el('strong', { text: text(contact.name) }), ...ways)
}

function media(kind: string, file: Json, caption: string, { words, onLoad }: ContentContext): HTMLElement {
  const url = safeUrl(file.url)
  const name = text(file.filename) || words.download
  if (!url) return el('p', { class: 'file' }, icon(ICONS.file), name)
  if (kind === 'image' || kind === 'sticker') {
    const image = el('img', { src: url, alt: caption || text(file.filename) || kind, loading: 'lazy', on: { load: onLoad } })
    return link(url, { class: 'picture', 'aria-label': `${image.alt} (${words.newTab})` }, image)
  }
  if (kind === 'video' || kind === 'audio') return el(kind, { src: url, controls: true, preload: 'metadata', 'aria-label': caption || name })
  const size = Number(file.size_bytes) || 0
  return link(url, { class: 'file' }, icon(ICONS.file), el('span', {}, name, size ? el('small', { text: size > 1e5 ? `${(size / 1e6).toFixed(1)} MB` : `${Math.ceil(size / 1e3)} kB` }) : null))
}
