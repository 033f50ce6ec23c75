import { runTurn, TurnAborted, type Breakers, type Effect, type HistoryItem, type HttpToolPort, type TurnResult } from '@trunkline/agents'
import { estimateTurn, rateTurn, type Charge as RatedCharge } from '@trunkline/billing'
import { AppError, messageChannel, modelsOf, type ChannelClient, type Clock, type Identity, type Logger, type MessageChannelId, type ModelUsage, type OutboundContent, type PromptContent } from '@trunkline/core'
import { openJson, type Keyring, type OpenedTurn, type RoutedNumber } from '@trunkline/db'
import { z } from 'zod'
import type { Charge } from './charge.ts'
import { configOf } from './deliver.ts'
import type { VendorDirectory } from '@trunkline/agents'

export type Question = {
  number: RoutedNumber
  opened: OpenedTurn
  history: HistoryItem[]
  incoming: HistoryItem[]
  replyTo: { to: Identity; inReplyTo: string }
}

export type Answer = {
  replies: OutboundContent[]
  usage: (ModelUsage & { costMicros: bigint })[]
  charge: Charge
  vendorState: Record<string, unknown> | null
  /** Made anew; to be stored. */
  summary: Record<string, unknown> | null
  contactFields: Record<string, string>
  vendor: string
  model: string
  details: Record<string, unknown>
  handover: boolean
  close: boolean
}

export type Thinker = {
  answer(question: Question, signal: AbortSignal): Promise<Answer>
  /** Upper bound of a turn's price on this number: what is held before work begins. */
  estimate(number: RoutedNumber): bigint
}

export type ThinkerDeps = {
  vendors: VendorDirectory
  clients: Record<MessageChannelId, ChannelClient>
  tools: HttpToolPort
  breakers: Breakers
  keyring: Keyring
  clock: Clock
  log: Logger
}

/** A person notices silence after about a second; a quicker answer needs no indicator. */
const TYPING_AFTER_MS = 1_000
const MAX_INPUT_TOKENS = 16_000
const MAX_BUBBLES = 8
/** A new rate card counts from this on at the latest. */
const ESTIMATE_MS = 60_000
const Summary = z.object({ text: z.string(), throughMessageId: z.string() })
const Known = z.object({ email: z.string(), phone: z.string(), intent: z.string(), name: z.string() }).partial()

export function createThinker(deps: ThinkerDeps): Thinker {
  const estimates = new WeakMap<PromptContent, { amount: bigint; untilMs: number }>()
  return {
    async answer(question, signal) {
      const stopTyping = showTyping(deps, question, signal)
      try {
        return await ask(deps, question, signal)
      } finally {
        stopTyping()
      }
    },
    estimate(number) {
      const content = number.agent!.content
      const nowMs = deps.clock.nowMs()
      const known = estimates.get(content)
      if (known && known.untilMs > nowMs) return known.amount
      const amount = estimateTurn(boundsOf(content, number, nowMs))
      estimates.set(content, { amount, untilMs: nowMs + ESTIMATE_MS })
      return amount
    },
  }
}

const boundsOf = (content: PromptContent, number: RoutedNumber, atMs: number) => ({
  atMs,
  channel: messageChannel(number.channel),
  models: modelsOf(content),
  maxCalls: 2 + (content.tools.length > 0 ? content.maxToolSteps : 0),
  maxInputTokens: MAX_INPUT_TOKENS,
  maxOutputTokens: content.maxOutputTokens,
  maxMessages: MAX_BUBBLES,
})

async function ask(deps: ThinkerDeps, question: Question, signal: AbortSignal): Promise<Answer> {
  const { number, opened } = question
  const nowMs = deps.clock.nowMs()
  const result = await runTurn(
    {
      tenantId: number.tenantId,
      conversationId: opened.conversationId,
      turnId: opened.turnId,
      prompt: number.agent!.content,
      history: question.history,
      incoming: question.incoming,
      summary: opened.summarySealed ? Summary.parse(openJson(deps.keyring, opened.summarySealed, number.tenantId)) : null,
      vendorState: opened.vendorState as Record<string, Record<string, unknown>> | null,
      channel: number.channel,
      contact: { id: opened.contactId, ...(opened.contactName ? { name: opened.contactName } : {}), known: Known.catch({}).parse(opened.contactFields) },
      nowMs,
      signal,
    },
    { vendors: (vendor, tenantId) => deps.vendors.find(vendor, tenantId), tools: deps.tools, clock: deps.clock, log: deps.log, breakers: deps.breakers },
  ).catch((error: unknown) => {
    if (error instanceof TurnAborted) throw new AppError('unavailable', { message: 'The turn was aborted.', cause: error })
    throw error
  })
  return answerOf(result, number, nowMs)
}

function answerOf(result: TurnResult, number: RoutedNumber, atMs: number): Answer {
  // The channel's fee is counted when the channel has accepted; here it is only priced for one message.
  const rated = rateTurn({ atMs, channel: messageChannel(number.channel), usage: result.usage, messagesSent: 0 })
  const perMessage = rateTurn({ atMs, channel: messageChannel(number.channel), usage: [], messagesSent: 1 })
  return {
    replies: result.replies,
    usage: result.usage.map((usage, index) => ({ ...usage, costMicros: rated.callMicros[index] ?? 0n })),
    charge: { usageMicros: rated.totalMicros, messageMicros: perMessage.totalMicros, lines: linesOf(rated) },
    vendorState: Object.keys(result.vendorState).length > 0 ? result.vendorState : null,
    summary: result.summary,
    contactFields: fieldsOf(result.effects),
    vendor: result.answeredBy.vendor,
    model: result.answeredBy.model,
    details: detailsOf(result),
    handover: result.effects.some((effect) => effect.type === 'handover'),
    close: result.effects.some((effect) => effect.type === 'end_conversation'),
  }
}

const linesOf = (charge: RatedCharge): Record<string, unknown>[] =>
  charge.lines.map((line) => ({ what: line.what, of: line.of, quantity: line.quantity, amount_micros: line.amountMicros.toString() }))

const fieldsOf = (effects: Effect[]): Record<string, string> =>
  Object.fromEntries(effects.flatMap((effect) => (effect.type === 'lead_field' ? [[effect.field, effect.value]] : [])))

/** What support and the archive want to know; empty parts are left out. */
function detailsOf(result: TurnResult): Record<string, unknown> {
  const handover = result.effects.find((effect) => effect.type === 'handover')
  return {
    ...(result.recoveries.length > 0 ? { recoveries: result.recoveries } : {}),
    ...(result.toolCalls.length > 0 ? { tool_calls: result.toolCalls } : {}),
    ...(result.skippedVendors.length > 0 ? { skipped_vendors: result.skippedVendors.map(({ vendor, model, reason }) => ({ vendor, model, reason })) } : {}),
    ...(result.refused ? { refused: true } : {}),
    ...(handover ? { handover_reason: handover.reason } : {}),
  }
}

/** Shows "typing…" when the answer takes long. A courtesy: its failure is nobody's. */
function showTyping(deps: ThinkerDeps, { number, replyTo }: Question, signal: AbortSignal): () => void {
  if (number.settings.typing_indicator === false) return () => {}
  return deps.clock.after(TYPING_AFTER_MS, () => {
    deps.clients[messageChannel(number.channel)].typing(configOf(number), replyTo.to, replyTo.inReplyTo, signal).catch(() => {})
  })
}
