import { quoted, refuse, type Refusal } from '../errors.ts'
import { findItem, isGrowing, replace } from './conversation.ts'
import { growInto } from './growing.ts'
import type { Item, Span, SpokenPart, State } from './state.ts'
import { change, emit, type Turn } from './turn.ts'

/** The spoken part that can be cut at this place, or why not. */
export function truncatable(state: State, itemId: string, contentIndex: number, audioEndMs: number): SpokenPart | Refusal {
  const item = findItem(state, itemId)
  if (!item) return refuse('item_truncate_invalid_item_id', `Error truncating item: the item with id ${quoted(itemId)} does not exist.`, 'item_id')
  const part = item.type === 'message' ? item.content[contentIndex] : undefined
  if (part?.type !== 'output_audio')
    return refuse('unsupported_content_type', 'Only model output audio messages can be truncated.', part ? 'item_id' : 'content_index')
  const lengthMs = part.heard?.endMs ?? part.ms
  // What was sent is counted in whole bytes; a client that counts the same bytes may round up by one millisecond.
  if (audioEndMs > Math.ceil(lengthMs))
    return refuse('invalid_value', `Audio content of ${Math.floor(lengthMs)}ms is already shorter than ${audioEndMs}ms`, 'audio_end_ms')
  return part
}

/** Cuts, tells the client, and tells the host what was heard. The item is known to be truncatable here. */
export function truncate(turn: Turn, itemId: string, contentIndex: number, audioEndMs: number): void {
  const part = truncatable(turn.state, itemId, contentIndex, audioEndMs)
  const item = findItem(turn.state, itemId)
  if ('code' in part || item?.type !== 'message') return
  const heard = heardText(part, audioEndMs)
  const growing = isGrowing(turn.state, itemId)
  // A part that still grows keeps its transcript for its own `done` events and loses it then.
  const cut: SpokenPart = { ...part, transcript: growing ? part.transcript : null, heard: { endMs: audioEndMs, ...heard } }
  const shorter: Item = { ...item, content: item.content.with(contentIndex, cut) }
  if (growing) change(turn, { responses: growInto(turn.state.responses, shorter) })
  else replace(turn, shorter)
  emit(turn, 'conversation.item.truncated', { item_id: itemId, content_index: contentIndex, audio_end_ms: audioEndMs })
  turn.effects.push({ type: 'truncate_item', itemId, contentIndex, audioEndMs, heardText: heard.text, estimated: heard.estimated })
}

/** Whole words that had ended by then: by the voice's own word times, or else by the clock and marked so. */
export function heardText(part: SpokenPart, audioEndMs: number): { text: string; estimated: boolean } {
  const text = part.heard?.text ?? part.transcript ?? ''
  const lengthMs = part.heard?.endMs ?? part.ms
  if (part.spans.length > 0) return { text: text.slice(0, charsBy(part.spans, audioEndMs)), estimated: part.heard?.estimated ?? false }
  if (audioEndMs >= lengthMs) return { text, estimated: true }
  const cut = text.slice(0, Math.floor((text.length * audioEndMs) / lengthMs))
  return { text: cut.slice(0, Math.max(0, cut.search(/\s\S*$/))), estimated: true }
}

function charsBy(spans: readonly Span[], audioEndMs: number): number {
  return spans.findLast((span) => span.endMs <= audioEndMs)?.charEnd ?? 0
}
