import { XMLParser, XMLValidator } from 'fast-xml-parser'

/** TwiML and TeXML as a list of verbs. */
export type Verb = { name: string; attributes: Record<string, string>; text: string; children: Verb[] }

/** The document is not what the carrier reads; Twilio's error codes (twilio.com/docs/api/errors). */
export class VerbError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

const DOCUMENT_CHARS_MAX = 64 * 1024

const parser = new XMLParser({
  preserveOrder: true, ignoreAttributes: false, attributeNamePrefix: '', parseTagValue: false, parseAttributeValue: false, trimValues: false,
  ignoreDeclaration: true, ignorePiTags: true, htmlEntities: true,
})

type Node = Record<string, unknown>

function toVerbs(nodes: Node[]): Verb[] {
  return nodes.flatMap((node) => {
    const name = Object.keys(node).find((key) => key !== ':@')
    if (name === undefined || name === '#text') return []
    const children = node[name] as Node[]
    const text = children.map((child) => (typeof child['#text'] === 'string' ? child['#text'] : '')).join('')
    return [{ name, attributes: (node[':@'] as Record<string, string> | undefined) ?? {}, text: text.trim(), children: toVerbs(children) }]
  })
}

/** Throws VerbError: 11200 nothing fetched, 12100 no XML, 12200 another root, 11750 too large. */
export function readVerbs(document: string): Verb[] {
  if (document.length > DOCUMENT_CHARS_MAX) throw new VerbError('11750', 'The response body is too large')
  if (document.trim() === '') throw new VerbError('12100', 'Document parse failure')
  if (XMLValidator.validate(document) !== true) throw new VerbError('12100', 'Document parse failure')
  const [root] = toVerbs(parser.parse(document) as Node[])
  if (root?.name !== 'Response') throw new VerbError('12200', 'Schema validation warning: the root is not <Response>')
  return root.children
}
