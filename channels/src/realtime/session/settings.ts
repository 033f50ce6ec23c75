import type { ClientEventOf } from '../client-events.ts'
import { refuse, type Refusal } from '../errors.ts'
import type { WireSession } from '../server-events.ts'
import type { RealtimeConfig, SessionConfig } from '../session-config.ts'
import { mergeRealtime, mergeTranscription, type SessionPatch } from '../session-patch.ts'
import { activeResponse } from './conversation.ts'
import { idleTimeoutMs } from './endings.ts'
import { voiceId } from './responses.ts'
import type { State } from './state.ts'
import { change, emit, emitRefusal, type Turn } from './turn.ts'

/** The whole configuration, as `session.created` and `session.updated` show it. */
export function wireSession({ config, sessionId, expiresAtS }: State): WireSession {
  const identity = { id: sessionId, expires_at: expiresAtS }
  return config.type === 'realtime'
    ? { ...config, object: 'realtime.session', ...identity }
    : { ...config, object: 'realtime.transcription_session', ...identity }
}

export function updateSession(turn: Turn, { session, event_id }: ClientEventOf<'session.update'>): void {
  const config = merged(turn.state, session)
  const refusal = 'code' in config ? config : refusalOf(turn.state, config)
  if ('code' in config || refusal) {
    if (refusal) emitRefusal(turn, refusal, event_id ?? null)
    return
  }
  const before = turn.state
  change(turn, { config })
  if (session.audio?.input) applyInput(turn, before)
  if (idleTimeoutMs(before) !== null && idleTimeoutMs(turn.state) === null) turn.effects.push({ type: 'disarm_idle' })
  emit(turn, 'session.updated', { session: wireSession(turn.state) })
}

function merged({ config, transcriptionModel }: State, patch: SessionPatch): SessionConfig | Refusal {
  if (config.type === 'realtime' && patch.type === 'realtime') return mergeRealtime(config, patch, transcriptionModel)
  if (config.type === 'transcription' && patch.type === 'transcription') return mergeTranscription(config, patch, transcriptionModel)
  return refuse('invalid_value', `Passing a ${patch.type} session update to a ${config.type} session is not allowed.`, 'session.type')
}

function refusalOf(state: State, next: SessionConfig): Refusal | null {
  const { config } = state
  if (config.type !== 'realtime' || next.type !== 'realtime') return null
  if (state.spoke && voiceChanged(config, next))
    return refuse('cannot_update_voice', "Cannot update a conversation's voice if assistant audio is present.", 'session.audio.output.voice')
  // "This value can only be changed in between model turns" (RealtimeAudioConfigOutput.speed).
  if (activeResponse(state) && next.audio.output.speed !== config.audio.output.speed)
    return refuse('invalid_value', 'The speed can only be changed in between model turns, not while a response is in progress.', 'session.audio.output.speed')
  return null
}

const voiceChanged = (before: RealtimeConfig, after: RealtimeConfig): boolean => voiceId(before.audio.output.voice) !== voiceId(after.audio.output.voice)

/**
 * Half a sample of another format is no sample. A turn that has begun stays begun, also when turn detection is switched
 * off: the client was told its id, and the next commit has it.
 */
function applyInput(turn: Turn, before: State): void {
  const { input, config } = turn.state
  const sameFormat = config.audio.input.format.type === before.config.audio.input.format.type
  change(turn, { input: { ...input, half: sameFormat ? input.half : null } })
  turn.effects.push({ type: 'configure_input', input: config.audio.input })
}
