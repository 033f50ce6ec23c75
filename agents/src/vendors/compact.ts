import type { ModelItem } from './contract.ts'

const KEEP_ITEMS = 8
const LINE_MAX = 200
const DIGEST_MAX = 4_000

/**
 * Shrinks a context that a vendor called too long: the newest items stay (tool calls with their outputs), the rest becomes one
 * note of first sentences. Without a model on purpose: this runs when the model has just refused.
 */
export function compactItems(items: readonly ModelItem[]): ModelItem[] {
  const from = pairedStart(items, Math.max(0, items.length - Math.min(KEEP_ITEMS, Math.ceil(items.length / 2))))
  const older = items.slice(0, from)
  if (older.length === 0) return items.map(shortened)
  return [{ type: 'message', role: 'system', text: `Earlier in this conversation, shortened:\n${digestOf(older)}` }, ...items.slice(from).map(shortened)]
}

/** Moves `from` back until no tool output right of it has lost its call. */
export function pairedStart(items: readonly ModelItem[], from: number): number {
  let start = from
  for (;;) {
    const calls = new Set(items.slice(start).flatMap((item) => (item.type === 'tool_call' ? [item.callId] : [])))
    const orphan = items.slice(start).find((item) => item.type === 'tool_output' && !calls.has(item.callId))
    if (orphan?.type !== 'tool_output') return start
    const at = items.findIndex((item) => item.type === 'tool_call' && item.callId === orphan.callId)
    if (at < 0 || at >= start) return start
    start = at
  }
}

const ITEM_TEXT_MAX = 8_000
const cut = (text: string, max: number) => (text.length <= max ? text : `${text.slice(0, max - 1)}…`)

function shortened(item: ModelItem): ModelItem {
  if (item.type === 'message') return { ...item, text: cut(item.text, ITEM_TEXT_MAX) }
  return item.type === 'tool_output' ? { ...item, output: cut(item.output, ITEM_TEXT_MAX / 4) } : item
}

function digestOf(items: readonly ModelItem[]): string {
  const lines = items.flatMap((item) => (item.type === 'message' ? [`${item.role}: ${cut(item.text.replace(/\s+/g, ' '), LINE_MAX)}`] : []))
  let total = 0
  const kept = lines.reverse().filter((line) => (total += line.length + 1) <= DIGEST_MAX)
  return kept.reverse().join('\n')
}
