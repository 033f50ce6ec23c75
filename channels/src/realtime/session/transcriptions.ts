import { transcriptionUsage } from '../usage.ts'
import { findItem, replace } from './conversation.ts'
import type { Happening } from './happenings.ts'
import type { Message, Part } from './state.ts'
import { emit, measure, type Turn } from './turn.ts'

/** What the caller said, in words. It comes when it comes: before, during or after the answer. */
type Of<Type extends Happening['type']> = Extract<Happening, { type: Type }>
type Spoken = Extract<Part, { type: 'input_audio' }>

/** Only for parts that are still there; `shown` is whether the client asked for words. */
function spokenPart(turn: Turn, itemId: string, contentIndex: number): { item: Message; part: Spoken } | null {
  const item = findItem(turn.state, itemId)
  const part = item?.type === 'message' ? item.content[contentIndex] : undefined
  return item?.type === 'message' && part?.type === 'input_audio' ? { item, part } : null
}

const at = ({ itemId, contentIndex }: { itemId: string; contentIndex: number }) => ({ item_id: itemId, content_index: contentIndex })

export function transcriptionDelta(turn: Turn, happening: Of<'transcription_delta'>): void {
  if (!spokenPart(turn, happening.itemId, happening.contentIndex)?.part.shown || happening.delta === '') return
  emit(turn, 'conversation.item.input_audio_transcription.delta', { ...at(happening), delta: happening.delta, logprobs: wanted(turn, happening.logprobs) })
}

export function transcriptionSegment(turn: Turn, happening: Of<'transcription_segment'>): void {
  if (!spokenPart(turn, happening.itemId, happening.contentIndex)?.part.shown) return
  const { id, text, speaker, startS, endS } = happening
  emit(turn, 'conversation.item.input_audio_transcription.segment', { ...at(happening), id, text, speaker, start: measure(startS), end: measure(endS) })
}

/** The transcript is kept in any case: the model reads it. */
export function transcriptionCompleted(turn: Turn, happening: Of<'transcription_completed'>): void {
  const found = spokenPart(turn, happening.itemId, happening.contentIndex)
  if (!found) return
  const { transcript, measured, languages = [], logprobs } = happening
  replace(turn, { ...found.item, content: found.item.content.with(happening.contentIndex, { ...found.part, transcript }) })
  if (!found.part.shown) return
  emit(turn, 'conversation.item.input_audio_transcription.completed', {
    ...at(happening),
    transcript,
    usage: transcriptionUsage(measured),
    logprobs: wanted(turn, logprobs),
    languages: languages.map((code) => ({ code })),
  })
}

export function transcriptionFailed(turn: Turn, happening: Of<'transcription_failed'>): void {
  if (!spokenPart(turn, happening.itemId, happening.contentIndex)?.part.shown) return
  const { type, code, message } = happening.fault
  emit(turn, 'conversation.item.input_audio_transcription.failed', { ...at(happening), error: { type, code, message, param: '' } })
}

/** Only when the session asked to `include` them. */
function wanted<Logprobs>({ state }: Turn, logprobs: Logprobs[] | undefined): Logprobs[] | null {
  return state.config.include.includes('item.input_audio_transcription.logprobs') ? (logprobs ?? null) : null
}
