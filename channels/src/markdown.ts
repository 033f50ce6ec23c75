/**
 * Models write Markdown; most channels show only a part of it. Line by line and with bounded patterns, so that
 * no text makes it slow. What stands in code is left alone.
 */

type Style = {
  bold: (text: string) => string
  italic: (text: string) => string
  strike: (text: string) => string
  code: (text: string) => string
  fence: string | null
}

/** `*b*`, `_i_`, `~s~`, `` `c` `` and fences: faq.whatsapp.com/539178204879377 ("How to format your messages"). */
const WHATSAPP: Style = {
  bold: (text) => `*${text}*`,
  italic: (text) => `_${text}_`,
  strike: (text) => `~${text}~`,
  code: (text) => `\`${text}\``,
  fence: '```',
}

const PLAIN: Style = { bold: (text) => text, italic: (text) => text, strike: (text) => text, code: (text) => text, fence: null }

const HEADING = /^ {0,3}#{1,6}\s+(.+?)\s*#*$/
const BULLET = /^(\s*)[*+]\s+/
const FENCE = /^\s*```/
const IMAGE = /!\[([^[\]\n]{0,300})\]\((https?:\/\/[^\s()]{1,2000})\)/g
const LINK = /\[([^[\]\n]{1,300})\]\((https?:\/\/[^\s()]{1,2000})\)/g
const CODE = /(`[^`\n]{1,1000}`)/
const BOLD_ITALIC = /\*\*\*(?=\S)([^*\n]{1,1000})(?<=\S)\*\*\*/g
const BOLD = /\*\*(?=\S)((?:[^*\n]|\*(?!\*)){1,1000})(?<=\S)\*\*|(?<!\w)__(?=\S)([^_\n]{1,1000})(?<=\S)__(?!\w)/g
const ITALIC = /(?<![\w*])\*(?=[^\s*])([^*\n]{1,1000})(?<=\S)\*(?![\w*])|(?<![\w_])_(?=[^\s_])([^_\n]{1,1000})(?<=\S)_(?![\w_])/g
const STRIKE = /~~(?=\S)([^~\n]{1,1000})(?<=\S)~~/g
const ESCAPE = /\\([\\`*_{}[\]()#+\-.!~>|])/g

const SPECIAL = /[`*_~#[\\+]/

/** Stands for what is finished, so that no later pass reads a mark in it: `**b**` is not italic too, `\*` is a star. Private use: no meaning in a message. */
const HELD = '\uE000'

function convertSpan(span: string, style: Style): string {
  const finished: string[] = []
  const hold = (text: string) => `${HELD}${finished.push(text) - 1}${HELD}`
  const italics = (text: string) => text.replace(ITALIC, (_, stars?: string, lines?: string) => hold(style.italic(stars ?? lines!)))
  const marked = italics(
    span
      .replace(ESCAPE, (_, mark: string) => hold(mark))
      .replace(IMAGE, (_, alt: string, url: string) => hold(alt ? `${alt}: ${url}` : url))
      .replace(LINK, (_, label: string, url: string) => hold(label === url ? url : `${label} (${url})`))
      .replace(BOLD_ITALIC, (_, text: string) => hold(style.bold(style.italic(text))))
      .replace(BOLD, (_, stars?: string, lines?: string) => hold(style.bold(italics(stars ?? lines!))))
      .replace(STRIKE, (_, text: string) => hold(style.strike(text))),
  )
  return release(marked, finished)
}

/** Held pieces may hold earlier ones: always with a smaller number, so this ends. */
function release(text: string, finished: string[]): string {
  return text.replace(/\uE000(\d+)\uE000/g, (_, index: string) => release(finished[Number(index)] ?? '', finished))
}

function convertLine(line: string, style: Style): string {
  const heading = HEADING.exec(line)
  if (heading) return style.bold(convertSpan(heading[1]!, PLAIN))
  return line
    .replace(BULLET, '$1- ')
    .split(CODE)
    .map((piece, index) => (index % 2 === 1 ? style.code(piece.slice(1, -1)) : convertSpan(piece, style)))
    .join('')
}

function convert(text: string, style: Style): string {
  if (!SPECIAL.test(text)) return text
  let inFence = false
  const lines: string[] = []
  for (const line of text.replaceAll(HELD, '').split('\n')) {
    if (FENCE.test(line)) {
      inFence = !inFence
      if (style.fence) lines.push(style.fence)
    } else lines.push(inFence || !SPECIAL.test(line) ? line : convertLine(line, style))
  }
  return lines.join('\n')
}

/** Markdown as WhatsApp shows it. Headings become bold, links `label (address)`. */
export function toWhatsApp(markdown: string): string {
  return convert(markdown, WHATSAPP)
}

/** The words alone, for channels that show no formatting. */
export function toPlain(markdown: string): string {
  return convert(markdown, PLAIN)
}
