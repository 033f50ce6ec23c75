import { AppError, type ContactCard, type Degradation, type MediaRef, type OutboundContent, type Rendered, type WireRequest } from '@trunkline/core'
import { webUrl } from './json.ts'
import { measure, splitText, type TextUnit } from './text.ts'

/** What the channels' `render` share: collecting requests, cutting text, and the words that stand in for what a platform cannot show. */

/** Collects the requests of one message and what was lost on the way. */
export class Rendering implements Rendered {
  readonly requests: WireRequest[] = []
  readonly degradations: Degradation[] = []

  add(kind: WireRequest['kind'], body: Record<string, unknown>, text: string): void {
    this.requests.push({ kind, body, text })
  }

  degrade(from: string, to: string, reason: string): void {
    this.degradations.push({ from, to, reason })
  }
}

/** Every string made storable and sendable: no half surrogate pairs, no U+0000. */
export function tidy<T>(value: T): T {
  if (typeof value === 'string') return value.toWellFormed().replaceAll('\u0000', '') as T
  if (Array.isArray(value)) return value.map((item: unknown) => tidy(item)) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, tidy(item)])) as T
}

export const isBlank = (text: string): boolean => text.trim().length === 0

/** Parts a platform accepts: each within the limit and with something to see. White space at the breaks is not sent. */
export function textParts(text: string, max: number, unit: TextUnit): string[] {
  return splitText(text, max, unit)
    .map((part) => part.replace(/^\s*\n/, '').trimEnd())
    .filter((part) => !isBlank(part))
}

/**
 * A text that is longer than what fits beside buttons: what goes ahead as texts, and the last piece for the body. As few bubbles as possible,
 * because each may cost money.
 */
export function leadAndBody(text: string, limits: { body: number; text: number; unit: TextUnit }): { lead: string[]; body: string } {
  const trimmed = text.trim()
  if (measure(trimmed, limits.unit) <= limits.body) return { lead: [], body: trimmed || '…' }
  const lead = textParts(trimmed, limits.text, limits.unit)
  const last = lead.pop() ?? ''
  const pieces = textParts(last, limits.body, limits.unit)
  const body = pieces.pop() ?? '…'
  return { lead: [...lead, ...textParts(last.slice(0, last.length - body.length), limits.text, limits.unit)], body }
}

/** Choices as a list that a person can answer with a number or the words. */
export function numbered(text: string, choices: string[]): string {
  return [text, choices.map((choice, index) => `${index + 1}. ${choice}`).join('\n')].filter((part) => !isBlank(part)).join('\n\n')
}

export function contactsAsText(contacts: ContactCard[]): string {
  return contacts.map((card) => [card.name, card.organisation, ...card.phones, ...card.emails].filter(Boolean).join('\n')).join('\n\n')
}

type Location = Extract<OutboundContent, { kind: 'location' }>

/** OpenStreetMap opens everywhere, without an account. */
export function locationAsText(place: Location): string {
  const { latitude, longitude } = place
  const link = `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=16/${latitude}/${longitude}`
  return [place.name, place.address, link].filter(Boolean).join('\n')
}

type Card = Extract<OutboundContent, { kind: 'cards' }>['cards'][number]

export function cardAsText(card: Card): string {
  const links = card.buttons.filter((button) => button.url).map((button) => `${button.title}: ${button.url}`)
  return [card.title, card.text, ...links].filter(Boolean).join('\n')
}

export type MediaKind = 'image' | 'video' | 'audio' | 'document' | 'sticker'
export type MediaRule = { types: readonly string[] | null; bytesMax: number }

/** Does the platform take this file as this kind? What is not known is not refused here: the platform decides, and its refusal has a policy. */
export function misfit(media: MediaRef, rule: MediaRule): string | null {
  const type = media.mimeType?.split(';')[0]?.trim().toLowerCase()
  if (rule.types && type && !rule.types.includes(type)) return `files of type ${type} are not accepted`
  if (media.sizeBytes !== undefined && media.sizeBytes > rule.bytesMax) return `the file is larger than ${rule.bytesMax} bytes`
  return null
}

/** Where the platform can get the file from: its own id, or a public address. */
export function mediaSource(media: MediaRef, urlMax: number): { id: string } | { link: string } {
  if (media.providerMediaId) return { id: media.providerMediaId }
  const link = webUrl(media.url)
  if (link && link.length <= urlMax) return { link }
  throw new AppError('invalid_request', { message: 'The file needs an http(s) address or a platform id to be sent.', param: 'content.media' })
}

export function mediaAsText(media: MediaRef, caption: string | undefined): string {
  return [caption, media.filename ? `${media.filename}: ${media.url}` : media.url].filter(Boolean).join('\n')
}

export const allDiffer = (values: string[]): boolean => new Set(values).size === values.length

/** Every value can be seen and fits. */
export const allFit = (values: string[], max: number): boolean => values.every((value) => value.length <= max && !isBlank(value))
