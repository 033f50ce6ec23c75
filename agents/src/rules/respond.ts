import { RuleBook } from '@trunkline/core'
import type { HistoryItem } from '../history.ts'
import type { Effect } from '../tools/built-in.ts'
import { gather } from './gather.ts'
import type { Gathered } from './gather.ts'
import { dayName, describeHours, openState } from './hours.ts'
import { detectLanguage } from './language.ts'
import { PHRASES } from './phrases.ts'
import type { Language, LeadQuestion, Phrases } from './phrases.ts'
import { isQuestion, plain, wishesOf, withoutPoliteness } from './wishes.ts'
import type { Wish } from './wishes.ts'

export type RulesInput = {
  rules: RuleBook
  /** The present context, oldest first, without `incoming`. */
  history: readonly HistoryItem[]
  incoming: readonly HistoryItem[]
  /** What the business knows already; never asked again. */
  known: Partial<Record<LeadQuestion, string>>
  nowMs: number
  /** The rules stand in for a model that is away: they do not hand the conversation over on their own account. */
  standIn: boolean
}
export type RulesReply = { text: string; language: Language; effects: Effect[] }

const DEFAULTS = RuleBook.parse({})
const ANSWERS_MAX = 2

/**
 * Answers a customer without a model. Everything it knows it reads from the conversation, so it can step in at any message, and a
 * restart forgets nothing: a question that stands in the history was asked, a fact that stands there is known.
 */
export function respondByRules(input: RulesInput): RulesReply {
  const all = [...input.history, ...input.incoming]
  const language = languageOf(all, input.rules)
  const state = readState(input, all, PHRASES[language], language)
  if (state.wishes.has('human')) return handOver(input, state, 'The customer asks for a person.')
  const answers = answersFor(input, state)
  const unanswered = answers.length === 0 && asksSomething(state) ? [state.phrases.passOn] : []
  const question = nextQuestion(input, state)
  if (question) return reply(state, [opening(input, state), acknowledge(state), ...answers, ...unanswered, closedNote(input, state), state.phrases.ask[question]])
  return conclude(input, state, answers)
}

type State = {
  language: Language
  phrases: Phrases
  wishes: Set<Wish>
  text: string
  gathered: Gathered
  /** Fields first said in this turn's messages. */
  fresh: LeadQuestion[]
  known: Partial<Record<LeadQuestion, string>>
  first: boolean
  effects: Effect[]
}

function readState(input: RulesInput, all: readonly HistoryItem[], phrases: Phrases, language: Language): State {
  const gathered = gather(all)
  const incomingIds = new Set(input.incoming.map((item) => item.messageId))
  const fields = Object.keys(gathered.facts) as LeadQuestion[]
  const fresh = fields.filter((field) => incomingIds.has(gathered.facts[field]!.messageId))
  const said = Object.fromEntries(fields.map((field) => [field, gathered.facts[field]!.value]))
  const text = input.incoming.map((item) => item.text).join('\n')
  const wishes = new Set(input.incoming.flatMap((item) => [...wishesOf(item.text)]))
  const first = !input.history.some(({ role }) => role === 'agent' || role === 'human')
  const effects: Effect[] = fresh.map((field) => ({ type: 'lead_field', field, value: gathered.facts[field]!.value }))
  return { language, phrases, wishes, text, gathered, fresh, known: { ...said, ...defined(input.known) }, first, effects }
}

const defined = (known: Partial<Record<LeadQuestion, string>>) => Object.fromEntries(Object.entries(known).filter(([, value]) => value))

/** The customer's language; before they have said anything telling, that of the business's own greeting. */
export function languageOf(items: readonly HistoryItem[], rules: RuleBook): Language {
  return detectLanguage(items.filter((item) => item.role === 'customer').map((item) => item.text), detectLanguage([rules.greeting]))
}

const reply = (state: State, parts: readonly (string | null)[]): RulesReply => ({
  text: parts.filter((part) => part !== null && part !== '').join('\n\n'),
  language: state.language,
  effects: state.effects,
})

/** A text that the business has not changed is ours, and then it exists in six languages. */
const own = (text: string, fallback: string, translated: string) => (text === fallback ? translated : text)

function opening(input: RulesInput, state: State): string | null {
  return state.first ? own(input.rules.greeting, DEFAULTS.greeting, state.phrases.hello(input.rules.businessName)) : null
}

function answersFor(input: RulesInput, state: State): string[] {
  const hours = state.wishes.has('hours') ? hoursText(input, state) : null
  return [...matchAnswers(input.rules, state.text), ...(hours === null ? [] : [hours])]
}

