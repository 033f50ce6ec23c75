/** The words of an SSML document, and where its marks stand: before `text[charAt]`. */
export type Marked = { text: string; marks: { name: string; charAt: number }[] }

const ENTITIES: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'" }

/** Enough of SSML for a sandbox: `<speak>`, `<mark name>`, entities; every other tag is passed over. null: not well formed. */
export function fromSsml(ssml: string): Marked | null {
  const body = /^\s*<speak[^>]*>([\s\S]*)<\/speak>\s*$/.exec(ssml)?.[1]
  if (body === undefined) return null
  const marks: Marked['marks'] = []
  let text = ''
  for (const [token] of body.matchAll(/<[^<>]*>|&\w+;|[^<&]+|[<&]/g)) {
    if (token === '<' || (token.startsWith('&') && ENTITIES[token] === undefined)) return null
    const name = /^<mark\s+name\s*=\s*["']([^"']*)["']\s*\/?>$/.exec(token)?.[1]
    if (name !== undefined) marks.push({ name, charAt: text.length })
    if (!token.startsWith('<')) text += ENTITIES[token] ?? token
  }
  return { text, marks }
}
