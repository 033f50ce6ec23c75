import { bytesPerMs, bytesPerSample, decodeAudio } from '../audio.ts'
import type { ClientEventOf } from '../client-events.ts'
import { refuse, type Refusal } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { TurnDetection } from '../session-config.ts'
import { activeResponse, insert, previousOf, wireItem } from './conversation.ts'
import { idleTimeoutMs } from './endings.ts'
import type { Happening } from './happenings.ts'
import { cutPlayout } from './playout.ts'
import { answerTurn, cancelResponse } from './responses.ts'
import type { Item, State } from './state.ts'
import { change, emit, emitRefusal, measure, newId, type Turn } from './turn.ts'

type Of<Type extends Happening['type']> = Extract<Happening, { type: Type }>

const waitsFrom = ({ input }: State): number => input.totalMs - input.waitingMs
const within = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, measure(value)))

/** Never acknowledged ("the server will not send a confirmation response to this event"). */
export function appendAudio(turn: Turn, event: ClientEventOf<'input_audio_buffer.append'>): void {
  const bytes = decodeAudio(event.audio)
  if (!bytes) return emitRefusal(turn, refuse('invalid_value', "Invalid 'audio'. Expected base64-encoded audio bytes.", 'audio'), event.event_id ?? null)
  const { input, config } = turn.state
  const { audio, half } = wholeSamples(bytes, input.half, bytesPerSample(config.audio.input.format))
  const ms = audio.length / bytesPerMs(config.audio.input.format)
  const waitingMs = waiting(turn.state, ms)
  if (waitingMs === null)
    return emitRefusal(
      turn,
      refuse('input_audio_buffer_full', `More than ${LIMITS.bufferMs / 60_000} minutes of audio wait: commit or clear the buffer.`, 'audio'),
      event.event_id ?? null,
    )
  change(turn, { input: { ...input, totalMs: input.totalMs + ms, waitingMs, half } })
  if (audio.length > 0) turn.effects.push({ type: 'feed_audio', audio })
}

/** A client may cut its stream in the middle of a 16-bit sample. */
function wholeSamples(bytes: Buffer, half: number | null, sampleBytes: number): { audio: Buffer; half: number | null } {
  if (sampleBytes === 1) return { audio: bytes, half: null }
  const joined = half === null ? bytes : Buffer.concat([Buffer.of(half), bytes])
  const odd = joined.length % 2 === 1
  return { audio: odd ? joined.subarray(0, -1) : joined, half: odd ? (joined.at(-1) ?? null) : null }
}

/** While we listen for a voice and hear none, the oldest falls off; otherwise all of it is wanted, and null is too much. */
function waiting({ input, config }: State, ms: number): number | null {
  const sum = input.waitingMs + ms
  if (sum <= LIMITS.bufferMs) return sum
  return config.audio.input.turn_detection !== null && input.speech === null ? LIMITS.bufferMs : null
}

export function clearBuffer(turn: Turn): void {
  change(turn, { input: { ...turn.state.input, waitingMs: 0, half: null, speech: null } })
  turn.effects.push({ type: 'clear_buffer' })
  emit(turn, 'input_audio_buffer.cleared', {})
}

export function commitByClient(turn: Turn, { event_id }: ClientEventOf<'input_audio_buffer.commit'>): void {
  const { waitingMs, totalMs, speech } = turn.state.input
  const refusal = waitingMs < LIMITS.commitMs ? tooSmall(waitingMs) : fullOf(turn.state)
  if (refusal) emitRefusal(turn, refusal, event_id ?? null)
  else commit(turn, speech?.itemId ?? newId(turn, 'item'), waitsFrom(turn.state), totalMs)
}

const tooSmall = (ms: number): Refusal =>
  refuse(
    'input_audio_buffer_commit_empty',
    `Error committing input audio buffer: buffer too small. Expected at least ${LIMITS.commitMs}ms of audio, but buffer only has ${ms.toFixed(2)}ms of audio.`,
  )

const fullOf = (state: State): Refusal | null =>
  state.items.length >= LIMITS.items ? refuse('conversation_full', `A conversation has at most ${LIMITS.items} items: delete some.`) : null

