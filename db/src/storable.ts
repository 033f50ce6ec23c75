/**
 * Text that Postgres stores: no NUL (a text column refuses it) and no lone surrogate (jsonb refuses its escape). Suppliers
 * deliver both, and one such message must not block a lane.
 * Source: postgresql.org/docs/current/datatype-json.html
 */
export const storableText = (text: string): string => text.replaceAll('\u0000', '').toWellFormed()

/** JSON for a jsonb column; keys and values are made storable. */
export function storableJson(value: unknown): string {
  const text = JSON.stringify(value)
  if (!/\\u(0000|d[89a-f])/i.test(text)) return text
  return JSON.stringify(value, (_, child: unknown) => {
    if (typeof child === 'string') return storableText(child)
    if (typeof child !== 'object' || child === null || Array.isArray(child)) return child
    return Object.fromEntries(Object.entries(child).map(([key, each]) => [storableText(key), each]))
  })
}