const asksSomething = (state: State) => isQuestion(state.text) && withoutPoliteness(state.text) !== '' && !(state.first && isSmallTalk(state))

const isSmallTalk = (state: State) => state.wishes.has('greeting') && withoutPoliteness(state.text).split(' ').length <= 3

/** Whole words, any case, accents aside; the entry with most hits first. A keyword may be several words. */
function matchAnswers(rules: RuleBook, text: string): string[] {
  const line = ` ${plain(text).replace(/[^\p{L}\p{N}]+/gu, ' ')} `
  const scored = rules.answers.map((answer) => ({ answer, hits: answer.keywords.filter((keyword) => line.includes(` ${plain(keyword).replace(/[^\p{L}\p{N}]+/gu, ' ').trim()} `)).length }))
  return scored.filter(({ hits }) => hits > 0).sort((a, b) => b.hits - a.hits).slice(0, ANSWERS_MAX).map(({ answer }) => answer.text)
}

function hoursText(input: RulesInput, state: State): string | null {
  const hours = input.rules.openingHours
  if (!hours) return null
  const now = openState(hours, input.nowMs)
  const table = describeHours(hours, state.language, state.phrases.closedAllDay)
  return `${state.phrases.hoursAre}\n${table}\n${now.open ? state.phrases.openNow : closedText(input, state)}`
}

/** Said once, with the first answer outside opening hours. */
function closedNote(input: RulesInput, state: State): string | null {
  const hours = input.rules.openingHours
  if (!hours || !state.first || state.wishes.has('hours') || openState(hours, input.nowMs).open) return null
  return closedText(input, state)
}

function closedText(input: RulesInput, state: State): string {
  const next = input.rules.openingHours ? openState(input.rules.openingHours, input.nowMs).next : null
  const opens = next ? state.phrases.opensNext(dayName(next.day, state.language), next.time) : ''
  return [input.rules.closedText ?? state.phrases.closedNow, input.rules.closedText ? '' : opens].filter(Boolean).join(' ')
}

/** In the order of the rule book, each at most once: what was asked and not answered is let be. */
function nextQuestion(input: RulesInput, state: State): LeadQuestion | null {
  if (state.wishes.has('bye')) return null
  return input.rules.collect.find((field) => !state.known[field] && !state.gathered.asked.has(field)) ?? null
}

function acknowledge(state: State): string | null {
  const learned = state.fresh.filter((field) => field !== 'intent')
  if (learned.length === 0) return null
  return learned.includes('name') && state.known.name ? state.phrases.thanksName(state.known.name) : state.phrases.thanks
}

/** Nothing left to ask: answer what can be answered, else promise a colleague once; after that be brief. */
function conclude(input: RulesInput, state: State, answers: readonly string[]): RulesReply {
  const handover = own(input.rules.handoverText, DEFAULTS.handoverText, state.phrases.handover)
  const promised = input.history.some((item) => item.role === 'agent' && item.text.includes(handover))
  const says = withoutPoliteness(state.text) !== ''
  if (state.wishes.has('bye')) state.effects.push({ type: 'end_conversation', reason: 'The customer said goodbye.' })
  if (state.wishes.has('bye') || (promised && state.wishes.has('thanks') && !says)) return reply(state, [...answers, state.phrases.goodbye])
  if (answers.length > 0) return reply(state, [opening(input, state), ...answers])
  if (promised) return reply(state, [asksSomething(state) ? state.phrases.passOn : state.phrases.noted])
  if (state.first && !says) return reply(state, [own(input.rules.greeting, DEFAULTS.greeting, state.phrases.greeting)])
  if (!input.standIn) state.effects.push({ type: 'handover', reason: 'All questions of the rule book are answered.', summary: summaryOf(state) })
  return reply(state, [opening(input, state), handover, closedNote(input, state)])
}

function handOver(input: RulesInput, state: State, reason: string): RulesReply {
  state.effects.push({ type: 'handover', reason, summary: summaryOf(state) })
  const text = own(input.rules.handoverText, DEFAULTS.handoverText, state.phrases.handover)
  const hours = input.rules.openingHours
  return reply(state, [text, hours && !openState(hours, input.nowMs).open ? closedText(input, state) : null])
}

function summaryOf(state: State): string | null {
  const known = Object.entries(state.known).map(([field, value]) => `${field}: ${value}`)
  return known.length > 0 ? known.join('; ') : null
}
