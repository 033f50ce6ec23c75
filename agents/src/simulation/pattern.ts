import { AppError } from '@trunkline/core'
import { RE2JS } from 're2js'

/** Finds what a test looks for in what was said. Linear in the text, whatever the pattern: it comes from outside. */
export type Pattern = { find: (text: string) => string | null }

/** Of what was found: so much before and behind it is shown. */
const AROUND_CHARS = 40

/**
 * `/nine|9:00/` is a regular expression of RE2, whose case does not count. Anything else are words in a row: case, punctuation and the
 * space between them do not count. `find` answers with the place and its neighbourhood. Throws AppError `invalid_request` for a bad expression.
 */
export function compilePattern(source: string): Pattern {
  const expression = /^\/(.+)\/$/s.exec(source.trim())?.[1]
  return expression === undefined ? words(source) : regular(expression)
}

function regular(expression: string): Pattern {
  const compiled = parse(expression)
  return {
    find(text) {
      const matcher = compiled.matcher(text)
      return matcher.find() ? excerpt(text, matcher.start(), matcher.end()) : null
    },
  }
}

function parse(expression: string): ReturnType<typeof RE2JS.compile> {
  try {
    return RE2JS.compile(expression, RE2JS.CASE_INSENSITIVE | RE2JS.DOTALL)
  } catch (cause) {
    throw new AppError('invalid_request', { message: `This is no regular expression of RE2: ${cause instanceof Error ? cause.message : 'it cannot be read'}.`, cause })
  }
}

const WORD = /[\p{L}\p{N}]+(?:[.,:'’-][\p{L}\p{N}]+)*/gu
const fold = (word: string): string => word.normalize('NFKC').toLowerCase().replaceAll('’', "'")

/** The words of a text as they are compared. */
export const wordsOf = (text: string): string[] => [...text.matchAll(WORD)].map(([word]) => fold(word))

function words(source: string): Pattern {
  const wanted = wordsOf(source)
  if (wanted.length === 0) throw new AppError('invalid_request', { message: 'There is no word to look for.' })
  return {
    find(text) {
      const said = [...text.matchAll(WORD)]
      const at = said.findIndex((_, index) => wanted.every((word, offset) => said[index + offset] !== undefined && fold(said[index + offset]![0]) === word))
      if (at < 0) return null
      const last = said[at + wanted.length - 1]!
      return excerpt(text, said[at]!.index, last.index + last[0].length)
    },
  }
}

function excerpt(text: string, start: number, end: number): string {
  const [from, to] = [Math.max(0, start - AROUND_CHARS), Math.min(text.length, end + AROUND_CHARS)]
  return `${from > 0 ? '…' : ''}${text.slice(from, to).trim()}${to < text.length ? '…' : ''}`
}
