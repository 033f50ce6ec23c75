import { satisfies, type Expectation } from './expectation.ts'
import { looksComplete, looksUnfinished } from './lexicon.ts'

/** `server_vad`: silence alone. `semantic`: silence and what was said; eagerness as in OpenAI's Realtime (longest waits 8, 4 and 2 s). */
export type EndpointMode = { type: 'server_vad'; silenceMs: number } | { type: 'semantic'; eagerness: 'low' | 'medium' | 'high' | 'auto' }

/** What is known of this caller's own pauses inside a turn: a moving average, so that a slow speaker is not cut off. */
export type PauseModel = { meanMs: number; count: number }

const PAUSE_NEWEST = 0.1
const [PAUSE_MIN_MS, PAUSE_MAX_MS] = [200, 3_000]
const MIN_WAIT_MS = 200

export const createPauseModel = (): PauseModel => ({ meanMs: 350, count: 0 })

/** A pause after which the caller went on. Longer ones than `PAUSE_MAX_MS` are no pauses of speech. */
export function notePause(model: PauseModel, pauseMs: number): PauseModel {
  if (pauseMs < PAUSE_MIN_MS || pauseMs > PAUSE_MAX_MS) return model
  // The first few count more, or a call would be over before anything was learned.
  const newest = Math.max(PAUSE_NEWEST, 1 / (model.count + 2))
  return { meanMs: model.meanMs + newest * (pauseMs - model.meanMs), count: model.count + 1 }
}

export type EndpointInput = {
  transcript: string
  isFinal: boolean
  expectation: Expectation
  /** Of a model that listens to the melody: 1 is "over". Above 0.5 it shortens the wait, below it lengthens it; unmistakable words weigh more. */
  smartTurnProbability?: number
  /** The recogniser says so, by the silence that it heard itself: two have heard it then, and nothing but the words may speak against it. */
  saysDone?: boolean
  pauses: PauseModel
  mode: EndpointMode
  sttFinalP99Ms: number
  language?: string | null
}

/** Longest silence that is waited for, by eagerness. */
const LONGEST_MS = { low: 8_000, medium: 4_000, high: 2_000, auto: 3_000 } as const
const UNDECIDED_MS = { low: 1_200, medium: 800, high: 450, auto: 600 } as const
/** People read these out in groups, with pauses in between. */
const DICTATION_MS: Partial<Record<Expectation['kind'], number>> = { digits: 1_500, spelled_name: 1_800, email: 1_800, address: 1_500, date: 900 }

/** Silence after speech until the turn is over, milliseconds. More complete text never waits longer than less complete one. */
export function endpointWaitMs(input: EndpointInput): number {
  const { mode, transcript, expectation, pauses, smartTurnProbability, saysDone = false } = input
  if (mode.type === 'server_vad') return mode.silenceMs
  const longest = LONGEST_MS[mode.eagerness]
  if (transcript === '') return Math.min(longest, Math.max(input.sttFinalP99Ms, UNDECIDED_MS[mode.eagerness]))
  if (satisfies(expectation, transcript)) return MIN_WAIT_MS
  const dictation = DICTATION_MS[expectation.kind]
  if (dictation !== undefined) return Math.min(longest, Math.max(dictation, pauses.meanMs * 2))
  const words = looksUnfinished(transcript, input.language ?? null) ? 'unfinished' : looksComplete(transcript) ? 'complete' : 'open'
  if (saysDone && words !== 'unfinished' && (smartTurnProbability ?? 1) > 0.5) return 0
  if (smartTurnProbability !== undefined && smartTurnProbability > 0.5) return words === 'unfinished' ? UNDECIDED_MS[mode.eagerness] : MIN_WAIT_MS
  if (words === 'unfinished') return longest
  const base = words === 'complete' ? UNDECIDED_MS[mode.eagerness] / 2 : UNDECIDED_MS[mode.eagerness]
  // Somebody who pauses long inside sentences is waited for a little beyond their habit.
  const waitMs = Math.min(longest, Math.max(MIN_WAIT_MS, base, pauses.count > 2 ? pauses.meanMs * 1.3 : 0))
  return smartTurnProbability === undefined ? waitMs : waitMs + hesitation(smartTurnProbability) * Math.max(0, (words === 'complete' ? longest / 2 : longest) - waitMs)
}

/** 0 to 1: how sure the model of the melody is that the speaker goes on. Never enough by itself to wait forever: the longest wait holds. */
const hesitation = (probability: number): number => Math.min(1, Math.max(0, 1 - 2 * probability))
