import type { Transcript, Turn } from '../transcript.ts'
import { latestWords } from '../transcript.ts'
import { readBriefing } from './briefing.ts'
import type { DetailKey, Details } from './details.ts'
import { askedIn, learn } from './details.ts'
import { freshFacts } from './fresh.ts'
import type { Knowledge } from './knowledge.ts'
import { recall, study } from './knowledge.ts'
import { findTime } from './when.ts'
import { sayResults } from './results.ts'

const GREETING = /^\s*(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|greetings|hallo|hola|ciao|bonjour|yo)\b/i
const THANKS = /\b(?:thanks|thank you|thx|cheers|much appreciated|perfect|great, that'?s all|that'?s all)\b/i
const GOODBYE = /\b(?:bye|goodbye|see you|have a (?:nice|good|great) (?:day|evening|weekend)|that'?s all|nothing else)\b/i
export const WANTS_HUMAN = /\b(?:speak|talk|chat|connect me|put me through)\b[^.?!]{0,30}\b(?:human|person|someone|somebody|agent|colleague|manager|representative|staff)\b|\b(?:a real (?:human|person)|human (?:agent|being|please)|operator please)\b/i
const REFUSES = /^\s*(?:no\b|nope|rather not|i'?d rather not|prefer not|skip|not now|don'?t want|i don'?t have)/i
const QUESTION = /\?|^\s*(?:what|when|where|who|which|how|why|can|could|do|does|is|are|will|would|may|should)\b/i
const WISH = /\b(?:i(?:'d| would) like|i want|i need|i'?m looking|i am looking|interested in|looking for|book|schedule|order|reserve|tell me|quote)\b/i
const YES = /^\s*(?:yes|yeah|yep|correct|right|exactly|that'?s right|sure|ok(?:ay)?|confirmed?)\b/i

const ASK: Record<DetailKey, string[]> = {
  name: ['May I have your name, please?', 'And what is your name?'],
  email: ['What is the best e-mail address to reach you?', 'Could you give me your e-mail address as well?'],
  phone: ['And a phone number where we can reach you?', 'Which phone number may we call you on?'],
}
const ORDER: DetailKey[] = ['name', 'email', 'phone']

/** The receptionist's next message. Deterministic: the same transcript gets the same words. */
export function receptionist(transcript: Transcript): string {
  const { turns, results } = transcript
  const words = latestWords(turns)
  const { business, known } = readBriefing(transcript.instructions)
  const knowledge = study(business)
  const details = { ...known, ...learn(turns) }
  // Notes that a tool took need no report: the customer hears an acknowledgement and the answer.
  const told = results.filter(({ name }) => !/capture|save_lead|store_lead|lead_field/i.test(name))
  const parts = [opening(turns, words, knowledge, details), told.length > 0 ? sayResults(told) : reaction(turns, words, knowledge, details)]
  const closed = isGoodbye(words)
  parts.push(closed ? farewell(details) : nextStep(turns, words, details, parts.some((part) => part?.endsWith('?'))))
  return parts.filter(Boolean).join(' ') || 'How can I help you?'
}

const isGoodbye = (words: string): boolean => (GOODBYE.test(words) || THANKS.test(words)) && !words.includes('?') && !WISH.test(words) && words.length < 160

function opening(turns: readonly Turn[], words: string, knowledge: Knowledge, details: Details): string | null {
  const isFirst = !turns.some(({ role }) => role === 'assistant')
  if (!isFirst) return GREETING.test(words) && words.length < 24 ? `Hello again${details.name ? `, ${firstName(details)}` : ''}!` : null
  if (knowledge.greeting) return knowledge.greeting
  const hello = details.name ? `Hello ${firstName(details)}!` : 'Hello!'
  return knowledge.business ? `${hello} Thank you for contacting ${knowledge.business}.` : hello
}

/** What the words deserve: a hand-over, an answer, an acknowledgement. */
function reaction(turns: readonly Turn[], words: string, knowledge: Knowledge, details: Details): string | null {
  if (WANTS_HUMAN.test(words)) return handOver(details)
  const fresh = freshFacts(turns)
  const thanks = acknowledge(fresh, details)
  const time = QUESTION.test(words) ? undefined : findTime(words, new Date())
  const noted = time === undefined ? null : `I have noted ${spokenTime(time)} for you.`
  const asks = noted === null && (QUESTION.test(words) || WISH.test(words) || Object.keys(fresh).length === 0)
  const answer = asks ? answerTo(words, knowledge) : null
  return [thanks, noted, answer].filter(Boolean).join(' ') || null
}

/** `Sun, 22 Nov at 15:00`. */
function spokenTime(iso: string): string {
  const date = new Date(iso)
  return `${date.toUTCString().slice(0, 11)} at ${iso.slice(11, 16)}`
}

function handOver(details: Details): string {
  return `Of course${details.name ? `, ${firstName(details)}` : ''}. I am passing you on to a colleague, who will answer here as soon as possible.`
}

function answerTo(words: string, knowledge: Knowledge): string | null {
  if (isGoodbye(words) || YES.test(words) || (GREETING.test(words) && words.length < 24)) return null
  const facts = recall(knowledge, words)
  if (facts.length > 0) return facts.join(' ')
  if (WISH.test(words)) return 'Gladly, I will arrange that with our team.'
  if (QUESTION.test(words)) return 'That is a good question. I do not have the answer at hand, so I will have a colleague come back to you on it.'
  return REFUSES.test(words) ? 'No problem.' : null
}

function acknowledge(fresh: Details, all: Details): string | null {
  const noted = [fresh.email && `your e-mail ${fresh.email}`, fresh.phone && `your number ${fresh.phone}`, fresh.company && `your company ${fresh.company}`, fresh.budget && `your budget of ${fresh.budget}`].filter(Boolean)
  if (noted.length > 0) return `Thank you${all.name ? `, ${firstName(all)}` : ''}, I have noted ${joinWords(noted as string[])}.`
  return fresh.name ? `Nice to meet you, ${firstName(all)}.` : null
}

/** Asks for what is missing, confirms once all is there, then offers more help. */
function nextStep(turns: readonly Turn[], words: string, details: Details, alreadyAsks: boolean): string | null {
  if (alreadyAsks || WANTS_HUMAN.test(words)) return null
  const missing = ORDER.find((key) => details[key] === undefined && timesAsked(turns, key) < 2 && !(timesAsked(turns, key) > 0 && REFUSES.test(words)))
  const isJustHello = GREETING.test(words) && words.length < 24
  if (isJustHello && !turns.some(({ role }) => role === 'assistant')) return 'How can I help you today?'
  if (missing) return ASK[missing][Math.min(timesAsked(turns, missing), 1)]!
  if (!ORDER.every((key) => details[key] !== undefined)) return 'Is there anything else I can help you with?'
  return wasConfirmed(turns) ? 'Is there anything else I can help you with?' : confirmation(details)
}

const CONFIRMING = 'Let me confirm:'
const wasConfirmed = (turns: readonly Turn[]): boolean => turns.some(({ role, text }) => role === 'assistant' && text.includes(CONFIRMING))

function confirmation({ name, email, phone, company }: Details): string {
  return `${CONFIRMING} ${name}${company ? ` of ${company}` : ''}, ${email}, ${phone}. Is that correct?`
}

const timesAsked = (turns: readonly Turn[], key: DetailKey): number => turns.filter(({ role, text }) => role === 'assistant' && askedIn(text) === key).length

function farewell(details: Details): string {
  return `You're welcome${details.name ? `, ${firstName(details)}` : ''}. Have a lovely day!`
}

const firstName = ({ name }: Details): string => name!.split(' ')[0]!

function joinWords(words: string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
