/** Sentences of the instructions that tell a customer something, ready to be searched. */
type Fact = { sentence: string; stems: Set<string> }
export type Knowledge = { business: string | null; greeting: string | null; assistantName: string | null; facts: Fact[]; rarity: Map<string, number> }

const STOP = new Set('a about am an and any are as at be been but by can could did do does for from get give had has have hello hey hi how i if in is it its just know like may me much my need no not of on one or our please should so some tell than thank thanks that the their them then there these they this to us was we were what when where which who why will with would yes you your'.split(' '))
/** Sentences that speak to the model and not to the customer. */
const DIRECTION = /^(?:you(?:'re| are| must| should| will| can| may)|your (?:job|task|role|goal|name|tone)|(?:always|never|only|do not|don't|be|ask|keep|use|speak|answer|reply|respond|greet|collect|capture|confirm|make sure|ensure|avoid|remember|act|call|if (?:the|a|they|someone|asked|you)|when (?:the|a|they|asked|you)|after|before|at the end|offer|help|extract|return|today is|current)\b)/i
const QUOTED_GREETING = /(?:\bgreet(?:ing)?\b|\bwelcome (?:them|customers|callers|visitors|everyone)|\b(?:start|open|begin) (?:every|each|the|a)?[^.\n"“«]{0,40}with\b|say hello)[^.\n"“«]{0,80}["“«]([^"“”«»]{3,300})["”»]/i
const NAMED_GREETING = /^\W*greeting:\s*["“]?([^\n"”]{3,300})/im

const cache = new Map<string, Knowledge>()

/** What the instructions teach. Cached, because a bot answers thousands of messages with the same instructions. */
export function study(instructions: string): Knowledge {
  const known = cache.get(instructions)
  if (known) return known
  if (cache.size >= 500) cache.delete(cache.keys().next().value!)
  const knowledge = read(instructions)
  cache.set(instructions, knowledge)
  return knowledge
}

/** Up to two sentences that answer the question, in the order of the instructions; empty when nothing fits. */
export function recall({ facts, rarity }: Knowledge, question: string): string[] {
  const asked = stemsOf(question)
  const scored = facts.map((fact, index) => ({ fact, index, score: scoreOf(fact, asked, rarity) })).filter(({ score }) => score >= 1)
  scored.sort((a, b) => b.score - a.score || a.index - b.index)
  const best = scored.slice(0, 2).filter(({ score }) => score >= scored[0]!.score * 0.7)
  return best.sort((a, b) => a.index - b.index).map(({ fact }) => fact.sentence)
}

function scoreOf(fact: Fact, asked: ReadonlySet<string>, rarity: ReadonlyMap<string, number>): number {
  let score = 0
  for (const stem of asked) if (fact.stems.has(stem)) score += rarity.get(stem) ?? 1
  return score
}

function read(instructions: string): Knowledge {
  const sentences = sentencesOf(instructions)
  const facts = sentences.filter((sentence) => !DIRECTION.test(sentence) && sentence.length >= 12).map((sentence) => ({ sentence: asFact(sentence), stems: stemsOf(sentence) }))
  return { business: businessOf(instructions), greeting: greetingOf(instructions), assistantName: /\byour name is ([\p{Lu}]\p{L}+)/iu.exec(instructions)?.[1] ?? null, facts, rarity: rarityOf(facts) }
}

function sentencesOf(text: string): string[] {
  return text.split(/\n+|(?<=[.!?])\s+(?=[\p{Lu}"“])/u).map((sentence) => sentence.replace(/^\s*(?:[-*•#>]+|\d+[.)])\s*/, '').replace(/\*\*/g, '').trim()).filter(Boolean)
}

/** `Opening hours: 9 to 5` stays; a sentence without an end gets one. */
function asFact(sentence: string): string {
  const customerFacing = sentence.replace(/^(?:the )?(?:business|company|shop|clinic|hotel|restaurant) (is open|opens|closes|offers|sells|ships|delivers|accepts)/i, 'We $1').replace(/^We is/, 'We are').replace(/^We (\w+?)s\b/, 'We $1')
  return /[.!?]$/.test(customerFacing) ? customerFacing : `${customerFacing}.`
}

/** A word of few sentences says more than a word of many. */
function rarityOf(facts: readonly Fact[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { stems } of facts) for (const stem of stems) counts.set(stem, (counts.get(stem) ?? 0) + 1)
  for (const [stem, count] of counts) counts.set(stem, 1 + 1 / count)
  return counts
}

const BUSINESS = /(?:receptionist|assistant|agent|concierge|representative|bot|support|team|host|working|work)\s+(?:of|for|at|from)\s+(?:the\s+)?((?:[\p{Lu}\d](?:[\p{L}\d&'’-]|\.(?=[\p{L}\d]))*)(?:\s+(?:&|and|of|the|[\p{Lu}\d](?:[\p{L}\d&'’-]|\.(?=[\p{L}\d]))*))*)/u
const WELCOME = /welcome to ((?:[\p{Lu}][\p{L}\d&'’-]*)(?:\s+(?:&|and|of|the|[\p{Lu}\d][\p{L}\d&'’-]*))*)/u

const businessOf = (text: string): string | null => (BUSINESS.exec(text)?.[1] ?? WELCOME.exec(text)?.[1])?.replace(/(?:\s+(?:and|of|the))+$|[.,]+$/g, '') ?? null

function greetingOf(instructions: string): string | null {
  return (QUOTED_GREETING.exec(instructions)?.[1] ?? NAMED_GREETING.exec(instructions)?.[1])?.trim() ?? null
}

const SYNONYMS: Record<string, string> = {
  pric: 'price', addres: 'address', cost: 'price', fee: 'price', charge: 'price', pricing: 'price', expensive: 'price', rate: 'price', open: 'hour', opening: 'hour', close: 'hour', clos: 'hour', located: 'address', locat: 'address',
  location: 'address', find: 'address', deliver: 'shipp', delivery: 'shipp', ship: 'shipp', shipping: 'shipp', return: 'refund', appointment: 'book', reserv: 'book', reservation: 'book',
  pay: 'payment', card: 'payment', cash: 'payment', park: 'parking', dog: 'pet', cat: 'pet', wi: 'wifi', cancel: 'cancel', cancellation: 'cancel', guarante: 'warranty', mail: 'email',
}

export function stemsOf(text: string): Set<string> {
  const stems = new Set<string>()
  for (const [word] of text.toLowerCase().matchAll(/[\p{L}\d][\p{L}\d'’]*/gu)) {
    if (word.length < 2 || STOP.has(word) || /^\d+$/.test(word)) continue
    const stem = word.replace(/['’]s$/, '').replace(/(?:ies)$/, 'y').replace(/(?<=.{3})(?:ing|ed|es|s|e)$/, '')
    stems.add(SYNONYMS[word] ?? SYNONYMS[stem] ?? stem)
  }
  return stems
}
