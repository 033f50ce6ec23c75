import { randomBytes } from 'node:crypto'
import type { SessionConfig } from '../session-config.ts'
import { wireSession } from './settings.ts'
import { VERSION, type State } from './state.ts'
import { begin, emit, finish, type Step } from './turn.ts'

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
  emit(turn, 'session.created', { session: wireSession(turn.state) })
  if (options.config.type === 'realtime') emit(turn, 'conversation.created', { conversation: { id: turn.state.conversationId, object: 'realtime.conversation' } })
  turn.effects.push({ type: 'configure_input', input: options.config.audio.input })
  return finish(turn)
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
