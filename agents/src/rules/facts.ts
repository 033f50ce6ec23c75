import { isCommonWord } from './language.ts'
import { plain, wishesOf, withoutPoliteness } from './wishes.ts'

const EMAIL = /[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\.){1,8}[a-z]{2,24}/i
/** "jane (at) example (dot) com", as people write against robots. */
const SPELLED = /([a-z0-9][a-z0-9._%+-]{0,63})\s*[([{]\s*(?:at|arroba|chiocciola|a)\s*[)\]}]\s*([a-z0-9-]{1,63})\s*(?:\.|[([{]\s*(?:dot|punkt|punto|point|ponto)\s*[)\]}])\s*([a-z]{2,24})/i

export function findEmail(text: string): string | null {
  const found = EMAIL.exec(text)?.[0]
  if (found) return found.toLowerCase()
  const spelled = SPELLED.exec(text)
  return spelled ? `${spelled[1]}@${spelled[2]}.${spelled[3]}`.toLowerCase() : null
}

const CANDIDATE = /(?:\+|\b00|\(\+?)?\(?\d(?:[\s().\-/–]{0,3}\d){5,17}/g
const DATE = /^(\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\s?\d{1,2}[-./]\s?\d{2,4})\b/
const PHONE_WORD =
  /(phone|mobile|cell|call me|number is|reach me|whatsapp|tel\b|tel\.|telefon|handy|mobil|nummer|ruf|telefono|movil|celular|numero|llam|telephone|portable|appel|cellulare|chiam|telemovel|ligue|ligar|contacto)/
const NOT_PHONE_WORD = /(order|invoice|ticket|booking|reference|bestell|rechnung|auftrag|kunden-?nr|kundennummer|pedido|factura|reserva|commande|facture|ordine|fattura|encomenda|fatura|iban|zip|plz|euro|eur|usd|€|\$|£)[^\d]{0,25}$/

/**
 * A phone number as `+` and digits, or digits only. Unprompted, a bare run of digits is a number only with a sign of it (`+`, leading 0,
 * grouping, a word for phone); right after we asked for it, 6 to 15 digits are enough.
 */
export function findPhone(text: string, asked = false): string | null {
  const hidden = text.replace(EMAIL, ' ').replace(/https?:\/\/\S+/gi, ' ')
  for (const match of hidden.matchAll(CANDIDATE)) {
    const raw = match[0]
    const before = plain(hidden.slice(Math.max(0, match.index - 40), match.index))
    const phone = normalisePhone(raw)
    const digits = phone.replace('+', '')
    if (digits.length < (asked ? 6 : 7) || digits.length > 15) continue
    if (DATE.test(raw.trim()) || /^(.)\1+$/.test(digits)) continue
    if (asked || looksLikePhone(raw, phone, before, plain(hidden))) return phone
  }
  return null
}

function looksLikePhone(raw: string, phone: string, before: string, whole: string): boolean {
  if (NOT_PHONE_WORD.test(before)) return false
  if (phone.startsWith('+') || raw.startsWith('0')) return true
  const digits = phone.length
  if (PHONE_WORD.test(whole) && digits >= 7) return true
  return digits >= 9 && /\d[\s().\-/–]+\d/.test(raw)
}

/** ITU E.164 writes `+`; `00` is its dialled form in most of the world; "(0)" inside an international number is not dialled. */
function normalisePhone(raw: string): string {
  const international = /^\(?\s*(\+|00)/.test(raw)
  const digits = (international ? raw.replace(/\(0\)/, '') : raw).replace(/\D/g, '')
  return international ? `+${digits.replace(/^00/, '')}` : digits
}

const PARTICLES = "von|van|de|der|den|del|della|di|da|dos|das|du|la|le|el|al|bin|ten|zu|zum|af"
const WORD = "\\p{L}[\\p{L}'’.-]*"
/** Said as one's name and nothing else: any case is believed. */
const STRONG =
  /(?:\bmy (?:full )?name(?:'s|’s| is)|\bi(?:'m| am) called|\bname ?:|\bmein name ist|\bich hei(?:ß|ss)e|\bname lautet|\bme llamo|\bmi nombre es|\bje m['’]appelle|\bmon nom(?: c)?['’ ]?est|\bmi chiamo|\bil mio nome [eè]['’]?|\bmeu nome [eé]|\bme chamo|\bchamo-me)\s+(.{2,80})/iu
/** Also said of many other things ("I'm late"): only capitalised words that are no common noun are believed. */
const WEAK =
  /\b(?:[iI]['’]m|[iI] am|[tT]his is|[iI]t['’]s|[hH]ere is|[hH]ier (?:ist|spricht)|[iI]ch bin(?: (?:die|der))?|[sS]oy|[jJ]e suis|[cC]['’]est|[sS]ono|[sS]ou(?: (?:o|a))?|[aA]qui (?:é|fala)(?: (?:o|a))?)\s+(\p{Lu}.{1,79})/u
/** After a weak introduction these are not names (German writes every noun with a capital). */
const NO_NAMES = new Set(
  'kunde kundin neukunde neukundin mieter mieterin vermieter student studentin patient patientin interessent interessentin mitglied besitzer inhaber inhaberin gast vater mutter unternehmer freiberufler privatpatient rentner schuler anfanger leiter leiterin geschaftsfuhrer geschaftsfuhrerin interested looking happy sorry afraid sure not very so from in at a an the just also still trying having calling writing cliente paciente client cliente interesado interesada interesse interesse interested urgent important ok okay yes no good fine new here back german english spanish french italian portuguese american british'.split(' '),
)
const STOP = /^(and|und|y|et|e|but|aber|pero|mais|ma|from|aus|de|with|mit|con|avec|com|i|ich|je|io|eu|yo|my|mein|meine|mi|mon|mio|meu|at|bei|here|hier|aqui|ici|qui|please|bitte|the|der|die|das|a|an|ein|eine|calling|who|which|und|or|oder|email|e-mail|phone|tel|telefon|für|fuer|for|to|because|weil|wegen|looking|interested|about|o|do|da)$/i

export function findName(text: string): string | null {
  const strong = STRONG.exec(text)?.[1]
  if (strong) return nameFrom(strong, false)
  const weak = WEAK.exec(text)?.[1]
  return weak ? nameFrom(weak, true) : null
}

/** The first one to four words that can be a name; ends at punctuation, a digit or a word that begins another thought. */
function nameFrom(rest: string, weak: boolean): string | null {
  const words: string[] = []
  for (const token of (rest.split(/[,;:!?\n(\d@]|\.\s|\.$/u)[0] ?? '').split(/\s+/).filter(Boolean)) {
    if (!new RegExp(`^${WORD}$`, 'u').test(token) || words.length === 4) break
    const particle = words.length > 0 && new RegExp(`^(${PARTICLES})$`, 'i').test(token) && token === token.toLowerCase()
    if (!particle && (STOP.test(token) || (weak && !/^\p{Lu}/u.test(token)))) break
    words.push(token)
  }
  while (words.length > 0 && new RegExp(`^(${PARTICLES})$`).test(words.at(-1)!)) words.pop()
  if (words.length === 0 || (weak && words.some((word) => NO_NAMES.has(plain(word))))) return null
  const name = words.map((word) => (word === word.toLowerCase() && !new RegExp(`^(${PARTICLES})$`).test(word) ? capitalised(word) : word)).join(' ')
  return name.length >= 2 && name.length <= 80 ? name : null
}

const capitalised = (word: string) => word.replace(/(^|[-'’])\p{L}/gu, (letter) => letter.toUpperCase())

/** Right after "what is your name?" a short line of letters is the name. */
export function findBareName(text: string): string | null {
  const introduced = findName(text)
  if (introduced) return introduced
  const line = text.replace(/\S+@\S+/g, ' ').replace(CANDIDATE, ' ').replace(/\s+/g, ' ').trim().replace(/[\s.,;!]+$/, '')
  const words = line.split(/[\s,]+/)
  if (line.length > 60 || words.length > 4 || /[?\d@/]/.test(line)) return null
  if (!words.every((word) => new RegExp(`^${WORD}$`, 'u').test(word))) return null
  if (words.some((word) => word === word.toLowerCase() && isCommonWord(word) && !new RegExp(`^(${PARTICLES})$`).test(word))) return null
  const wishes = wishesOf(line)
  if (wishes.size > 0 || withoutPoliteness(line) === '' || NOT_AN_ANSWER.test(plain(line))) return null
  return nameFrom(line.replaceAll(',', ''), false)
}

const NOT_AN_ANSWER = /^(yes|yeah|yep|ok(ay)?|sure|why|what|no|ja|gerne|klar|warum|was|si|claro|vale|oui|pourquoi|certo|va bene|sim|porque|por que|maybe|later|vielleicht|spater)\b/
