import { decodeAudio } from '../audio.ts'
import { refuse, type Refusal } from '../errors.ts'
import type { ItemInput } from '../items.ts'
import type { Effect } from './effects.ts'
import type { Item, Message, Part } from './state.ts'
import { newId, type Turn } from './turn.ts'

/** An item that a client wrote, as we keep it. Its sound goes to the host; `param` is where it stood in the event. */
export type Made = { item: Item; effects: Effect[] } | { refusal: Refusal }

type MessageInput = Extract<ItemInput, { type: 'message' }>
type PartInput = MessageInput['content'][number]

export function itemFrom(turn: Turn, input: ItemInput, id: string, param: string): Made {
  const base = { id, status: input.status === 'incomplete' ? ('incomplete' as const) : ('completed' as const) }
  if (input.type === 'function_call')
    return { item: { ...base, type: 'function_call', callId: input.call_id ?? newId(turn, 'call'), name: input.name, arguments: input.arguments }, effects: [] }
  if (input.type === 'function_call_output')
    return { item: { ...base, type: 'function_call_output', callId: input.call_id, output: input.output }, effects: [] }
  return messageFrom(turn, input, base, param)
}

function messageFrom(turn: Turn, input: MessageInput, base: Pick<Message, 'id' | 'status'>, param: string): Made {
  const content: Part[] = []
  const effects: Effect[] = []
  for (const [index, part] of input.content.entries()) {
    const made = partFrom(turn, part, base.id, index, `${param}.content[${index}]`)
    if ('refusal' in made) return made
    content.push(made.part)
    effects.push(...made.effects)
  }
  return { item: { ...base, type: 'message', role: input.role, content }, effects }
}

type MadePart = { part: Part; effects: Effect[] } | { refusal: Refusal }

function partFrom(turn: Turn, part: PartInput, itemId: string, contentIndex: number, param: string): MadePart {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
      return { part: { type: part.type, text: part.text }, effects: [] }
    case 'input_image':
      return { part: { type: 'input_image', imageUrl: part.image_url, detail: part.detail }, effects: [] }
    case 'output_audio':
      return { refusal: refuse('unsupported_content_type', 'Assistant messages of a client are text: send output_text.', `${param}.type`) }
    case 'input_audio':
      return audioFrom(turn, part, itemId, contentIndex, param)
  }
}

function audioFrom(turn: Turn, part: Extract<PartInput, { type: 'input_audio' }>, itemId: string, contentIndex: number, param: string): MadePart {
  const { format, transcription } = turn.state.config.audio.input
  const kept: Part = { type: 'input_audio', transcript: part.transcript ?? null, shown: typeof part.transcript === 'string' || transcription !== null }
  if (typeof part.audio !== 'string') return { part: kept, effects: [] }
  const audio = decodeAudio(part.audio)
  if (!audio || audio.length === 0)
    return { refusal: refuse('invalid_value', `Invalid '${param}.audio': expected base64-encoded audio bytes.`, `${param}.audio`) }
  const effects: Effect[] = [{ type: 'store_audio', itemId, contentIndex, audio, format }]
  if (kept.transcript === null) effects.push({ type: 'transcribe', itemId, contentIndex, shown: transcription !== null, settings: transcription })
  return { part: kept, effects }
}
