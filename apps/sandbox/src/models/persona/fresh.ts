import type { Turn } from '../transcript.ts'
import type { Details } from './details.ts'
import { askedBefore, detailsOf, learn } from './details.ts'

/** Details that the customer's unanswered messages tell for the first time, or differently than before. */
export function freshFacts(turns: readonly Turn[]): Details {
  const firstNew = turns.findLastIndex(({ role }) => role === 'assistant') + 1
  const before = learn(turns.slice(0, firstNew))
  const asked = askedBefore(turns, firstNew)
  const now: Details = {}
  for (const turn of turns.slice(firstNew)) Object.assign(now, detailsOf(turn.text, asked))
  return Object.fromEntries(Object.entries(now).filter(([key, value]) => before[key as keyof Details] !== value))
}
