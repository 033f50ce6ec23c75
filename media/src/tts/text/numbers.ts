import { toCardinal as de } from 'n2words/de-DE'
import { toCardinal as en } from 'n2words/en-US'
import { toCardinal as es } from 'n2words/es-ES'
import { toCardinal as fr } from 'n2words/fr-FR'
import { toCardinal as it } from 'n2words/it-IT'
import { toCardinal as nl } from 'n2words/nl-NL'
import { toCardinal as pt } from 'n2words/pt-PT'
import { baseLanguage, signWords, type SignWords } from './language.ts'
import type { Edit, Rule } from './rule.ts'

type Cardinal = (value: string) => string
const CARDINALS: Record<string, Cardinal> = { de, en, es, fr, it, nl, pt }

/** A number with its sign of money or percent. Not times, dates, versions or parts of a word. */
const NUMBER = /(?<![\p{L}\p{N}.,:/-])([€$£]\s?)?(-(?=\d))?(\d(?:[\d.,]*\d)?)(\s?[€$£%])?(?![\p{L}\p{N}:/]|[.,]\d)/gu
/** Longer runs of digits are identifiers: read digit by digit. */
const MAX_DIGITS = 15

const numbers: Rule = (text, language) => {
  const cardinal = CARDINALS[baseLanguage(language)]
  if (!cardinal) return []
  return [...text.matchAll(NUMBER)].flatMap((match) => editOf(match, cardinal, signWords(language)))
}

function editOf(match: RegExpExecArray, cardinal: Cardinal, words: SignWords): Edit[] {
  const [whole, front = '', minus = '', digits = '', behind = ''] = match
  const value = parse(digits, words.decimal)
  if (!value) return []
  const sign = (front || behind).trim()
  return [{ from: match.index, to: match.index + whole.length, words: say(value, minus, sign, cardinal, words) }]
}

type Value = { whole: string; fraction: string }

/** "1,234.5" or "1.234,5" by the language's decimal mark; null: this is no number (a date, a version). */
function parse(digits: string, decimal: '.' | ','): Value | null {
  const thousands = decimal === '.' ? ',' : '.'
  const [whole = '', fraction = '', ...more] = digits.split(decimal)
  const grouped = /^\d{1,3}(?:[.,]\d{3})+$/u.test(whole)
  if (more.length > 0 || fraction.includes(thousands) || (whole.includes(thousands) && !grouped)) return null
  return { whole: whole.replaceAll(thousands, ''), fraction }
}

function say({ whole, fraction }: Value, minus: string, sign: string, cardinal: Cardinal, words: SignWords): string {
  const singly = fraction === '' && (whole.length > MAX_DIGITS || /^0\d/u.test(whole))
  if (singly) return whole.split('').map((digit) => cardinal(digit)).join(' ')
  if (sign === '%') return `${cardinal(`${minus}${whole}${fraction && `.${fraction}`}`)} ${words.percent}`
  if (sign === '' || fraction.length > 2) return cardinal(`${minus}${whole}${fraction && `.${fraction}`}`)
  const [one, many] = words.currencies[sign]!
  const cents = Number(fraction.padEnd(2, '0'))
  return [cardinal(minus + whole), whole === '1' ? one : many, ...(cents > 0 ? [cardinal(String(cents))] : [])].join(' ')
}

export const NUMBER_RULES: readonly Rule[] = [numbers]
