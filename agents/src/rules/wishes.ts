/** What a customer's line asks for, as far as fixed words tell. Patterns work on lower case without accents. */
export type Wish = 'greeting' | 'human' | 'hours' | 'thanks' | 'bye' | 'refuse'

export const plain = (text: string) => text.toLowerCase().replaceAll('ß', 'ss').normalize('NFD').replace(/\p{M}/gu, '').replaceAll('’', "'")

const GREETING =
  /^(hello|hi|hey|hiya|good (morning|afternoon|evening|day)|greetings|hallo|hi|guten (tag|morgen|abend)|gruss gott|moin( moin)?|servus|hola|buen(os|as) (dias|tardes|noches)|buenas|bonjour|bonsoir|salut|ciao|buongiorno|buonasera|buon giorno|salve|ola|oi|bom dia|boa (tarde|noite))\b/

/** Who they want to talk to. Words that are also trades (agent, consultant) count only with a verb of speaking or alone. */
const PERSON =
  "(humans?|(real|actual|live|human) (person|people|human|agent|being)|person|someone|somebody|agent|operator|representative|colleague|staff|mensch(en)?|mitarbeiter(in)?|berater(in)?|(echten?|richtigen?) (person|menschen?)|jemand(en|em)?|kollegen?|kollegin|humano|persona( real)?|agente|asesora?|operadora?|alguien|humain|conseill(er|ere)|(vraie )?personne|quelqu'un|agent|operateur|operatrice|umano|operatore|operatrice|addetto|qualcuno|persona|atendente|pessoa( real)?|alguem|humano)"
const SPEAK =
  '(speak|talk|chat|connect|transfer|put me through|reach|get me|give me|hand me|sprechen|reden|verbinden|verbinde|weiterleiten|hablar|comunicar|pasar|pase|paseme|pongame|parler|joindre|passez|passer|parlare|passatemi|passi|mettermi|falar|passar|transferir|ligar)'
const HUMAN_ALONE = new RegExp(`^((an? |the |ein(en?)? |un[ao']? ?|um[a]? |une )?${PERSON})([ ,.!?]*(please|pls|now|bitte|jetzt|por favor|s'il vous plait|svp|per favore|agora))*[ .!?]*$`)
const HUMAN_SPEAK = new RegExp(`\\b${SPEAK}\\b.{0,40}\\b${PERSON}\\b|\\b${PERSON}\\b.{0,20}\\b(sprechen|reden|verbinden)\\b`)
const HUMAN_CLEAR =
  /\b((real|live|actual) (person|human|agent)|human (agent|being|please)|(want|need|get) (a |an )?human|not a (bot|robot|machine)|(echter?|richtiger?) mensch|(will|mochte|brauche) (einen )?(menschen|mitarbeiter)|(quiero|necesito) (un |una )?(humano|persona|agente|asesor)|(veux|voudrais) (un |une )?(humain|conseiller)|(voglio|vorrei) (un )?(umano|operatore)|(quero|preciso de) (um |uma )?(humano|atendente|pessoa))\b/

const HOURS =
  /\b(opening (hours|times)|business hours|open(ing)?\b.{0,25}\b(today|tomorrow|now|sunday|saturday|monday|weekend|when|until|till)|(when|what time|until when|are you|how long).{0,25}\b(open|close[ds]?|opening)|offnungszeiten|(wann|wie lange|bis wann|habt ihr|haben sie).{0,30}(offen|geoffnet|auf|zu)|geoffnet|horarios?|(cuando|a que hora|hasta que hora).{0,25}(abr|cierr|abiert)\w*|estan abiertos|horaires?|(quand|a quelle heure|jusqu'a quelle heure).{0,30}(ouvr|ouvert|ferm)\w*|(ouvr|ferm)\w*.{0,20}(quand|quelle heure)|etes[- ]vous ouverts?|orari|(quando|a che ora|fino a che ora).{0,25}(apr|chiud|apert)\w*|siete aperti|(quando|que horas).{0,25}(abr|fech|abert)\w*|estao abertos)\b/
const THANKS = /\b(thanks|thank you|thx|danke( schon)?|vielen dank|gracias|merci|grazie|obrigad[oa])\b/
const BYE = /\b(bye|goodbye|see you|that'?s all|that is all|nothing else|tschuss|auf wiedersehen|das war'?s|das ist alles|schonen tag|adios|hasta luego|eso es todo|au revoir|c'est tout|bonne journee|arrivederci|e tutto|adeus|tchau|ate logo|e so isso|e tudo)\b/
const REFUSE =
  /^(no|nope|no thanks?|no thank you|rather not|i'?d rather not|prefer not( to)?( say)?|(i am |i'?m )?not telling( you)?[, ]*(sorry)?|i (do not|don'?t) want to( say| tell you)?|none|nein( danke)?|lieber nicht|mochte ich nicht|keine?|prefiero no( decirlo)?|no gracias|non( merci)?|je prefere pas|no grazie|preferisco di no|nao( obrigad[oa])?|prefiro nao)[ .!]*$/

export function wishesOf(text: string): Set<Wish> {
  const line = plain(text).replace(/\s+/g, ' ').trim().slice(0, 2_000)
  const wishes = new Set<Wish>()
  if (GREETING.test(line)) wishes.add('greeting')
  if (HUMAN_ALONE.test(line) || HUMAN_SPEAK.test(line) || HUMAN_CLEAR.test(line)) wishes.add('human')
  if (HOURS.test(line)) wishes.add('hours')
  if (THANKS.test(line)) wishes.add('thanks')
  if (BYE.test(line)) wishes.add('bye')
  if (REFUSE.test(line)) wishes.add('refuse')
  return wishes
}

const GREETINGS = new RegExp(`^(?:[^\\p{L}\\p{N}]*(?:${GREETING.source.slice(1)}))+`, 'u')
const POLITE = new RegExp(`${THANKS.source}|${BYE.source}|\\b(please|bitte|por favor|s'il vous plait|per favore)\\b`, 'g')

/** The line without greetings ("Hola, buenos días"), thanks and punctuation: is anything said? */
export function withoutPoliteness(text: string): string {
  const line = plain(text).replace(/\s+/g, ' ').trim()
  return line.replace(GREETINGS, ' ').replace(POLITE, ' ').replace(/[^\p{L}\p{N}]+/gu, ' ').trim()
}

/** Ends with a question mark, or begins with a question word. */
export const isQuestion = (text: string) =>
  /[?？]/.test(text) || /^(what|when|where|how|why|who|can you|do you|is there|was|wann|wo|wie|warum|wer|gibt es|haben sie|que|cuando|donde|como|quand|ou|comment|combien|quando|dove|come|quanto|onde)\b/.test(plain(text).trim())
