import { signWords, type SignWords } from './language.ts'
import type { Rule } from './rule.ts'

const EMAIL = /[\p{L}\p{N}](?:[\p{L}\p{N}._%+-]*[\p{L}\p{N}_%+-])?@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+\p{L}{2,}/gu
const WEB = /(?:https?:\/\/|www\.)[^\s<>()"'，。]*[\p{L}\p{N}/]/giu
/** A plus or a leading zero, or digits in groups; at least seven digits in all and no decimals. */
const PHONE = /(?<![\p{L}\p{N}.,€$£-])(?:\+\d[\d ()/.-]{5,}\d|\(?0\d[\d ()/-]{4,}\d|\(?\d{2,4}\)?[ /-]\d{2,4}[ /-]\d{3,}(?:[ /-]?\d+)*)(?![\p{L}\p{N}%€$£]|[.,]\d)/gu

const emails: Rule = (text, language) => [...text.matchAll(EMAIL)].map((match) => ({ from: match.index, to: match.index + match[0].length, words: spellAddress(match[0], signWords(language)) }))

const web: Rule = (text, language) =>
  [...text.matchAll(WEB)].map((match) => ({ from: match.index, to: match.index + match[0].length, words: spellAddress(match[0].replace(/^https?:\/\//iu, '').replace(/^www\./iu, '').replace(/[?#].*$/u, '').replace(/\/$/u, ''), signWords(language)) }))

const phones: Rule = (text, language) =>
  [...text.matchAll(PHONE)].filter((match) => match[0].replaceAll(/\D/gu, '').length >= 7 && !isDate(match[0])).map((match) => ({ from: match.index, to: match.index + match[0].length, words: spellPhone(match[0], signWords(language)) }))

/** "2026-11-21", "21/11/2026": three groups with one of four digits that is a year. */
const isDate = (text: string): boolean => /^(?:(?:19|20)\d{2}[-/. ]\d{1,2}[-/. ]\d{1,2}|\d{1,2}[-/. ]\d{1,2}[-/. ](?:19|20)\d{2})$/u.test(text)

const spellAddress = (address: string, words: SignWords): string =>
  address
    .replaceAll('@', ` ${words.at} `)
    .replaceAll('.', ` ${words.dot} `)
    .replaceAll('/', ` ${words.slash} `)
    .replaceAll('_', ` ${words.underscore} `)
    .replaceAll('-', ` ${words.dash} `)
    .replaceAll('+', ` ${words.plus} `)
    .replaceAll('%', ` ${words.percent} `)
    .replaceAll(/\d{2,}/gu, (digits) => digits.split('').join(' '))
    .replaceAll(/ {2,}/gu, ' ')
    .trim()

/** Digit by digit, a breath between the groups: "+49 170 12" -> "plus 4 9, 1 7 0, 1 2". Groups are the writer's; long ones are cut by three. */
function spellPhone(phone: string, words: SignWords): string {
  const groups = phone.split(/\D+/u).filter(Boolean).flatMap(byThree)
  return `${phone.startsWith('+') ? `${words.plus} ` : ''}${groups.map((group) => group.split('').join(' ')).join(', ')}`
}

function byThree(digits: string): string[] {
  const groups: string[] = []
  // A last digit is not left alone: 7 digits are 3 + 4.
  for (let rest = digits; rest; ) {
    const take = rest.length <= 4 ? rest.length : 3
    groups.push(rest.slice(0, take))
    rest = rest.slice(take)
  }
  return groups
}

export const CONTACT_RULES: readonly Rule[] = [emails, web, phones]
