import type { HistoryItem } from '../history.ts'
import { findBareName, findEmail, findName, findPhone } from './facts.ts'
import { PHRASES } from './phrases.ts'
import type { LeadQuestion } from './phrases.ts'
import { plain, wishesOf, withoutPoliteness } from './wishes.ts'

/** What was said and in which message. */
export type Fact = { value: string; messageId: string }
export type Gathered = { facts: Partial<Record<LeadQuestion, Fact>>; asked: Set<LeadQuestion> }

/** How models and people ask, beside our own phrases: a sentence with a question mark and a word for the field. */
const ASKS: Record<LeadQuestion, RegExp> = {
  name: /\b(your (full )?name|ihr(en)? namen?|dein(en)? namen?|su nombre|tu nombre|como se llama|votre nom|comment vous appelez|suo nome|come si chiama|seu nome|como se chama|who am i (speaking|talking))\b/,
  email: /\b(e-?mail|correo|courriel|posta elettronica)\b/,
  phone: /\b(phone|mobile number|telefon\w*|handynummer|rufnummer|telefono|movil|celular|telephone|cellulare|telemovel|reach you on)\b/,
  intent: /\b(how can (i|we) help|what can (i|we) do for you|what is it about|worum geht|wie kann ich|was konnen wir|en que puedo|en que podemos|que puedo hacer|que podemos hacer|comment puis-je|que puis-je|que pouvons-nous|come posso|che cosa possiamo|como posso|o que podemos)\b/,
}

/** Which fields a line of ours asked for. */
export function asksOf(text: string): Set<LeadQuestion> {
  const asked = new Set<LeadQuestion>()
  for (const sentence of text.split(/(?<=[.!?？])\s+|\n/).filter((part) => /[?？]/.test(part))) {
    const line = plain(sentence)
    for (const field of Object.keys(ASKS) as LeadQuestion[]) {
      if (ASKS[field].test(line) || Object.values(PHRASES).some((phrases) => phrases.ask[field] === sentence.trim())) asked.add(field)
    }
  }
  return asked
}

/** Reads a conversation once, oldest first: each field's first value, and which fields we have asked for. */
export function gather(items: readonly HistoryItem[]): Gathered {
  const gathered: Gathered = { facts: {}, asked: new Set() }
  let open = new Set<LeadQuestion>()
  for (const item of items) {
    if (item.role === 'customer') {
      readCustomer(gathered, item, open)
      continue
    }
    if (item.role === 'note') continue
    open = asksOf(item.text)
    for (const field of open) gathered.asked.add(field)
  }
  return gathered
}

function readCustomer(gathered: Gathered, item: HistoryItem, open: ReadonlySet<LeadQuestion>): void {
  const text = item.text.slice(0, 4_000)
  const note = (field: LeadQuestion, value: string | null) => {
    if (value !== null) gathered.facts[field] ??= { value, messageId: item.messageId }
  }
  note('email', findEmail(text))
  note('phone', findPhone(text, open.has('phone')))
  note('name', open.has('name') && !gathered.facts.name ? findBareName(text) : findName(text))
  note('intent', intentOf(text, open))
}

const INTENT_MAX = 300
/** A line that is an answer to our question about name, e-mail or phone is no wish. */
function intentOf(text: string, open: ReadonlySet<LeadQuestion>): string | null {
  const wishes = wishesOf(text)
  if (wishes.has('human') || wishes.has('refuse')) return null
  const rest = withoutPoliteness(withoutFacts(text))
  const words = rest.split(' ').filter((word) => word.length > 1)
  // To ask for the opening hours is no wish that a colleague could follow up.
  if (wishes.has('hours') && words.length <= 8) return null
  return saysEnough(words, rest, open) ? text.replace(/\s+/g, ' ').trim().slice(0, INTENT_MAX) : null
}

/** How much a line must say to be a wish: one word right after we asked for it, a sentence when we asked for something else. */
function saysEnough(words: readonly string[], rest: string, open: ReadonlySet<LeadQuestion>): boolean {
  const askedElse = open.has('name') || open.has('email') || open.has('phone')
  if (open.has('intent') && !askedElse) return words.length >= 1
  if (askedElse || /^(yes|no|ok|okay|ja|nein|si|non|oui|sim|nao)\b/.test(rest)) return words.length >= 4
  return words.length >= 2 && words.join('').length >= 8
}

const INTRODUCTIONS =
  /\b(my name is|my name's|i'm|i am|this is|mein name ist|ich hei(ß|ss)e|ich bin|hier ist|me llamo|mi nombre es|soy|je m['’]appelle|je suis|mon nom est|mi chiamo|sono|meu nome [eé]|me chamo|sou|(my )?(e-?mail|phone|number|telefon(nummer)?|nummer)( address)?( is| ist)?:?|you can reach me (at|on)|reach me (at|on)|meine)\b/giu

function withoutFacts(text: string): string {
  const name = findName(text)
  const noName = name ? text.replace(new RegExp(name.split(' ').map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('\\s+'), 'iu'), ' ') : text
  return noName.replace(/\S+@\S+/g, ' ').replace(/[+(]?\d[\d\s().\-/]{4,}/g, ' ').replace(INTRODUCTIONS, ' ')
}
