import { LIMITS } from '../limits.ts'
import { insert, previousOf, remove, replace, wireItem } from './conversation.ts'
import { growInto } from './growing.ts'
import type { Happening } from './happenings.ts'
import { cutPlayout } from './playout.ts'
import type { Item, Message, Output, Part, Response, SpokenPart } from './state.ts'
import { change, emit, measure, newId, type Turn } from './turn.ts'

/** What a response says while it says it. One part per message, so `content_index` is always 0. */
const CONTENT_INDEX = 0

type Place = { response: Response; output: Output; index: number }
type Of<Type extends Happening['type']> = Extract<Happening, { type: Type }>

const responseOf = (turn: Turn, id: string): Response | undefined => turn.state.responses.find((response) => response.id === id)

const placeOf = ({ response, index, output }: Place) => ({ response_id: response.id, output_index: index, item_id: output.item.id })
const at = (where: Place) => ({ ...placeOf(where), content_index: CONTENT_INDEX })

export function textDelta(turn: Turn, { responseId, delta }: Of<'text_delta'> | Of<'speech_text'>): void {
  const place = delta === '' ? null : openMessage(turn, responseId)
  if (!place) return
  const part = partOf(place)
  if (part.type === 'output_audio') {
    grow(turn, place, { ...part, transcript: (part.transcript ?? '') + delta })
    emit(turn, 'response.output_audio_transcript.delta', { ...at(place), delta })
  } else if (part.type === 'output_text') {
    grow(turn, place, { ...part, text: part.text + delta })
    emit(turn, 'response.output_text.delta', { ...at(place), delta })
  }
}

/** Sound of a response that writes has nowhere to go and is dropped. */
export function speechAudio(turn: Turn, { responseId, audio, ms }: Of<'speech_audio'>): void {
  const delta = typeof audio === 'string' ? audio : Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength).toString('base64')
  if (delta === '' || responseOf(turn, responseId)?.modality !== 'audio') return
  const place = openMessage(turn, responseId)
  if (!place) return
  const part = partOf(place)
  if (part.type !== 'output_audio') return
  grow(turn, place, { ...part, ms: part.ms + measure(ms) })
  if (!turn.state.spoke) change(turn, { spoke: true })
  emit(turn, 'response.output_audio.delta', { ...at(place), delta })
}

/** Not an event: they say what was heard when the part is cut. */
export function speechWords(turn: Turn, { responseId, spans }: Of<'speech_words'>): void {
  const place = openOutput(responseOf(turn, responseId), (item) => item.type === 'message')
  if (!place) return
  const part = partOf(place)
  if (part.type !== 'output_audio') return
  const sound = spans.map((span) => ({ charEnd: Math.floor(measure(span.charEnd)), endMs: measure(span.endMs) }))
  grow(turn, place, { ...part, spans: [...part.spans, ...sound].slice(0, LIMITS.spans) })
}

export function messageDone(turn: Turn, { responseId }: Of<'message_done'>): void {
  const place = openOutput(responseOf(turn, responseId), (item) => item.type === 'message')
  if (place) closeOutput(turn, place, 'completed')
}

/** Its client has it already: the item ends as incomplete, and is then deleted, so that no history and no model keeps it. The response goes on. */
export function messageWithdrawn(turn: Turn, { responseId }: Of<'message_withdrawn'>): void {
  const isMessage = (item: Item): boolean => item.type === 'message'
  if (!openOutput(responseOf(turn, responseId), isMessage)) return
  if (turn.state.playing) cutPlayout(turn)
  else if (turn.state.playout === 'server') turn.effects.push({ type: 'cut_playout', responseId })
  const place = openOutput(responseOf(turn, responseId), isMessage)!
  closeOutput(turn, place, 'incomplete')
  if (place.response.inConversation) remove(turn, place.output.item.id)
}

export function callDelta(turn: Turn, { responseId, callId, name, delta }: Of<'call_delta'>): void {
  const place = openCall(turn, responseId, callId, name)
  if (place && delta !== '') growCall(turn, place, delta)
}

export function callDone(turn: Turn, { responseId, callId, name, arguments: whole }: Of<'call_done'>): void {
  const place = openCall(turn, responseId, callId, name)
  if (place?.output.item.type !== 'function_call') return
  const streamed = place.output.item.arguments
  // Engines that stream give the same text again at the end; those that do not give it here for the first time.
  if (whole.startsWith(streamed) && whole.length > streamed.length) growCall(turn, place, whole.slice(streamed.length))
  const now = openOutput(responseOf(turn, responseId), (item) => item.id === place.output.item.id)
  if (now) closeOutput(turn, now, 'completed')
}

function growCall(turn: Turn, place: Place, delta: string): void {
  const { item } = place.output
  if (item.type !== 'function_call') return
  change(turn, { responses: growInto(turn.state.responses, { ...item, arguments: item.arguments + delta }) })
  emit(turn, 'response.function_call_arguments.delta', { ...placeOf(place), call_id: item.callId, delta })
}

