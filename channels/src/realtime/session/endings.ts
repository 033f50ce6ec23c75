import type { WireResponse } from '../server-events.ts'
import { responseUsage, type MeasuredTokens } from '../usage.ts'
import { wireItem } from './conversation.ts'
import type { Fault, Happening } from './happenings.ts'
import { closeOutput } from './output.ts'
import type { Response, State } from './state.ts'
import { change, emit, type Turn } from './turn.ts'

/** How a response ends. Whatever happens, `response.done` leaves once. */
export type Ending =
  | { status: 'completed' }
  | { status: 'incomplete'; reason: 'max_output_tokens' | 'content_filter' }
  | { status: 'failed'; fault: Fault }
  | { status: 'cancelled'; reason: 'turn_detected' | 'client_cancelled' | null }

type Finished = Extract<Happening, { type: 'response_finished' | 'response_incomplete' | 'response_failed' | 'response_cancelled' }>

export function responseEnded(turn: Turn, happening: Finished): void {
  const { responseId, measured } = happening
  if (measured) measuredTokens(turn, responseId, measured)
  endResponse(turn, responseId, endingOf(happening))
}

function endingOf(happening: Finished): Ending {
  switch (happening.type) {
    case 'response_finished':
      return { status: 'completed' }
    case 'response_incomplete':
      return { status: 'incomplete', reason: happening.reason }
    case 'response_failed':
      return { status: 'failed', fault: happening.fault }
    case 'response_cancelled':
      return { status: 'cancelled', reason: happening.reason }
  }
}

export function measuredTokens(turn: Turn, responseId: string, measured: MeasuredTokens): void {
  const usage = responseUsage(measured)
  change(turn, { responses: turn.state.responses.map((response) => (response.id === responseId ? { ...response, usage } : response)) })
}

export function endResponse(turn: Turn, responseId: string, ending: Ending): void {
  const before = turn.state.responses.find((response) => response.id === responseId)
  if (!before) return
  for (const index of before.output.keys()) closeAt(turn, responseId, index, ending)
  const response = turn.state.responses.find((other) => other.id === responseId) ?? before
  change(turn, { responses: turn.state.responses.filter((other) => other.id !== responseId) })
  emit(turn, 'response.done', { response: { ...wireResponse(turn.state, response), ...outcome(ending), usage: response.usage ?? responseUsage() } })
  if (response.inConversation) armIdle(turn, response)
}

/** A call without its `call_done` may lack arguments: nobody is to run it, even if the response itself went well. */
function closeAt(turn: Turn, responseId: string, index: number, ending: Ending): void {
  const response = turn.state.responses.find((other) => other.id === responseId)
  const output = response?.output[index]
  if (!response || !output?.open) return
  const whole = ending.status === 'completed' && output.item.type === 'message'
  closeOutput(turn, { response, output, index }, whole ? 'completed' : 'incomplete')
}

function outcome(ending: Ending): Pick<WireResponse, 'status' | 'status_details'> {
  if (ending.status === 'completed') return { status: 'completed', status_details: null }
  if (ending.status === 'failed') {
    const { type, code, message } = ending.fault
    return { status: 'failed', status_details: { type: 'failed', reason: null, error: { type, code, message } } }
  }
  return { status: ending.status, status_details: { type: ending.status, reason: ending.reason, error: null } }
}

/** As it stands in `response.created`; `response.done` sets what is known at the end. */
export function wireResponse(state: State, response: Response): WireResponse {
  return {
    id: response.id,
    object: 'realtime.response',
    status: 'in_progress',
    status_details: null,
    output: response.output.map((output) => wireItem(output.item)),
    conversation_id: response.inConversation ? state.conversationId : null,
    output_modalities: [response.modality],
    max_output_tokens: response.maxOutputTokens,
    audio: { output: { format: response.format, voice: response.voice } },
    usage: null,
    metadata: response.metadata,
  }
}

/** "The response.done time plus audio playback duration" (RealtimeAudioInputTurnDetection.ServerVad). */
function armIdle(turn: Turn, { id, output }: Response): void {
  const timeoutMs = idleTimeoutMs(turn.state)
  if (timeoutMs === null) return
  const parts = output.flatMap(({ item }) => (item.type === 'message' ? item.content : []))
  const audioMs = parts.reduce((sum, part) => sum + (part.type === 'output_audio' ? part.ms : 0), 0)
  turn.effects.push({ type: 'arm_idle', timeoutMs, responseId: id, audioMs })
}

export function idleTimeoutMs({ config }: State): number | null {
  const detection = config.audio.input.turn_detection
  return config.type === 'realtime' && detection?.type === 'server_vad' ? detection.idle_timeout_ms : null
}
