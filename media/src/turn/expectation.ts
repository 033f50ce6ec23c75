/** What the agent has just asked for: it says how long a pause may be, and when the answer is whole. */
export type Expectation = { kind: 'free' | 'yes_no' | 'digits' | 'spelled_name' | 'email' | 'address' | 'date'; /** Digits that are awaited. */ count?: number }

type Rule = { kind: Expectation['kind']; asks: RegExp }

// The last question of what was said decides; the first rule that fits. English, German, Spanish, French.
const RULES: readonly Rule[] = [
  { kind: 'email', asks: /\be-?mail|correo|courriel/i },
  { kind: 'spelled_name', asks: /\bspell|buchstabier|deletre|épel|epel/i },
  { kind: 'digits', asks: /\b(number|digits|code|pin|nummer|ziffern|telefon|número|numero|teléfono|código|numéro|téléphone|chiffres)\b/i },
  { kind: 'address', asks: /\b(address|street|adresse|straße|strasse|dirección|calle|rue)\b/i },
  { kind: 'date', asks: /\b(date|birthday|what day|when would|datum|geburtstag|welchen tag|fecha|cumpleaños|qué día|quel jour|anniversaire)\b/i },
  { kind: 'yes_no', asks: /^(is|are|do|does|did|can|could|shall|should|would|will|have|has|may|ist|sind|haben|hat|kann|können|soll|sollen|darf|möchten|wollen|stimmt|es|está|puedo|puede|quiere|tiene|est-ce|êtes|avez|voulez|puis)\b/i },
]

export function detectExpectation(agentText: string): Expectation {
  const question = /([^.!?¿]*)\?\s*[^?]{0,40}$/.exec(agentText)?.[1]?.trim() ?? ''
  const asked = question === '' ? (/(?:please|bitte|por favor|s'il vous plaît)/i.test(agentText) ? agentText : '') : question
  const rule = asked === '' ? undefined : RULES.find(({ asks }) => asks.test(asked))
  if (!rule) return { kind: 'free' }
  const count = rule.kind === 'digits' ? countOf(asked) : undefined
  return count === undefined ? { kind: rule.kind } : { kind: rule.kind, count }
}

const NUMBER_WORDS: Record<string, number> = { three: 3, four: 4, five: 5, six: 6, seven: 7, eight: 8, nine: 9, ten: 10, drei: 3, vier: 4, fünf: 5, sechs: 6, sieben: 7, acht: 8, cuatro: 4, cinco: 5, seis: 6, quatre: 4, cinq: 5 }

function countOf(question: string): number | undefined {
  const found = /\b(\d{1,2}|\p{L}+)[- ]?(?:digit|digits|stellig\p{L}*|ziffern|dígitos|chiffres)/iu.exec(question)?.[1]?.toLowerCase()
  if (found === undefined) return undefined
  return /^\d/.test(found) ? Number(found) : NUMBER_WORDS[found]
}

const SPOKEN_DIGITS = /\b(zero|oh|one|two|three|four|five|six|seven|eight|nine|null|eins|zwei|zwo|drei|vier|fünf|sechs|sieben|acht|neun|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|zéro|un|deux|trois|quatre|cinq|sept|huit|neuf)\b/gi
const YES_NO = /^\W*(yes|yeah|yep|no|nope|sure|ja|nein|doch|sí|si|no|oui|non)\b/i
const EMAIL = /\S+\s*(@|\bat\b|\barroba\b|\bät\b|\barobase\b)\s*\S+.*(\.|\bdot\b|\bpunkt\b|\bpunto\b|\bpoint\b)\s*\p{L}{2,}\W*$/iu

/** True when nothing more has to be waited for. Free speech is never known to be whole. */
export function satisfies(expectation: Expectation, text: string): boolean {
  switch (expectation.kind) {
    case 'digits': return expectation.count !== undefined && digitsIn(text) >= expectation.count
    case 'yes_no': return YES_NO.test(text) && text.trim().split(/\s+/).length <= 3
    case 'email': return EMAIL.test(text.trim())
    default: return false
  }
}

export const digitsIn = (text: string): number => (text.match(/\d/g)?.length ?? 0) + (text.match(SPOKEN_DIGITS)?.length ?? 0)
