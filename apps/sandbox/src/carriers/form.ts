export type Fields = Record<string, string | string[]>

/** Bodies are forms; the server hands them over as bytes. */
export function formOf(body: unknown): Fields {
  const fields: Fields = {}
  for (const [name, value] of new URLSearchParams(Buffer.isBuffer(body) ? body.toString('utf8') : '')) {
    const before = fields[name]
    fields[name] = before === undefined ? value : [before, value].flat()
  }
  return fields
}
