import { hasOrdinalDots, isAbbreviation } from './language.ts'

/** Ends of sentences with what may close after them. CJK marks need no space behind them. */
const SENTENCE_END = /(?:[.!?…]+["'”’»)\]*_]*(?=\s)\s+|[。！？]+["'”’」』）]*\s*|\n\s*)/gu

/**
 * Length of the first sentence with the spaces behind it, at least `minChars` long; 0 when none is complete yet. A full stop is
 * believed only when what follows shows that it is one ("Dr. Smith", "approx. five", "3. the").
 */
export function sentenceCut(text: string, options: { language: string | null; minChars: number; last: boolean }): number {
  SENTENCE_END.lastIndex = 0
  for (let match = SENTENCE_END.exec(text); match; match = SENTENCE_END.exec(text)) {
    const end = match.index + match[0].length
    if (text.slice(0, end).trim().length < options.minChars || insideLink(text, end)) continue
    if (match[0].startsWith('.') && !match[0].startsWith('..') && !match[0].includes('\n')) {
      const verdict = fullStop(text, match.index, end, options)
      if (verdict === 'wait') return 0
      if (verdict === 'no') continue
    }
    return end
  }
  return 0
}

function fullStop(text: string, dot: number, end: number, { language, last }: { language: string | null; last: boolean }): 'yes' | 'no' | 'wait' {
  const word = /\S*$/u.exec(text.slice(Math.max(0, dot - 24), dot))![0]
  const next = text[end]
  // Initials ("J. Smith"), numbers of a list ("1. item") and ordinals of languages that write them so ("am 3. Mai").
  if (/^["'(]*\p{Lu}$/u.test(word) || isAbbreviation(word, language)) return 'no'
  if (/^["'(]*\d{1,3}$/u.test(word) && (hasOrdinalDots(language) || beginsLine(text, dot - word.length))) return 'no'
  if (next === undefined) return last ? 'yes' : word.length <= 4 ? 'wait' : 'yes'
  return /\p{Ll}/u.test(next) ? 'no' : 'yes'
}

/** White space of the same line at most stands before it. */
const beginsLine = (text: string, at: number): boolean => /(?:^|\n)[ \t]*$/u.test(text.slice(Math.max(0, at - 24), at)) && (at <= 24 || text.slice(at - 24, at).includes('\n'))

const CLAUSE_END = /[,;:–—][)"'”’»]*\s+/gu
/** A clause shorter than this sounds chopped when it is spoken alone. */
const CLAUSE_MIN = 6

/** First chunk: up to the first comma, else the first border of words after `chars` characters. 0: not yet. */
export function earlyCut(text: string, chars: number): number {
  CLAUSE_END.lastIndex = 0
  for (let match = CLAUSE_END.exec(text); match; match = CLAUSE_END.exec(text)) {
    const end = match.index + match[0].length
    if (text.slice(0, match.index).trim().length >= CLAUSE_MIN && end < text.length && !splits(text, end)) return end
  }
  return borderAfter(text, chars)
}

function borderAfter(text: string, chars: number): number {
  const lead = /^\s*/u.exec(text)![0].length
  for (let at = lead + chars; at < text.length; at++) if (/\s/u.test(text[at - 1]!) && /\S/u.test(text[at]!) && !splits(text, at)) return at
  return 0
}

/** At most `maxChars`: at the last clause or word border in the second half, else in the middle of whatever it is. */
export function forcedCut(text: string, maxChars: number): number {
  const window = text.slice(0, maxChars + 1)
  const clauses = [...window.matchAll(CLAUSE_END)].map((match) => match.index + match[0].length)
  const words = [...window.matchAll(/\s+/gu)].map((match) => match.index + match[0].length)
  for (const borders of [clauses, words]) {
    const best = borders.findLast((at) => at <= maxChars && at > maxChars / 2 && !splits(text, at))
    if (best) return best
  }
  const hard = words.findLast((at) => at <= maxChars && at > 0) ?? maxChars
  // Not between the halves of one character outside the basic plane.
  return hard > 1 && hard < text.length && /[\uD800-\uDBFF]/.test(text[hard - 1]!) ? hard - 1 : hard
}

/** Would a cut at `at` fall into a telephone number, a link, or between a title and its name? */
function splits(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 24), at)
  const after = text.slice(at, at + 8)
  if (/[\d+()/-]\s*$/u.test(before) && /^[\d(]/u.test(after) && /\d/.test(before)) return true
  const word = /(\S+)\s+$/u.exec(before)?.[1]
  if (word?.endsWith('.') && isAbbreviation(word.slice(0, -1), null)) return true
  return insideLink(text, at)
}

/** `[words](address)`: both parts are needed to tell it from plain text. Only looks back a little: an open bracket alone means nothing. */
function insideLink(text: string, at: number): boolean {
  const line = text.slice(Math.max(0, at - 200), at)
  const open = line.lastIndexOf('[')
  if (open < 0 || line.indexOf('\n', open) >= 0) return false
  const rest = line.slice(open)
  const closed = /\]\(([^)\s]*)\)/u.test(rest) || /\](?!\()/u.test(rest.slice(0, -1)) || (rest.endsWith(']') && !text.startsWith('(', at))
  return !closed
}
