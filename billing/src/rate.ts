import type { MessageChannelId, Micros, ModelUsage, VendorId } from '@trunkline/core'
import { cardAt, priceOf, type RateCard, type TokenPrice } from './card.ts'
import { line, MILLION, sum, type ChargeLine } from './line.ts'

// Integers only. Every line is rounded up to a whole micro-credit, once: a line is never charged below its price, and the
// total is the plain sum of its lines. A call of a vendor has lines of its own, so usage records add up to the charge exactly.

export type Charge = {
  totalMicros: Micros
  lines: ChargeLine[]
  /** What each call of `usage` cost, in the same order: goes into its usage record. */
  callMicros: Micros[]
}

export type TurnWork = {
  /** When the turn began, Unix milliseconds: chooses the rate card, the same for estimate and charge. */
  atMs: number
  channel: MessageChannelId
  usage: readonly ModelUsage[]
  /** Accepted by the channel; parts of a split answer count one each, as the supplier bills them. */
  messagesSent: number
  templatesSent?: number
}

export type TurnBounds = {
  atMs: number
  channel: MessageChannelId
  /** Every vendor and model the turn may call; those that the tenant pays itself (`ownKey`) cost nothing. The rule-based responder is always possible. */
  models: readonly { vendor: VendorId; model: string; ownKey?: boolean }[]
  /** At most this many calls in all (tool steps, recoveries and fallbacks included), each within the token bounds. */
  maxCalls: number
  maxInputTokens: number
  maxOutputTokens: number
  maxMessages: number
  maxTemplates?: number
}

const FREE: TokenPrice = { inputMicros: 0n, cachedInputMicros: 0n, outputMicros: 0n }

/** Tokens of a vendor that the tenant pays itself, with a key of its own, cost nothing here. */
function tokenPrice(card: RateCard, { vendor, model, ownKey }: { vendor: Exclude<VendorId, 'rules'>; model: string; ownKey?: boolean | undefined }): TokenPrice {
  return ownKey ? FREE : priceOf(card, vendor, model)
}

/** Lines of one call. A failed call is ours or the supplier's fault and is free; an aborted or incomplete one used its tokens. */
function callLines(card: RateCard, call: ModelUsage): ChargeLine[] {
  if (call.outcome === 'failed') return []
  if (call.vendor === 'rules') return [line('rules_answer', 'rules', 1, card.rulesAnswerMicros)]
  const price = tokenPrice(card, { ...call, vendor: call.vendor })
  const of = `${call.vendor}/${call.model}`
  const cached = Math.min(call.cachedInputTokens, call.inputTokens)
  return [
    line('input_tokens', of, call.inputTokens - cached, price.inputMicros, MILLION),
    line('cached_input_tokens', of, cached, price.cachedInputMicros, MILLION),
    line('output_tokens', of, call.outputTokens, price.outputMicros, MILLION),
  ].filter((each) => each.quantity > 0)
}

function charge(calls: ChargeLine[][], extras: ChargeLine[]): Charge {
  const lines = [...calls.flat(), ...extras.filter((each) => each.quantity > 0)]
  return { totalMicros: sum(lines), lines, callMicros: calls.map(sum) }
}

/** The exact price of what a turn used. Pure; throws AppError `internal` when no card covers `atMs`. */
export function rateTurn(work: TurnWork, cards?: readonly RateCard[]): Charge {
  const card = cardAt(work.atMs, cards)
  const fee = card.channels[work.channel]
  return charge(
    work.usage.map((call) => callLines(card, call)),
    [line('message', work.channel, work.messagesSent, fee.messageMicros), line('template', work.channel, work.templatesSent ?? 0, fee.templateMicros)],
  )
}

/** The exact price of calls of models alone: a phone call's turns, where nothing is sent as a message. */
export function rateModels(work: Pick<TurnWork, 'atMs' | 'usage'>, cards?: readonly RateCard[]): Charge {
  const card = cardAt(work.atMs, cards)
  return charge(work.usage.map((call) => callLines(card, call)), [])
}

/** The exact price of one lead extraction: its fee and its tokens. */
export function rateLead(work: Pick<TurnWork, 'atMs' | 'usage'>, cards?: readonly RateCard[]): Charge {
  const card = cardAt(work.atMs, cards)
  return charge(work.usage.map((call) => callLines(card, call)), [line('lead', 'lead', 1, card.leadMicros)])
}

/** Never less than `rateTurn` of any work within the bounds: what a hold must reserve. */
export function estimateTurn(bounds: TurnBounds, cards?: readonly RateCard[]): Micros {
  const card = cardAt(bounds.atMs, cards)
  const fee = card.channels[bounds.channel]
  const messages = BigInt(bounds.maxMessages) * fee.messageMicros + BigInt(bounds.maxTemplates ?? 0) * fee.templateMicros
  return BigInt(bounds.maxCalls) * dearestCall(card, bounds) + messages
}

/** Never less than `rateModels` of any calls within the bounds. */
export function estimateModels(bounds: Omit<TurnBounds, 'channel' | 'maxMessages' | 'maxTemplates'>, cards?: readonly RateCard[]): Micros {
  return BigInt(bounds.maxCalls) * dearestCall(cardAt(bounds.atMs, cards), bounds)
}

/** Never less than `rateLead` of any extraction within the bounds. */
export function estimateLead(bounds: Omit<TurnBounds, 'channel' | 'maxMessages' | 'maxTemplates'>, cards?: readonly RateCard[]): Micros {
  const card = cardAt(bounds.atMs, cards)
  return BigInt(bounds.maxCalls) * dearestCall(card, bounds) + card.leadMicros
}

function dearestCall(card: RateCard, bounds: Pick<TurnBounds, 'models' | 'maxInputTokens' | 'maxOutputTokens'>): Micros {
  let dearest = card.rulesAnswerMicros
  for (const { vendor, model, ownKey } of bounds.models) {
    if (vendor === 'rules') continue
    const cost = callBound(tokenPrice(card, { vendor, model, ownKey }), bounds)
    if (cost > dearest) dearest = cost
  }
  return dearest
}

/** Input split into cached and fresh is two lines, so it may round up twice: one micro-credit on top covers that. */
function callBound(price: TokenPrice, bounds: Pick<TurnBounds, 'maxInputTokens' | 'maxOutputTokens'>): Micros {
  const inputMicros = price.inputMicros > price.cachedInputMicros ? price.inputMicros : price.cachedInputMicros
  const input = line('input_tokens', '', bounds.maxInputTokens, inputMicros, MILLION).amountMicros
  const output = line('output_tokens', '', bounds.maxOutputTokens, price.outputMicros, MILLION).amountMicros
  return input === 0n ? output : input + 1n + output
}

/** JSON form of the lines, for the `details` of a transfer. Amounts are strings of micros. */
export function chargeDetails(charged: Charge): { lines: Record<string, string | number>[] } {
  return {
    lines: charged.lines.map(({ what, of, quantity, per, unitMicros, amountMicros }) => ({
      what, of, quantity, per, unit_micros: unitMicros.toString(), amount_micros: amountMicros.toString(),
    })),
  }
}
