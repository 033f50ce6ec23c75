import { randomBytes } from 'node:crypto'
import type { SessionConfig } from '../session-config.ts'
import { endResponse } from './endings.ts'
import { clearBuffer } from './input-buffer.ts'
import { audioRetrieved } from './item-events.ts'
import { cutPlayout } from './playout.ts'
import { wireSession } from './settings.ts'
import { VERSION, type State } from './state.ts'
import { begin, change, emit, finish, type Step, type Turn } from './turn.ts'

export type SessionOptions = {
  config: SessionConfig
  /** Unix seconds; the host sends `expired` then. */
  expiresAtS: number
  transcriptionModel: string
  /** `client`: WebSocket. `server`: WebRTC and telephone, where we play and know what was heard. */
  playout: 'client' | 'server'
  /** Whether the host answers `retrieve_audio`. */
  keepsAudio?: boolean
  /** Source of all ids of this session: 4 to 32 letters and digits. Random when absent. */
  idSeed?: string
}

/** Begins a session: its first state and what the client is told first, the full configuration with all defaults. */
export function createRealtimeSession(options: SessionOptions): Step {
  const seed = options.idSeed ?? randomSeed()
  const turn = begin(firstState(options, seed))
  greet(turn)
  return finish(turn)
}

/**
 * A client came back on a new socket, perhaps to another process: it is greeted with the session that it knows, whose
 * conversation it may retrieve item by item. `engineLost`: the work of the old process died with it, so what was running
 * is ended and waiting audio forgotten, each with its own event.
 */
export function resumeRealtimeSession(state: State, { engineLost }: { engineLost: boolean }): Step {
  const turn = begin(state)
  greet(turn)
  if (engineLost) endLost(turn)
  return finish(turn)
}

function greet(turn: Turn): void {
  const { config, conversationId } = turn.state
  emit(turn, 'session.created', { session: wireSession(turn.state) })
  if (config.type === 'realtime') emit(turn, 'conversation.created', { conversation: { id: conversationId, object: 'realtime.conversation' } })
  turn.effects.push({ type: 'configure_input', input: config.audio.input })
}

function endLost(turn: Turn): void {
  const fault = { type: 'server_error', code: 'session_moved', message: 'The server that was answering is gone. Ask again.' } as const
  for (const { id } of turn.state.responses) endResponse(turn, id, { status: 'failed', fault })
  for (const { requestId } of turn.state.retrievals) audioRetrieved(turn, { type: 'audio_retrieved', requestId, parts: [] })
  cutPlayout(turn)
  if (turn.state.input.waitingMs > 0 || turn.state.input.speech) clearBuffer(turn)
  change(turn, { input: { ...turn.state.input, half: null } })
}

function firstState({ config, expiresAtS, transcriptionModel, playout, keepsAudio = false }: SessionOptions, seed: string): State {
  return {
    version: VERSION,
    sessionId: `sess_${seed}`,
    conversationId: `conv_${seed}`,
    expiresAtS,
    ids: { seed, next: 0 },
    config,
    transcriptionModel,
    playout,
    keepsAudio,
    spoke: false,
    input: { totalMs: 0, waitingMs: 0, half: null, speech: null },
    items: [],
    responses: [],
    playing: null,
    retrievals: [],
  }
}

/** 96 bits: no two sessions share an id. */
const randomSeed = (): string => randomBytes(12).toString('hex')
