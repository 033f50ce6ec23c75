import type { ClientEventOf } from '../client-events.ts'
import { refuse } from '../errors.ts'
import { indexOf } from './conversation.ts'
import type { Happening } from './happenings.ts'
import type { State } from './state.ts'
import { truncatable, truncate } from './truncation.ts'
import { change, emit, emitRefusal, measure, type Turn } from './turn.ts'

/**
 * Sound that we play ourselves (WebRTC, telephone): we know what was heard, so an interruption truncates without being
 * asked. On a WebSocket the client plays, and sends `conversation.item.truncate`.
 */
type Of<Type extends Happening['type']> = Extract<Happening, { type: Type }>

export function playoutStarted(turn: Turn, { responseId, itemId, contentIndex }: Of<'playout_started'>): void {
  if (turn.state.playout !== 'server' || turn.state.playing?.responseId === responseId) return
  change(turn, { playing: { responseId, itemId, contentIndex: Math.floor(measure(contentIndex)), heardMs: 0 } })
  emit(turn, 'output_audio_buffer.started', { response_id: responseId })
}

export function playoutHeard(turn: Turn, { responseId, itemId, contentIndex, ms }: Of<'playout_heard'>): void {
  if (turn.state.playing?.responseId === responseId)
    change(turn, { playing: { responseId, itemId, contentIndex: Math.floor(measure(contentIndex)), heardMs: measure(ms) } })
}

export function playoutStopped(turn: Turn, { responseId }: Of<'playout_stopped'>): void {
  if (turn.state.playing?.responseId !== responseId) return
  change(turn, { playing: null })
  emit(turn, 'output_audio_buffer.stopped', { response_id: responseId })
}

export function clearOutput(turn: Turn, { event_id }: ClientEventOf<'output_audio_buffer.clear'>): void {
  if (turn.state.playout === 'client')
    return emitRefusal(
      turn,
      refuse('not_supported', 'output_audio_buffer.clear is for WebRTC and SIP: on a WebSocket the client plays, and truncates.', 'type'),
      event_id ?? null,
    )
  cutPlayout(turn)
}

/** Silence, then the history loses what was not heard: the rest of this message and whatever stood in line behind it. */
export function cutPlayout(turn: Turn): void {
  const { playing } = turn.state
  if (!playing) return
  change(turn, { playing: null })
  turn.effects.push({ type: 'cut_playout', responseId: playing.responseId })
  emit(turn, 'output_audio_buffer.cleared', { response_id: playing.responseId })
  for (const itemId of inLine(turn.state, playing.itemId)) {
    const heardMs = itemId === playing.itemId ? Math.floor(playing.heardMs) : 0
    const part = truncatable(turn.state, itemId, playing.contentIndex, heardMs)
    // All of it was heard, or it is text: there is nothing to take away.
    if (!('code' in part) && heardMs < Math.floor(part.heard?.endMs ?? part.ms)) truncate(turn, itemId, playing.contentIndex, heardMs)
  }
}

/** The message that is playing and our messages behind it, up to what the caller says next. */
function inLine(state: State, playingId: string): string[] {
  const from = indexOf(state, playingId)
  if (from === -1) return []
  const after = state.items.slice(from)
  const answered = after.findIndex((item) => item.type === 'message' && item.role === 'user')
  const waiting = answered === -1 ? after : after.slice(0, answered)
  return waiting.flatMap((item) => (item.type === 'message' && item.role === 'assistant' ? [item.id] : []))
}
