import type { SimulatedCall, SimulationAssertion } from '@trunkline/core'
import { compilePattern, wordsOf } from './pattern.ts'

/** What a verdict is made of: a call that is over, as both sides heard it. */
export type CallEvidence = Pick<SimulatedCall, 'ended_by' | 'reason' | 'turns' | 'response' | 'interruptions' | 'transcript' | 'listened' | 'tools'>
export type Verdict = SimulatedCall['assertions'][number]

/** One verdict an assertion, with what speaks for it or against it. Pure. */
export const judge = (assertions: readonly SimulationAssertion[], call: CallEvidence): Verdict[] => assertions.map((assertion) => ({ assertion, ...verdict(assertion, call) }))

type Outcome = Omit<Verdict, 'assertion'>
const held = (passed: boolean, evidence: string): Outcome => ({ passed, evidence })

function verdict(assertion: SimulationAssertion, call: CallEvidence): Outcome {
  if ('heard' in assertion) return heard(assertion.heard, call)
  if ('not_heard' in assertion) return notHeard(assertion.not_heard, call)
  if ('max_response_ms' in assertion) return response(assertion.max_response_ms, call)
  if ('interrupted_within_ms' in assertion) return interrupted(assertion.interrupted_within_ms, call)
  if ('ended_by' in assertion) return held(call.ended_by === assertion.ended_by, `ended by ${call.ended_by}${call.reason === null ? '' : ` (${call.reason})`}`)
  if ('tool_called' in assertion) return held(call.tools.includes(assertion.tool_called), call.tools.length === 0 ? 'no tool was called' : `called: ${call.tools.join(', ')}`)
  return held(call.turns <= assertion.max_turns, `${call.turns} answers`)
}

/** What was played of the agent's words, in one text. */
export const playedText = ({ transcript }: Pick<CallEvidence, 'transcript'>): string => transcript.filter(({ by }) => by === 'agent').map(({ text }) => text).join(' ')

function heard(pattern: string, call: CallEvidence): Outcome {
  const { find } = compilePattern(pattern)
  const [played, listened] = [find(playedText(call)), find(call.listened)]
  if (played !== null) return held(true, `said: "${played}"; the recogniser ${listened === null ? 'understood it differently' : `heard: "${listened}"`}`)
  return listened === null ? held(false, `the agent said: "${clip(playedText(call))}"`) : held(true, `the recogniser heard: "${listened}"`)
}

function notHeard(pattern: string, call: CallEvidence): Outcome {
  const { find } = compilePattern(pattern)
  const found = find(playedText(call)) ?? find(call.listened)
  return found === null ? held(true, 'it was not said') : held(false, `said: "${found}"`)
}

function response(maxMs: number, { response: { p95_ms: p95Ms, each_ms: each } }: CallEvidence): Outcome {
  return p95Ms === null ? held(false, 'the agent never answered') : held(p95Ms <= maxMs, `${p95Ms} ms (95th percentile of ${each.join(', ')})`)
}

function interrupted(maxMs: number, { interruptions }: CallEvidence): Outcome {
  if (interruptions.length === 0) return held(false, 'nothing was interrupted')
  const told = interruptions.map(({ at_ms: atMs, silent_after_ms: silentMs }) => `at ${atMs} ms: ${silentMs === null ? 'the agent went on' : `silent after ${silentMs} ms`}`)
  return held(interruptions.every(({ silent_after_ms: silentMs }) => silentMs !== null && silentMs <= maxMs), told.join('; '))
}

const EVIDENCE_CHARS = 300
const clip = (text: string): string => (text === '' ? 'nothing' : text.length > EVIDENCE_CHARS ? `${text.slice(0, EVIDENCE_CHARS)}…` : text)

/** The part of the agent's words that a listener understood; null: it said none. Words count as often as they were said. */
export function intelligibility(call: Pick<CallEvidence, 'transcript' | 'listened'>): number | null {
  const said = wordsOf(playedText(call))
  if (said.length === 0) return null
  const left = new Map<string, number>()
  for (const word of wordsOf(call.listened)) left.set(word, (left.get(word) ?? 0) + 1)
  const understood = said.filter((word) => {
    const count = left.get(word) ?? 0
    if (count > 0) left.set(word, count - 1)
    return count > 0
  })
  return Math.round((understood.length / said.length) * 1_000) / 1_000
}
