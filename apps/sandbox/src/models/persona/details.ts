import type { Turn } from '../transcript.ts'

/** What a customer has told about themselves. */
export type Details = { name?: string; email?: string; phone?: string; company?: string; budget?: string }
export type DetailKey = 'name' | 'email' | 'phone'

const EMAIL = /[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}/
const PHONE = /(?:\+|\b00)?\(?\d(?:[\s().\-/]{0,2}\d){6,14}\b/g
const DATE = /^\d{4}-\d{2}-\d{2}|^\d{1,2}[./]\d{1,2}[./]\d{2,4}$/
const NAME_WORD = "[\\p{Lu}][\\p{L}'’-]*"
const ANY_NAME_WORD = "[\\p{L}][\\p{L}'’-]+"
const SAID_NAME = new RegExp(`(?:my (?:full )?name(?:'s| is|:)|name:)\\s+(${ANY_NAME_WORD}(?:\\s+(?:(?:de|van|von|der|la|bin|al)\\s+)*${NAME_WORD}){0,3})`, 'iu')
const SELF_NAME = new RegExp(`(?:\\b[Ii](?:'m|’m| am)(?: called)?|\\b[Cc]all me|\\b[Tt]his is|\\b[Ii]t's)\\s+(${NAME_WORD}(?:\\s+(?:(?:de|van|von|der|la|bin|al)\\s+)*${NAME_WORD}){0,3})`, 'u')
const HERE_NAME = new RegExp(`^(?:[Hh]i|[Hh]ello|[Hh]ey)?,?\\s*(${NAME_WORD}(?:\\s+${NAME_WORD}){0,2}) here\\b`, 'u')
const ONLY_NAME = new RegExp(`^(?:it's |it is |sure,? |yes,? )?(${ANY_NAME_WORD}(?:\\s+${ANY_NAME_WORD}){0,3})(?:[.,!\\n]|\\s*$)`, 'iu')
const NOT_NAMES = new Set(
  'a an the not no yes ok okay sure hi hello hey thanks thank please looking interested trying just very so here from in on at happy good great fine maybe later why what how when where who which can could do does is are i we you it my our your and or but monday tuesday wednesday thursday friday saturday sunday today tomorrow need want have calling writing wondering glad sorry new back still also email phone number none nothing never rather prefer skip'.split(' '),
)
const COMPANY_WORD = "[\\p{Lu}\\d](?:[\\p{L}\\d&'’-]|\\.(?=[\\p{L}\\d]))*"
const COMPANY = new RegExp(
  `(?:\\b(?:I work (?:for|at|with)|I run|I own|we(?:'re| are)(?: called)?|company(?: name)?(?: is|'s|:)|on behalf of|employed (?:at|by)|(?:founder|owner|manager|director|head|CEO|CTO|COO)\\b[^.,!?]{0,30}?\\b(?:at|of)|calling from|writing from|\\bfrom|\\bat))\\s+(${COMPANY_WORD}(?:\\s+(?:&|and|of|${COMPANY_WORD})){0,4})`,
  'u',
)
const PLACES = new Set('Berlin Munich Hamburg Vienna Zurich London Paris Madrid Rome Lisbon Amsterdam Dublin York Boston Chicago Texas California Germany Austria Switzerland France Spain Italy England Scotland Ireland America Canada India Europe Asia Africa Australia'.split(' '))
const MONEY = /(?:(?:[$€£]|\b(?:USD|EUR|GBP|CHF)\s?)\s?\d[\d.,]*\s?(?:k|m|thousand|million)?\b|\b\d[\d.,]*\s?(?:k|thousand|million)?\s?(?:[$€£]|dollars?|euros?|pounds?|francs?|USD|EUR|GBP|CHF)(?![\w]))/i
const BUDGET = new RegExp(`(?:${MONEY.source})(?:\\s?(?:-|–|to)\\s?(?:${MONEY.source}|\\d[\\d.,]*\\s?k?))?(?:\\s?(?:(?:per|a|each|/)\\s?(?:month|year|seat|user|person|night|hour)|monthly|yearly))?`, 'i')
const BARE_BUDGET = /budget(?:'s| is| of|:)?\s+(?:about |around |roughly |up to |max(?:imum)? )?(\d[\d.,]*\s?(?:k|thousand|million)?)/i

/** All that the customer's turns tell; later words win, answers to our questions count. */
export function learn(turns: readonly Turn[]): Details {
  const details: Details = {}
  for (const [index, turn] of turns.entries()) {
    if (turn.role !== 'user') continue
    const asked = askedBefore(turns, index)
    Object.assign(details, detailsOf(turn.text, asked))
  }
  return details
}

/** What one message tells; `asked` is what we had just asked for. */
export function detailsOf(text: string, asked: DetailKey | null = null): Details {
  const found: Details = {}
  const email = EMAIL.exec(text)?.[0]
  const phone = findPhone(email ? text.replace(email, ' ') : text)
  const name = findName(text, asked === 'name')
  const company = findCompany(text)
  const budget = BUDGET.exec(text)?.[0] ?? BARE_BUDGET.exec(text)?.[1]
  if (email) found.email = email.replace(/\.$/, '').toLowerCase()
  if (phone) found.phone = phone
  if (name) found.name = name
  if (company) found.company = company
  if (budget) found.budget = budget.trim()
  return found
}

/** Which detail our last message before `index` asked for. */
export function askedBefore(turns: readonly Turn[], index: number): DetailKey | null {
  for (let i = index - 1; i >= 0; i--) if (turns[i]!.role === 'assistant') return askedIn(turns[i]!.text)
  return null
}

export function askedIn(text: string): DetailKey | null {
  const question = text.split(/(?<=[.!])\s/).findLast((sentence) => sentence.includes('?'))?.toLowerCase()
  if (!question) return null
  if (/e-?mail/.test(question)) return 'email'
  if (/phone|number|reach you|call you/.test(question)) return 'phone'
  return /your (?:full )?name|name, please|whom? (?:am i|do i)/.test(question) ? 'name' : null
}

function findPhone(text: string): string | undefined {
  for (const match of text.matchAll(PHONE)) {
    const raw = match[0].trim()
    const before = text.slice(Math.max(0, match.index - 16), match.index)
    if (DATE.test(raw) || /(?:order|ticket|invoice|#|[$€£])\s*(?:no\.?|number|id)?\s*#?$/i.test(before)) continue
    return raw.replace(/[\s().\-/]+/g, ' ').trim()
  }
  return undefined
}

function findName(text: string, asked: boolean): string | undefined {
  const said = SAID_NAME.exec(text)?.[1] ?? HERE_NAME.exec(text)?.[1] ?? SELF_NAME.exec(text)?.[1]
  if (said && isName(said)) return tidyName(said)
  const bare = asked ? ONLY_NAME.exec(text.trim().replace(EMAIL, ' ').trim())?.[1] : undefined
  return bare && isName(bare) ? tidyName(bare) : undefined
}

const isName = (text: string): boolean => !NOT_NAMES.has(text.split(/\s+/)[0]!.toLowerCase())

/** `ada lovelace and` -> `Ada Lovelace`. */
function tidyName(text: string): string {
  const words = text.split(/\s+/)
  const end = words.findIndex((word, index) => index > 0 && (NOT_NAMES.has(word.toLowerCase()) || /^(?:from|with|at|of)$/i.test(word)))
  return words.slice(0, end === -1 ? 4 : end).map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(' ')
}

function findCompany(text: string): string | undefined {
  const company = COMPANY.exec(text)?.[1]?.replace(/(?:\s+(?:and|of))?[.'’]*$/u, '').trim()
  if (!company || PLACES.has(company.split(' ').at(-1)!) || /^\d/.test(company) || NOT_NAMES.has(company.toLowerCase())) return undefined
  return company.replace(/\s+(?:My|I|We|And|The|Our)\b.*$/u, '')
}
