import type { RawWebhook } from '@trunkline/core'

/** The fields of a form, without a prototype; a field that comes twice is a list. */
export type Form = Record<string, string | string[]>

const FORM_BYTES_MAX = 256 * 1024
const FIELDS_MAX = 500

export function isForm(raw: RawWebhook): boolean {
  return (raw.headers['content-type'] ?? '').toLowerCase().startsWith('application/x-www-form-urlencoded')
}

/** `application/x-www-form-urlencoded` (WHATWG URL §5.1). Null: too large. */
export function readForm(body: Buffer): Form | null {
  if (body.length > FORM_BYTES_MAX) return null
  const form = Object.create(null) as Form
  let fields = 0
  for (const [name, value] of new URLSearchParams(body.toString('utf8'))) {
    if (++fields > FIELDS_MAX) return null
    const before = form[name]
    form[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value]
  }
  return form
}

const JSON_BYTES_MAX = 1024 * 1024

/** What a carrier posted, for `normaliseCall`: a form's fields, or JSON. Undefined: neither. */
export function readPosted(raw: RawWebhook): unknown {
  if (isForm(raw)) return readForm(raw.body) ?? undefined
  if (raw.body.length > JSON_BYTES_MAX) return undefined
  try {
    return JSON.parse(raw.body.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}
