/** A field from outside as words: strings and numbers as they are, anything else as nothing. */
export function plain(value: unknown): string {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}
