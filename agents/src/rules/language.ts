import { LANGUAGES } from './phrases.ts'
import type { Language } from './phrases.ts'

/** Words that are frequent in one of the six languages and rare or absent in the other five, without accents; 3 points for words that only one has. */
const MARKERS: Record<Language, { strong: string; weak: string }> = {
  en: {
    strong: 'the my is are hello hi hey please thanks thank you your would like want need what when how can could have this with name appointment tomorrow today open about help yes looking book',
    weak: 'i a an to of for in on it do does and at we',
  },
  de: {
    strong: 'ich und der das ist nicht hallo guten guten tag moin bitte danke mein meine heisse heiße sie ihr wie was wann haben habe mochte möchte brauche termin kann konnen können einen eine für fur mit auf morgen heute geöffnet geoffnet bin gerne uns nach auch nein ja',
    weak: 'die den dem ein im am zu von es',
  },
  es: {
    strong: 'hola buenos dias buenas tardes gracias por favor quiero quisiera necesito cuando donde como estan abiertos me llamo soy mi nombre una cita el los las pero muy tengo ustedes usted puedo manana hoy si esta horario abren persona hablar',
    weak: 'de la y que un en con es',
  },
  fr: {
    strong: 'bonjour bonsoir salut merci je suis nous vous est les des une pour avec quand comment voudrais voulez mon ma ouvert ouverts appelle rendez vous rdv demain aujourd hui oui non pas etes sil plait avez horaires du au et ai',
    weak: 'le la de un en que',
  },
  it: {
    strong: 'ciao buongiorno buonasera salve grazie per favore vorrei sono mi chiamo il gli come quando dove siete aperti avete bisogno appuntamento domani oggi che di con una mio mia questo posso parlare nome orari della',
    weak: 'la e un in lo i',
  },
  pt: {
    strong: 'ola olá bom dia boa tarde boa noite obrigado obrigada por favor quero queria gostaria preciso meu minha nome chamo quando onde estao estão abertos você voce voces uma os as com para amanha amanhã hoje sim nao não tenho marcar falar isso sou',
    weak: 'o a e de um em que do da no',
  },
}
/** Letters that, among the six, speak for one or two. */
const LETTERS: [RegExp, Partial<Record<Language, number>>][] = [
  [/[äöß]/i, { de: 3 }],
  [/ü/i, { de: 2 }],
  [/[ñ¿¡]/i, { es: 4 }],
  [/[ãõ]/i, { pt: 4 }],
  [/[èê]/i, { fr: 2, it: 1, pt: 1 }],
  [/[ìò]/i, { it: 3 }],
  [/ç/i, { fr: 2, pt: 2 }],
  [/\b[cdjlmnqst][’'](?=[aeéèhiouy])/i, { fr: 2, it: 1 }],
]

const POINTS = new Map<string, Partial<Record<Language, number>>>()
for (const language of LANGUAGES) {
  for (const [words, points] of [[MARKERS[language].strong, 3], [MARKERS[language].weak, 1]] as const) {
    for (const word of words.split(' ')) POINTS.set(word, { ...POINTS.get(word), [language]: points })
  }
}

/** A word of everyday speech in any of the six; such a word in lower case is no name. */
export const isCommonWord = (word: string) => POINTS.has(word.toLowerCase())

/** A word that several languages share tells less. */
function pointsOf(word: string): Partial<Record<Language, number>> {
  const found = POINTS.get(word) ?? {}
  const sharers = Object.keys(found).length
  return sharers > 2 ? {} : found
}

/**
 * The language of a customer among six, from their messages, newest last; newer ones weigh more. `fallback` when nothing tells.
 * Built for short chat lines: a greeting is enough.
 */
export function detectLanguage(texts: readonly string[], fallback: Language = 'en'): Language {
  const scores: Record<Language, number> = { en: 0, de: 0, es: 0, fr: 0, it: 0, pt: 0 }
  texts.slice(-6).forEach((text, index, recent) => addScores(scores, text.slice(0, 1_000), 1 + (index + 1) / recent.length))
  const [best, second] = LANGUAGES.toSorted((a, b) => scores[b] - scores[a])
  if (scores[best!] < 2) return fallback
  // Equal evidence: stay with what was spoken so far.
  return scores[best!] === scores[second!] && scores[fallback] === scores[best!] ? fallback : best!
}

function addScores(scores: Record<Language, number>, text: string, weight: number): void {
  const lower = text.toLowerCase()
  for (const word of lower.match(/[\p{L}]+/gu) ?? []) {
    for (const [language, points] of Object.entries(pointsOf(word))) scores[language as Language] += points * weight
  }
  for (const [letter, points] of LETTERS) {
    if (letter.test(lower)) for (const [language, value] of Object.entries(points)) scores[language as Language] += value * weight
  }
}
