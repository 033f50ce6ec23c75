import type { Clock, Logger, ModelUsage } from '@trunkline/core'
import { SUMMARY_INSTRUCTIONS, extractiveSummary, presentContext, summaryRequestText, toCompress } from './history.ts'
import type { HistoryItem, Summary } from './history.ts'
import { askChain } from './vendors/chain.ts'
import type { Deadlines, Link } from './vendors/chain.ts'
import type { Breakers } from './vendors/breaker.ts'

/** A summary is a courtesy to later turns: the customer waits for it no longer than this. */
const SUMMARY_DEADLINES: Deadlines = { firstTokenMs: 3_000, perFollowerMs: 0, failoverMs: 3_000, stallMs: 2_000, totalMs: 8_000 }
const SUMMARY_TOKENS_MAX = 400

export type Context = { items: HistoryItem[]; /** The same without compression, for the rules: they look for what was asked. */ whole: HistoryItem[]; summary: Summary | null; /** New: to be stored. */ compressed: boolean; usage: ModelUsage[] }
export type ContextDeps = { clock: Clock; breakers: Breakers; log: Logger }

/**
 * The part of a conversation that a model reads: what follows the last long silence, older messages as a summary. Above 50 messages a
 * new summary is made, by the first vendor that is there, else by rules; so this costs one short call every thirty messages.
 */
export async function readContext(
  input: { tenantId: string; history: readonly HistoryItem[]; incoming: readonly HistoryItem[]; summary: Summary | null; nowMs: number },
  links: readonly Link[],
  deps: ContextDeps,
  signal: AbortSignal,
): Promise<Context> {
  const arriving = new Set(input.incoming.map((item) => item.messageId))
  // The app may have stored the arriving messages before it loads the history: nobody is quoted twice.
  const past = input.history.filter((item) => !arriving.has(item.messageId))
  const present = presentContext(past, input.summary, input.nowMs)
  const split = toCompress(present.items)
  if (!split) return { ...present, whole: present.items, compressed: false, usage: [] }
  const { text, usage } = await condense(split.older, present.summary, links, deps, signal)
  const summary = text ? { text, throughMessageId: split.older.at(-1)!.messageId } : extractiveSummary(split.older, present.summary)
  return { items: split.recent, whole: present.items, summary, compressed: true, usage }
}

async function condense(older: readonly HistoryItem[], previous: Summary | null, links: readonly Link[], deps: ContextDeps, signal: AbortSignal): Promise<{ text: string; usage: ModelUsage[] }> {
  const items = [{ type: 'message' as const, role: 'user' as const, text: summaryRequestText(older, previous) }]
  const asked = await askChain(
    ({ model }) => ({ purpose: 'summary', model, instructions: SUMMARY_INSTRUCTIONS, items, tools: [], maxOutputTokens: SUMMARY_TOKENS_MAX, remember: false }),
    links.slice(0, 1),
    0,
    { ...deps, deadlines: SUMMARY_DEADLINES },
    signal,
  )
  const usable = asked.answer?.outcome === 'ok' || asked.answer?.outcome === 'incomplete'
  return { text: usable ? asked.answer!.text.trim() : '', usage: asked.usage }
}

/** A whole conversation in a few sentences, for the person who reads about it: by the model, else by rules. Throws only when `signal` fires. */
export async function summarise(messages: readonly HistoryItem[], link: Link | null, deps: ContextDeps, signal: AbortSignal): Promise<{ text: string; usage: ModelUsage[] }> {
  const { text, usage } = link ? await condense(messages, null, [link], deps, signal) : { text: '', usage: [] }
  signal.throwIfAborted()
  return { text: text || extractiveSummary(messages, null).text, usage }
}
