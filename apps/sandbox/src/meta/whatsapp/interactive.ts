import type { Fault100, Loose } from './shape.ts'
import { firstFault, invalid, isObject, missing, optionalTextFault, textFault } from './shape.ts'

// Limits: developers.facebook.com/documentation/business-messaging/whatsapp/messages (interactive reply buttons, list,
// CTA URL and media carousel messages, 2026).

export function interactiveFault(value: unknown): Fault100 | null {
  if (!isObject(value)) return missing("interactive")
  const kind = value.type
  if (typeof kind !== 'string') return missing("interactive['type']")
  if (!isObject(value.action)) return missing("interactive['action']")
  const check = Object.hasOwn(byKind, kind) ? byKind[kind] : undefined
  if (!check) return invalid(`Param interactive['type'] must be one of {${Object.keys(byKind).join(', ')}}.`)
  return firstFault(() => framesFault(value, kind), () => check(value.action as Loose, value))
}

function framesFault(value: Loose, kind: string): Fault100 | null {
  const bodyMax = kind === 'list' ? 4096 : 1024
  const header = value.header as Loose | undefined
  return firstFault(
    () => (kind === 'product' && !value.body ? null : textFault((value.body as Loose | undefined)?.text, "interactive['body']['text']", bodyMax)),
    () => optionalTextFault((value.footer as Loose | undefined)?.text, "interactive['footer']['text']", 60),
    () => (header?.type === 'text' ? textFault(header.text, "interactive['header']['text']", 60) : null),
  )
}

const byKind: Record<string, (action: Loose, value: Loose) => Fault100 | null> = {
  button: buttonsFault,
  list: listFault,
  cta_url: ctaFault,
  carousel: carouselFault,
  flow: (action) => (isObject(action.parameters) ? null : missing("interactive['action']['parameters']")),
  location_request_message: () => null,
  address_message: () => null,
  product: (action) => textFault(action.product_retailer_id, "interactive['action']['product_retailer_id']", 255),
  product_list: (action) => (Array.isArray(action.sections) ? null : missing("interactive['action']['sections']")),
  catalog_message: () => null,
}

function buttonsFault(action: Loose): Fault100 | null {
  const { buttons } = action
  if (!Array.isArray(buttons) || buttons.length < 1) return missing("interactive['action']['buttons']")
  if (buttons.length > 3) return invalid("Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3")
  const ids = new Set<unknown>()
  const titles = new Set<unknown>()
  for (const [index, button] of buttons.entries()) {
    const at = `interactive['action']['buttons'][${index}]['reply']`
    const reply = (isObject(button) ? button.reply : undefined) as Loose | undefined
    const fault = firstFault(() => textFault(reply?.id, `${at}['id']`, 256), () => textFault(reply?.title, `${at}['title']`, 20))
    if (fault) return fault
    ids.add(reply!.id)
    titles.add(reply!.title)
  }
  if (ids.size < buttons.length) return invalid('Duplicated button ids.')
  return titles.size < buttons.length ? invalid('Duplicated button titles.') : null
}

function listFault(action: Loose): Fault100 | null {
  const { sections } = action
  const labelFault = textFault(action.button, "interactive['action']['button']", 20)
  if (labelFault) return labelFault
  if (!Array.isArray(sections) || sections.length < 1) return missing("interactive['action']['sections']")
  if (sections.length > 10) return invalid('Sections count must be at most 10.')
  const ids = new Set<unknown>()
  let rows = 0
  for (const [s, section] of (sections as Loose[]).entries()) {
    const fault = sectionFault(section, s, sections.length)
    if (fault) return fault
    for (const row of section.rows as Loose[]) ids.add(row.id)
    rows += (section.rows as Loose[]).length
  }
  if (rows > 10) return invalid('Total row count exceed max allowed count: 10')
  return ids.size < rows ? invalid('Duplicated row ids.') : null
}

function sectionFault(section: unknown, s: number, sections: number): Fault100 | null {
  const at = `interactive['action']['sections'][${s}]`
  if (!isObject(section) || !Array.isArray(section.rows) || section.rows.length < 1) return missing(`${at}['rows']`)
  const titleFault = sections > 1 ? textFault(section.title, `${at}['title']`, 24) : optionalTextFault(section.title, `${at}['title']`, 24)
  if (titleFault) return titleFault
  for (const [r, row] of (section.rows as Loose[]).entries()) {
    const fault = firstFault(
      () => textFault(row?.id, `${at}['rows'][${r}]['id']`, 200),
      () => textFault(row.title, `${at}['rows'][${r}]['title']`, 24),
      () => optionalTextFault(row.description, `${at}['rows'][${r}]['description']`, 72),
    )
    if (fault) return fault
  }
  return null
}

function ctaFault(action: Loose): Fault100 | null {
  const parameters = action.parameters as Loose | undefined
  return firstFault(
    () => textFault(parameters?.display_text, "interactive['action']['parameters']['display_text']", 20),
    () => textFault(parameters?.url, "interactive['action']['parameters']['url']", 2000),
  )
}

function carouselFault(action: Loose): Fault100 | null {
  const { cards } = action
  if (!Array.isArray(cards) || cards.length < 2 || cards.length > 10) return invalid("Param interactive['action']['cards'] must have between 2 and 10 cards.")
  for (const [index, card] of (cards as Loose[]).entries()) {
    const at = `interactive['action']['cards'][${index}]`
    if (!isObject(card?.header)) return missing(`${at}['header']`)
    const fault = optionalTextFault((card.body as Loose | undefined)?.text, `${at}['body']['text']`, 160)
    if (fault) return fault
  }
  return null
}
