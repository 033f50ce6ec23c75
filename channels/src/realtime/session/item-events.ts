import type { ClientEventOf } from '../client-events.ts'
import { quoted, refuse, type Refusal } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { findItem, hasSound, indexOf, insert, isGrowing, previousOf, remove, sizeOf, sizeOfItem, wireItem } from './conversation.ts'
import type { Happening } from './happenings.ts'
import { itemFrom } from './made-items.ts'
import type { Item, State } from './state.ts'
import { truncatable, truncate } from './truncation.ts'
import { change, emit, emitRefusal, newId, type Turn } from './turn.ts'

type Create = ClientEventOf<'conversation.item.create'>

export function createItem(turn: Turn, event: Create): void {
  const made = checkPlace(turn.state, event) ?? itemFrom(turn, event.item, event.item.id ?? newId(turn, 'item'), 'item')
  const refusal = 'code' in made ? made : 'refusal' in made ? made.refusal : checkItem(turn.state, made.item)
  if (refusal || 'code' in made || 'refusal' in made) {
    if (refusal) emitRefusal(turn, refusal, event.event_id ?? null)
    return
  }
  insert(turn, made.item, placeAfter(turn.state, event.previous_item_id))
  turn.effects.push(...made.effects)
  const placed = { item: wireItem(made.item), previous_item_id: previousOf(turn.state, made.item.id) }
  emit(turn, 'conversation.item.added', placed)
  emit(turn, 'conversation.item.done', placed)
}

function placeAfter(state: State, previous: string | null | undefined): number {
  if (previous === 'root') return 0
  return previous ? indexOf(state, previous) + 1 : state.items.length
}

function checkPlace(state: State, { item, previous_item_id: previous }: Create): Refusal | null {
  if (state.config.type !== 'realtime') return refuse('not_supported', 'A transcription session takes no items.', 'type')
  if (item.id === 'root' || (item.id && isTaken(state, item.id)))
    return refuse('item_create_duplicate_item_id', `Error adding item: an item with id ${quoted(item.id)} already exists.`, 'item.id')
  if (previous && previous !== 'root' && indexOf(state, previous) === -1)
    return refuse(
      'item_create_invalid_previous_item_id',
      `Error adding item: the previous item with id ${quoted(previous)} does not exist.`,
      'previous_item_id',
    )
  if (item.type === 'function_call_output' && !hasCall(state, item.call_id))
    return refuse('invalid_tool_call_id', `Tool call ID ${quoted(item.call_id)} not found in conversation.`, 'item.call_id')
  return null
}

/** Also by the message that a speaker is about to finish, and by what a response beside the conversation says. */
const isTaken = (state: State, id: string): boolean => indexOf(state, id) !== -1 || state.input.speech?.itemId === id || isGrowing(state, id)
const hasCall = (state: State, callId: string): boolean => state.items.some((item) => item.type === 'function_call' && item.callId === callId)

function checkItem(state: State, item: Item): Refusal | null {
  if (state.items.length >= LIMITS.items) return refuse('conversation_full', `A conversation has at most ${LIMITS.items} items: delete some.`)
  if (sizeOf(state.items) + sizeOfItem(item) > LIMITS.conversation)
    return refuse('conversation_full', `A conversation has at most ${LIMITS.conversation} characters: delete some items.`)
  return null
}

const missing = (verb: string, code: 'item_retrieve_invalid_item_id' | 'item_delete_invalid_item_id', id: string): Refusal =>
  refuse(code, `Error ${verb} item: the item with id ${quoted(id)} does not exist.`, 'item_id')

export function deleteItem(turn: Turn, { item_id, event_id }: ClientEventOf<'conversation.item.delete'>): void {
  const refusal =
    indexOf(turn.state, item_id) === -1
      ? missing('deleting', 'item_delete_invalid_item_id', item_id)
      : isGrowing(turn.state, item_id)
        ? refuse('item_in_progress', `The item with id ${quoted(item_id)} is being generated: cancel the response first.`, 'item_id')
        : null
  if (refusal) return emitRefusal(turn, refusal, event_id ?? null)
  remove(turn, item_id)
}

export function truncateItem(turn: Turn, event: ClientEventOf<'conversation.item.truncate'>): void {
  const part = truncatable(turn.state, event.item_id, event.content_index, event.audio_end_ms)
  if ('code' in part) emitRefusal(turn, part, event.event_id ?? null)
  else truncate(turn, event.item_id, event.content_index, event.audio_end_ms)
}

/** With its sound, when the host keeps it: the answer then follows `audio_retrieved`. */
export function retrieveItem(turn: Turn, { item_id, event_id }: ClientEventOf<'conversation.item.retrieve'>): void {
  const { state } = turn
  const item = indexOf(state, item_id) === -1 ? undefined : findItem(state, item_id)
  if (!item) return emitRefusal(turn, missing('retrieving', 'item_retrieve_invalid_item_id', item_id), event_id ?? null)
  if (!state.keepsAudio || !hasSound(item) || isGrowing(state, item_id)) return emit(turn, 'conversation.item.retrieved', { item: wireItem(item) })
  if (state.retrievals.length >= LIMITS.retrievals)
    return emitRefusal(turn, refuse('rate_limit_exceeded', `${LIMITS.retrievals} items are being retrieved already.`), event_id ?? null)
  const requestId = newId(turn, 'req')
  change(turn, { retrievals: [...state.retrievals, { requestId, itemId: item_id }] })
  turn.effects.push({ type: 'retrieve_audio', requestId, itemId: item_id })
}

export function audioRetrieved(turn: Turn, { requestId, parts }: Extract<Happening, { type: 'audio_retrieved' }>): void {
  const request = turn.state.retrievals.find((pending) => pending.requestId === requestId)
  if (!request) return
  change(turn, { retrievals: turn.state.retrievals.filter((pending) => pending.requestId !== requestId) })
  const item = findItem(turn.state, request.itemId)
  if (!item) return emitRefusal(turn, missing('retrieving', 'item_retrieve_invalid_item_id', request.itemId), null)
  emit(turn, 'conversation.item.retrieved', { item: wireItem(item, new Map(parts.map((part) => [part.contentIndex, part.audio]))) })
}