/** Audio between the two positions becomes a user message. What came after it still waits. */
function commit(turn: Turn, itemId: string, startMs: number, endMs: number): void {
  const { input, config, items } = turn.state
  const { transcription } = config.audio.input
  const shown = transcription !== null
  change(turn, { input: { ...input, waitingMs: input.totalMs - endMs, speech: null } })
  turn.effects.push({ type: 'commit_buffer', itemId, startMs, endMs }, { type: 'transcribe', itemId, contentIndex: 0, shown, settings: transcription })
  emit(turn, 'input_audio_buffer.committed', { item_id: itemId, previous_item_id: items.at(-1)?.id ?? null })
  const item: Item = { type: 'message', id: itemId, status: 'completed', role: 'user', content: [{ type: 'input_audio', transcript: null, shown }] }
  insert(turn, item)
  const placed = { item: wireItem(item), previous_item_id: previousOf(turn.state, itemId) }
  emit(turn, 'conversation.item.added', placed)
  emit(turn, 'conversation.item.done', placed)
}

export function speechStarted(turn: Turn, { atMs }: Of<'speech_started'>): void {
  const { input, config } = turn.state
  const detection = config.audio.input.turn_detection
  if (!detection) return
  if (!input.speech) beginTurn(turn, atMs, detection)
  if (detection.interrupt_response) interrupt(turn)
}

function beginTurn(turn: Turn, atMs: number, detection: TurnDetection): void {
  const { input } = turn.state
  const padding = detection.type === 'server_vad' ? detection.prefix_padding_ms : SEMANTIC_PADDING_MS
  const startMs = Math.round(within(measure(atMs) - padding, waitsFrom(turn.state), input.totalMs))
  const itemId = newId(turn, 'item')
  change(turn, { input: { ...input, speech: { itemId, startMs } } })
  emit(turn, 'input_audio_buffer.speech_started', { item_id: itemId, audio_start_ms: startMs })
  if (idleTimeoutMs(turn.state) !== null) turn.effects.push({ type: 'disarm_idle' })
}

/** semantic_vad has no setting for it; it pads as server_vad does by default. */
const SEMANTIC_PADDING_MS = 300

function interrupt(turn: Turn): void {
  const active = activeResponse(turn.state)
  if (active) cancelResponse(turn, active.id, 'turn_detected')
  cutPlayout(turn)
}

export function speechStopped(turn: Turn, { atMs }: Of<'speech_stopped'>): void {
  const { speech, totalMs } = turn.state.input
  if (!speech) return
  const endMs = Math.max(speech.startMs, Math.round(within(atMs, speech.startMs, totalMs)))
  emit(turn, 'input_audio_buffer.speech_stopped', { item_id: speech.itemId, audio_end_ms: endMs })
  commitTurn(turn, speech.itemId, speech.startMs, within(endMs, 0, totalMs))
}

export function audioCommitted(turn: Turn, { atMs }: Of<'audio_committed'>): void {
  const { speech, totalMs, waitingMs } = turn.state.input
  if (waitingMs === 0) return
  const startMs = speech?.startMs ?? waitsFrom(turn.state)
  commitTurn(turn, speech?.itemId ?? newId(turn, 'item'), startMs, within(atMs, startMs, totalMs))
}

function commitTurn(turn: Turn, itemId: string, startMs: number, endMs: number): void {
  const full = fullOf(turn.state)
  if (full) {
    emitRefusal(turn, full, null)
    return clearBuffer(turn)
  }
  commit(turn, itemId, startMs, endMs)
  const { config } = turn.state
  if (config.type === 'realtime' && config.audio.input.turn_detection?.create_response) answerTurn(turn, 'turn', itemId)
}

/** Nobody spoke: the silence is committed and the model speaks first (InputAudioBufferTimeoutTriggered). Ignored when it came too late. */
export function idleTimeout(turn: Turn, happening: Of<'idle_timeout'>): void {
  const { input } = turn.state
  if (idleTimeoutMs(turn.state) === null || input.speech || activeResponse(turn.state) || fullOf(turn.state)) return
  const startMs = Math.floor(within(happening.startMs, 0, input.totalMs))
  const endMs = Math.floor(within(happening.endMs, startMs, input.totalMs))
  const itemId = newId(turn, 'item')
  emit(turn, 'input_audio_buffer.timeout_triggered', { item_id: itemId, audio_start_ms: startMs, audio_end_ms: endMs })
  commit(turn, itemId, startMs, endMs)
  answerTurn(turn, 'idle', itemId)
}

export function dtmf(turn: Turn, { digit, receivedAtS }: Of<'dtmf'>): void {
  if (/^[0-9*#A-D]$/.test(digit)) emit(turn, 'input_audio_buffer.dtmf_event_received', { event: digit, received_at: Math.floor(measure(receivedAtS)) })
}
