/** XML as carriers read it (TwiML, TeXML). Text and values come from outside: everything is escaped, and what XML 1.0 cannot hold is left out. */

export type XmlNode = { name: string; attributes: Readonly<Record<string, string | number | boolean | undefined>>; children: readonly (XmlNode | string)[] }

/** XML 1.0 §2.2: these characters cannot be written at all, not even escaped. Lone surrogates become U+FFFD first. */
const UNWRITABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g
const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }

const escapeText = (text: string): string => text.toWellFormed().replace(UNWRITABLE, '').replace(/[&<>"']/g, (character) => ESCAPES[character]!)
/** A parser would turn raw line ends and tabs of an attribute into spaces (XML 1.0 §3.3.3), and a raw carriage return of a text into a line feed (§2.11). */
const escapeValue = (text: string): string => escapeText(text).replace(/[\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`)

export function element(name: string, attributes: XmlNode['attributes'] = {}, ...children: (XmlNode | string)[]): XmlNode {
  return { name, attributes, children }
}

function write(node: XmlNode | string): string {
  if (typeof node === 'string') return escapeText(node).replaceAll('\r', '&#13;')
  const attributes = Object.entries(node.attributes).map(([name, value]) => (value === undefined ? '' : ` ${name}="${escapeValue(String(value))}"`))
  const head = `<${node.name}${attributes.join('')}`
  return node.children.length === 0 ? `${head}/>` : `${head}>${node.children.map(write).join('')}</${node.name}>`
}

export function document(root: XmlNode): string {
  return `<?xml version="1.0" encoding="UTF-8"?>${write(root)}`
}
