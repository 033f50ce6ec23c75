import type { WireItem, WirePart } from '../items.ts'
import type { ViewItem, ViewPart } from './effects.ts'
import type { Item, Message, Part, Response, State } from './state.ts'
import { change, emit, type Turn } from './turn.ts'

export const indexOf = (state: State, itemId: string): number => state.items.findIndex((item) => item.id === itemId)

/** The id before this one; null for the first. */
export function previousOf(state: State, itemId: string): string | null {
  return state.items[indexOf(state, itemId) - 1]?.id ?? null
}

/** `at`: place in the order; the end when absent. */
export function insert(turn: Turn, item: Item, at: number = turn.state.items.length): void {
  change(turn, { items: turn.state.items.toSpliced(at, 0, item) })
}

export function replace(turn: Turn, item: Item): void {
  const index = indexOf(turn.state, item.id)
  if (index !== -1) change(turn, { items: turn.state.items.with(index, item) })
}

/** The item is known to be there and not to grow. */
export function remove(turn: Turn, itemId: string): void {
  change(turn, { items: turn.state.items.filter((item) => item.id !== itemId) })
  turn.effects.push({ type: 'drop_item', itemId })
  emit(turn, 'conversation.item.deleted', { item_id: itemId })
}

export const activeResponse = (state: State): Response | undefined => state.responses.find((response) => response.inConversation)

/** With what has been generated so far, when it is still growing. */
export function findItem(state: State, itemId: string): Item | undefined {
  const growing = state.responses.flatMap((response) => response.output).find((output) => output.item.id === itemId && output.open)
  return growing && indexOf(state, itemId) !== -1 ? growing.item : state.items.find((item) => item.id === itemId)
}

export const isGrowing = (state: State, itemId: string): boolean =>
  state.responses.some((response) => response.output.some((output) => output.open && output.item.id === itemId))

/** Characters that a conversation holds, for its limit. */
export const sizeOf = (items: readonly Item[]): number => items.reduce((sum, item) => sum + sizeOfItem(item), 0)

export function sizeOfItem(item: Item): number {
  if (item.type === 'function_call') return item.arguments.length
  if (item.type === 'function_call_output') return item.output.length
  return item.content.reduce((sum, part) => sum + sizeOfPart(part), 0)
}

function sizeOfPart(part: Part): number {
  if (part.type === 'input_image') return part.imageUrl.length
  return 'text' in part ? part.text.length : (part.transcript?.length ?? 0)
}

/** An item as it is shown. `sound` is base64 by content index, and only for `conversation.item.retrieved`. */
export function wireItem(item: Item, sound: ReadonlyMap<number, string> = new Map()): WireItem {
  const base = { id: item.id, object: 'realtime.item', status: item.status } as const
  if (item.type === 'function_call') return { ...base, type: 'function_call', call_id: item.callId, name: item.name, arguments: item.arguments }
  if (item.type === 'function_call_output') return { ...base, type: 'function_call_output', call_id: item.callId, output: item.output }
  return { ...base, type: 'message', role: item.role, content: item.content.map((part, index) => wirePart(part, sound.get(index) ?? null)) }
}

function wirePart(part: Part, audio: string | null): WirePart {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
      return { type: part.type, text: part.text }
    case 'input_audio':
      return { type: 'input_audio', audio, transcript: part.shown ? part.transcript : null }
    case 'input_image':
      return { type: 'input_image', image_url: part.imageUrl, detail: part.detail }
    case 'output_audio':
      // "Truncating audio will delete the server-side text transcript" (ConversationItemTruncateEvent).
      return { type: 'output_audio', audio, transcript: part.heard ? null : part.transcript }
  }
}

export const hasSound = (item: Item): item is Message =>
  item.type === 'message' && item.content.some((part) => part.type === 'input_audio' || part.type === 'output_audio')

/** The conversation for the model, as it stands now: the host asks again when a transcript has come. */
export const conversationView = (state: State): ViewItem[] => viewOf(state.items)

export function viewOf(items: readonly Item[]): ViewItem[] {
  const ended = items.filter((item) => item.status !== 'in_progress')
  const calls = new Set(ended.flatMap((item) => (item.type === 'function_call' && item.status === 'completed' ? [item.callId] : [])))
  return ended.flatMap((item) => viewItem(item, calls))
}

/** A call that was cut off never ran, and an answer to a call that is not there would confuse every model. */
function viewItem(item: Item, calls: ReadonlySet<string>): ViewItem[] {
  if (item.type !== 'message') {
    if (!calls.has(item.callId) || item.status === 'incomplete') return []
    const { id, callId } = item
    return item.type === 'function_call'
      ? [{ type: 'function_call', id, callId, name: item.name, arguments: item.arguments }]
      : [{ type: 'function_call_output', id, callId, output: item.output }]
  }
  const parts = item.content.flatMap((part, index) => viewPart(item.id, part, index))
  const interrupted = item.status === 'incomplete' || item.content.some((part) => part.type === 'output_audio' && part.heard !== null)
  return parts.length > 0 ? [{ type: 'message', id: item.id, role: item.role, parts, interrupted }] : []
}

function viewPart(itemId: string, part: Part, contentIndex: number): ViewPart[] {
  switch (part.type) {
    case 'input_audio':
      return [{ type: 'audio', itemId, contentIndex, transcript: part.transcript }]
    case 'input_image':
      return [{ type: 'image', url: part.imageUrl, detail: part.detail }]
    case 'output_audio':
      return written(part.heard ? part.heard.text : (part.transcript ?? ''))
    default:
      return written(part.text)
  }
}

const written = (text: string): ViewPart[] => (text === '' ? [] : [{ type: 'text', text }])
