import { contentAsText, MessageContent } from '@trunkline/core'
import type { ModelItem } from './vendors/contract.ts'

/** One message of the archive, in plain words (`contentAsText`). `human` is a person of the business; `note` is what such a person told the agent, and nobody else heard. */
export type HistoryItem = { messageId: string; role: 'customer' | 'agent' | 'human' | 'note'; text: string; atMs: number }

/** A message as the archive gives it, its content opened. */
export type ArchivedMessage = { id: string; author: 'customer' | 'agent' | 'human' | 'system'; content: unknown; createdAt: Date }

const ROLES = { customer: 'customer', agent: 'agent', human: 'human', system: 'agent' } as const

/** The archive as a model may read it. Throws for content that is none. */
export const historyItem = ({ id, author, content, createdAt }: ArchivedMessage): HistoryItem => ({ messageId: id, role: ROLES[author], text: contentAsText(MessageContent.parse(content)), atMs: createdAt.getTime() })

/** Stands for all messages up to and including `throughMessageId`. The app stores it and gives it back. */
export type Summary = { text: string; throughMessageId: string }

export const COMPRESS_ABOVE = 50
export const KEEP_VERBATIM = 20
export const SILENCE_MS = 21 * 24 * 3_600_000
const ITEM_TEXT_MAX = 12_000
const SUMMARY_TEXT_MAX = 4_000

/**
 * Where the present context begins: after the last silence of 21 days or more. The archive keeps what is before it; no model reads it.
 * `atMs` oldest first. Returns `nowMs` when the whole past is that old, and -Infinity when nothing is cut.
 */
export function contextStartMs(atMs: readonly number[], nowMs: number): number {
  for (let index = atMs.length; index > 0; index--) {
    const next = atMs[index] ?? nowMs
    if (next - atMs[index - 1]! >= SILENCE_MS) return next
  }
  return -Infinity
}

/** The messages of the present context, and the summary if it still belongs to it. */
export function presentContext(history: readonly HistoryItem[], summary: Summary | null, nowMs: number): { items: HistoryItem[]; summary: Summary | null } {
  const startMs = contextStartMs(history.map((item) => item.atMs), nowMs)
  const items = history.filter((item) => item.atMs >= startMs)
  if (!summary) return { items, summary: null }
  const through = items.findIndex((item) => item.messageId === summary.throughMessageId)
  if (through >= 0) return { items: items.slice(through + 1), summary }
  // The app may load only what follows the summary; after a silence the summary is of another time.
  return { items, summary: startMs === -Infinity ? summary : null }
}

/** Above 50 messages all but the newest 20 are to be summarised; null when there is nothing to do. */
export function toCompress(items: readonly HistoryItem[]): { older: HistoryItem[]; recent: HistoryItem[] } | null {
  if (items.length <= COMPRESS_ABOVE) return null
  const at = items.length - KEEP_VERBATIM
  return { older: items.slice(0, at), recent: items.slice(at) }
}

/** A summary without a model: what the customer said, first sentences, newest kept when space runs out. */
export function extractiveSummary(older: readonly HistoryItem[], previous: Summary | null): Summary {
  const lines = older.filter((item) => item.text.trim() !== '').map((item) => `${ROLE_WORDS[item.role]}: ${firstSentence(item.text)}`)
  const budget = SUMMARY_TEXT_MAX - Math.min(previous?.text.length ?? 0, SUMMARY_TEXT_MAX / 2)
  let used = 0
  const kept = lines.reverse().filter((line) => (used += line.length + 1) <= budget).reverse()
  const text = [previous?.text.slice(0, SUMMARY_TEXT_MAX / 2), ...kept].filter(Boolean).join('\n')
  return { text, throughMessageId: older.at(-1)!.messageId }
}

const ROLE_WORDS: Record<HistoryItem['role'], string> = { customer: 'Customer', agent: 'Agent', human: 'Colleague', note: 'Told to the agent alone' }

function firstSentence(text: string): string {
  const flat = text.replace(/\s+/g, ' ').trim()
  const end = flat.search(/[.!?](\s|$)/)
  return (end >= 20 ? flat.slice(0, end + 1) : flat).slice(0, 200)
}

/** What a model is asked to condense. */
export function summaryRequestText(older: readonly HistoryItem[], previous: Summary | null): string {
  const lines = older.map((item) => `${ROLE_WORDS[item.role]}: ${item.text.replace(/\s+/g, ' ').slice(0, 1_000)}`)
  return [previous ? `Summary so far:\n${previous.text}\n` : '', 'Messages:', ...lines].filter(Boolean).join('\n')
}

export const SUMMARY_INSTRUCTIONS =
  'You condense a customer conversation for the colleague who continues it. Keep names, contact data, dates, numbers, decisions, open questions and promises. ' +
  'No greeting, no opinion, at most 200 words, in the language of the conversation.'

/** Items for a model. Empty messages say nothing and some vendors refuse them. */
export function toModelItems(items: readonly HistoryItem[], summary: Summary | null): ModelItem[] {
  const notes: ModelItem[] = summary ? [{ type: 'message', role: 'system', text: `Summary of the earlier conversation:\n${summary.text}` }] : []
  const spoken = items.filter((item) => item.text.trim() !== '')
  return [...notes, ...spoken.map((item) => ({ type: 'message' as const, role: MODEL_ROLES[item.role], text: `${item.role === 'note' ? NOTE : ''}${item.text.slice(0, ITEM_TEXT_MAX)}` }))]
}

const MODEL_ROLES = { customer: 'user', agent: 'assistant', human: 'assistant', note: 'system' } as const satisfies Record<HistoryItem['role'], string>
const NOTE = 'Note from a colleague, which the customer does not hear; follow it from your next answer on: '
