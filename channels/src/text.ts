/** Cutting text to a platform's limit without breaking what a reader sees as one character. */

/** What a platform counts. `characters` are UTF-16 units: never fewer than the code points or graphemes a platform may count, so a part is never too long. */
export type TextUnit = 'characters' | 'utf8_bytes'

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** Length of `text` in `unit`. */
export function measure(text: string, unit: TextUnit): number {
  return unit === 'characters' ? text.length : Buffer.byteLength(text, 'utf8')
}

/** Bytes of UTF-8 of the code point that starts at `index`, a lone surrogate counts as U+FFFD. */
function utf8BytesAt(text: string, index: number): number {
  const code = text.codePointAt(index)!
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
}

/** The furthest index after `start` so that the slice measures at most `max` and no surrogate pair is cut. */
function furthest(text: string, start: number, max: number, unit: TextUnit): number {
  if (unit === 'characters') {
    const end = Math.min(start + max, text.length)
    return end < text.length && isInsidePair(text, end) ? end - 1 : end
  }
  let bytes = 0
  let index = start
  while (index < text.length) {
    bytes += utf8BytesAt(text, index)
    if (bytes > max) return index
    index += text.codePointAt(index)! > 0xffff ? 2 : 1
  }
  return index
}

function isInsidePair(text: string, index: number): boolean {
  const before = text.charCodeAt(index - 1)
  const after = text.charCodeAt(index)
  return before >= 0xd800 && before <= 0xdbff && after >= 0xdc00 && after <= 0xdfff
}

/** How far past a cut the segmenter has to see. Longer clusters exist only to break software. */
const LOOKAHEAD = 256

/** The grapheme boundary at or before `cut`; `start` when one grapheme fills the whole part. */
function graphemeBoundary(text: string, start: number, cut: number): number {
  if (cut >= text.length) return cut
  const segment = graphemes.segment(text.slice(start, cut + LOOKAHEAD)).containing(cut - start)
  return segment ? start + segment.index : cut
}

/** Where a reader expects a break, best first, and how full a part must at least be to break there. */
const BREAKS: { pattern: RegExp; minimumFill: number }[] = [
  { pattern: /\n[^\S\n]*\n\s*/g, minimumFill: 0.4 },
  { pattern: /\n/g, minimumFill: 0.5 },
  { pattern: /[.!?…]["'”’)\]]*\s+|[。！？]/g, minimumFill: 0.4 },
  { pattern: /\s+/g, minimumFill: 0.1 },
]

/** End of the last match of `pattern` that lies in `window` and after `minimum`; 0 if there is none. */
function lastBreak(window: string, pattern: RegExp, minimum: number): number {
  let found = 0
  for (const match of window.matchAll(pattern)) {
    const end = match.index + match[0].length
    if (end >= minimum) found = end
  }
  return found
}

function cutPoint(text: string, start: number, hardEnd: number): number {
  const window = text.slice(start, hardEnd)
  for (const { pattern, minimumFill } of BREAKS) {
    const end = lastBreak(window, pattern, Math.max(1, window.length * minimumFill))
    if (end > 0 && graphemeBoundary(text, start, start + end) === start + end) return start + end
  }
  const boundary = graphemeBoundary(text, start, hardEnd)
  return boundary > start ? boundary : hardEnd
}

/**
 * Splits `text` into parts of at most `max` units. Joined they are exactly `text`: white space stays at the end of the part before the break.
 * Breaks at paragraphs, then lines, sentences, words, graphemes. A single grapheme longer than `max` is the one thing that is broken, between its code points.
 * `max` must hold at least one code point (4).
 */
export function splitText(text: string, max: number, unit: TextUnit): string[] {
  if (max < 4) throw new RangeError('splitText: max must be at least 4')
  const parts: string[] = []
  let start = 0
  while (start < text.length) {
    const hardEnd = furthest(text, start, max, unit)
    const end = hardEnd === text.length ? hardEnd : cutPoint(text, start, hardEnd)
    parts.push(text.slice(start, end))
    start = end
  }
  return parts
}

/** As much of `text` as fits in `max` units, whole graphemes, with `…` where something was left out. */
export function shorten(text: string, max: number, unit: TextUnit): string {
  if (measure(text, unit) <= max) return text
  const room = max - measure('…', unit)
  const hardEnd = furthest(text, 0, room, unit)
  return `${text.slice(0, graphemeBoundary(text, 0, hardEnd)).trimEnd()}…`
}

/** As much of `text` as fits in `max` UTF-16 units without cutting a surrogate pair; for storage limits, where nothing is shown. */
export function clip(text: string, max: number): string {
  return text.length <= max ? text : text.slice(0, furthest(text, 0, max, 'characters'))
}