function partOf({ output }: Place): Part {
  return (output.item as Message).content[CONTENT_INDEX]!
}

function grow(turn: Turn, { output }: Place, part: Part): void {
  change(turn, { responses: growInto(turn.state.responses, { ...(output.item as Message), content: [part] }) })
}

function openOutput(response: Response | undefined, wanted: (item: Item) => boolean): Place | null {
  const index = response?.output.findIndex((output) => output.open && wanted(output.item)) ?? -1
  const output = response?.output[index]
  return response && output ? { response, output, index } : null
}

/** The message that is being said, or a new one. Null for a response that is over: what comes late is ignored. */
function openMessage(turn: Turn, responseId: string): Place | null {
  const response = responseOf(turn, responseId)
  const open = openOutput(response, (item) => item.type === 'message')
  if (open || !response) return open
  const part: Part = response.modality === 'audio' ? SILENT : { type: 'output_text', text: '' }
  const where = addOutput(turn, response, { type: 'message', id: newId(turn, 'item'), status: 'in_progress', role: 'assistant', content: [part] })
  if (where) emit(turn, 'response.content_part.added', { ...at(where), part: wirePart(part) })
  return where
}

const SILENT: SpokenPart = { type: 'output_audio', transcript: '', ms: 0, spans: [], heard: null }

function openCall(turn: Turn, responseId: string, callId: string, name: string): Place | null {
  const response = responseOf(turn, responseId)
  const known = response?.output.some(({ item }) => item.type === 'function_call' && item.callId === callId)
  if (!response || known) return openOutput(response, (item) => item.type === 'function_call' && item.callId === callId)
  return addOutput(turn, response, { type: 'function_call', id: newId(turn, 'item'), status: 'in_progress', callId, name, arguments: '' })
}

/** "It will not yet have any content" (ConversationItemAdded): parts and arguments follow as deltas. */
const emptied = (item: Item): Item => (item.type === 'message' ? { ...item, content: [] } : item)

function addOutput(turn: Turn, response: Response, item: Item): Place | null {
  if (response.output.length >= LIMITS.outputItems) return null
  const index = response.output.length
  const output: Output = { open: true, item }
  const grown: Response = { ...response, output: [...response.output, output] }
  change(turn, { responses: turn.state.responses.map((other) => (other.id === response.id ? grown : other)) })
  const shown = wireItem(emptied(item))
  emit(turn, 'response.output_item.added', { response_id: response.id, output_index: index, item: shown })
  if (response.inConversation) {
    insert(turn, emptied(item))
    emit(turn, 'conversation.item.added', { item: shown, previous_item_id: previousOf(turn.state, item.id) })
  }
  return { response: grown, output, index }
}

/** Its `done` events in the order of the wire; the item is then part of the conversation with all its content. */
export function closeOutput(turn: Turn, where: Place, status: 'completed' | 'incomplete'): void {
  const { response, output, index } = where
  const item = closed({ ...output.item, status })
  if (output.item.type === 'message') emitMessageDone(turn, where, partOf(where))
  if (output.item.type === 'function_call') {
    const { callId, name } = output.item
    emit(turn, 'response.function_call_arguments.done', { ...placeOf(where), call_id: callId, name, arguments: output.item.arguments })
  }
  const after = turn.state.responses.map((other) => (other.id === response.id ? { ...other, output: other.output.with(index, { open: false, item }) } : other))
  change(turn, { responses: after })
  const shown = wireItem(item)
  if (response.inConversation) {
    replace(turn, item)
    emit(turn, 'conversation.item.done', { item: shown, previous_item_id: previousOf(turn.state, item.id) })
  }
  emit(turn, 'response.output_item.done', { response_id: response.id, output_index: index, item: shown })
}

/** A part that was cut while it grew loses its transcript now. */
function closed(item: Item): Item {
  if (item.type !== 'message') return item
  return { ...item, content: item.content.map((part) => (part.type === 'output_audio' && part.heard ? { ...part, transcript: null } : part)) }
}

function emitMessageDone(turn: Turn, where: Place, part: Part): void {
  const here = at(where)
  if (part.type === 'output_audio') {
    emit(turn, 'response.output_audio.done', here)
    emit(turn, 'response.output_audio_transcript.done', { ...here, transcript: part.transcript ?? '' })
  } else if (part.type === 'output_text') emit(turn, 'response.output_text.done', { ...here, text: part.text })
  emit(turn, 'response.content_part.done', { ...here, part: wirePart(part) })
}

/** Parts are named text and audio here, and carry every field (ResponseContentPartDoneEvent.Part). */
function wirePart(part: Part) {
  if (part.type === 'output_audio') return { type: 'audio', text: '', audio: '', transcript: part.transcript ?? '' } as const
  return { type: 'text', text: part.type === 'output_text' ? part.text : '', audio: '', transcript: '' } as const
}
