import { isSimulated, type CallDirection, type CarrierId, type CallCost, type Micros, type ModelUsage, type SpeechUsage } from '@trunkline/core'
import { cardAt, speechPriceOf, type RateCard } from './card.ts'
import { line, MILLION, sum, type ChargeLine } from './line.ts'
import { estimateModels, rateModels, type TurnBounds } from './rate.ts'

// A call is paid for by the second it was answered, by the sound that was recognised, by the characters that were spoken and by the
// model's tokens. Each measured use is rounded up by itself, so usage rows and the carrier's line add up to the charge exactly.

const MINUTE_SECONDS = 60
const MINUTE_MS = 60_000
/** Fast talkers say 20 characters a second; an agent that never stops would say this many in a minute. */
const CHARACTERS_A_MINUTE = 1_200

export type CallLeg = {
  /** When the call began, Unix milliseconds: chooses the rate card, the same for hold and charge. */
  atMs: number
  carrier: CarrierId
  direction: CallDirection
}

/** Carrying the call for the time it was answered, by the started second. */
export function rateCarrying(leg: CallLeg & { answeredMs: number }, cards?: readonly RateCard[]): ChargeLine {
  const { minuteMicros } = cardAt(leg.atMs, cards).calls
  return line('call_seconds', `${leg.carrier}/${leg.direction}`, Math.ceil(Math.max(0, leg.answeredMs) / 1_000), minuteMicros[leg.carrier][leg.direction], MINUTE_SECONDS)
}

/** The same for a call as it is kept. A simulated caller has no carrier. */
export const carryingPrice = ({ createdAt, carrier, direction, placedBy }: Omit<CallLeg, 'atMs'> & { createdAt: Date; placedBy: string }, answeredMs: number): Micros =>
  isSimulated({ placedBy }) ? 0n : rateCarrying({ atMs: createdAt.getTime(), carrier, direction, answeredMs }).amountMicros

/** One measured use of an engine; null: it costs nothing (it failed, it heard and said nothing, or the tenant pays its supplier itself). */
export function rateSpeech(usage: SpeechUsage, { atMs }: Pick<CallLeg, 'atMs'>, cards?: readonly RateCard[]): ChargeLine | null {
  if (usage.outcome === 'failed' || usage.ownKey) return null
  const unitMicros = speechPriceOf(cardAt(atMs, cards), usage.kind, usage.engine, usage.model)
  const of = `${usage.engine}/${usage.model}`
  const made = usage.kind === 'stt' ? line('stt_milliseconds', of, Math.ceil(usage.audioMs), unitMicros, MINUTE_MS) : line('tts_characters', of, usage.characters, unitMicros, MILLION)
  return made.quantity > 0 ? made : null
}

export type CallWork = CallLeg & { answeredMs: number; speech: readonly SpeechUsage[]; models: readonly ModelUsage[] }
export type CallCharge = { totalMicros: Micros; cost: CallCost; lines: ChargeLine[] }

/** The exact price of a whole call. Pure; throws AppError `internal` when no card covers it. */
export function rateCall(work: CallWork, cards?: readonly RateCard[]): CallCharge {
  const carrying = rateCarrying(work, cards)
  const speech = work.speech.flatMap((usage) => {
    const rated = rateSpeech(usage, work, cards)
    return rated ? [{ kind: usage.kind, line: rated }] : []
  })
  const models = rateModels({ atMs: work.atMs, usage: work.models }, cards)
  const of = (kind: SpeechUsage['kind']) => sum(speech.filter((each) => each.kind === kind).map((each) => each.line))
  const cost: CallCost = { carrier: carrying.amountMicros, stt: of('stt'), tts: of('tts'), model: models.totalMicros }
  const lines = [carrying, ...speech.map((each) => each.line), ...models.lines].filter((each) => each.quantity > 0)
  return { totalMicros: cost.carrier + cost.stt + cost.tts + cost.model, cost, lines }
}

export type CallBounds = CallLeg & Pick<TurnBounds, 'models' | 'maxInputTokens' | 'maxOutputTokens'> & {
  minutes: number
  /** Every engine and model that may be used; the dearest of each kind counts, all the time. Those with the tenant's own key cost nothing. */
  stt: readonly Pick<SpeechUsage, 'engine' | 'model' | 'ownKey'>[]
  tts: readonly Pick<SpeechUsage, 'engine' | 'model' | 'ownKey'>[]
  /** Calls of a model in a minute. */
  maxCallsPerMinute: number
}

/** Never less than `rateCall` of any such minutes within the bounds, one use of each engine a minute: what a hold must reserve. */
export function estimateCall(bounds: CallBounds, cards?: readonly RateCard[]): Micros {
  const { minutes, maxCallsPerMinute } = bounds
  const carrying = rateCarrying({ ...bounds, answeredMs: minutes * MINUTE_MS }, cards).amountMicros
  const audioMs = minutes * MINUTE_MS
  const characters = Math.ceil(minutes * CHARACTERS_A_MINUTE)
  const dearest = (kind: SpeechUsage['kind'], engines: CallBounds['stt']): Micros =>
    engines.reduce((most, engine) => {
      const rated = rateSpeech({ ...engine, kind, audioMs, characters, firstResultMs: null, latencyMs: 0, outcome: 'ok', requestId: null }, bounds, cards)
      return rated && rated.amountMicros > most ? rated.amountMicros : most
    }, 0n)
  // Each use rounds up by itself.
  const roundings = BigInt(Math.ceil(minutes)) * 2n
  return carrying + dearest('stt', bounds.stt) + dearest('tts', bounds.tts) + roundings + estimateModels({ ...bounds, maxCalls: Math.ceil(minutes * maxCallsPerMinute) }, cards)
}

/** What a minute of a call may use at most: six answers of a model that reads the prompt and the call so far. */
const USUAL = { maxCallsPerMinute: 6, maxInputTokens: 6_000, maxOutputTokens: 300 }
/** The dearest of the engines that installations have; who knows better says so. */
const USUAL_ENGINES: Pick<CallBounds, 'stt' | 'tts'> = { stt: [{ engine: 'deepgram', model: '' }], tts: [{ engine: 'openai', model: '' }] }

/** Reserved when a call is opened; whoever has it then reserves more in time. */
export const FIRST_HOLD_MINUTES = 2

/** What is reserved for some minutes of a call, before the first and while it goes on. */
export function holdForCall(leg: CallLeg & Pick<CallBounds, 'models' | 'minutes'> & Partial<Pick<CallBounds, 'stt' | 'tts'>>, cards?: readonly RateCard[]): Micros {
  return estimateCall({ ...USUAL, ...USUAL_ENGINES, ...leg }, cards)
}
