import type { ClientEvent } from '../client-events.ts'
import { refuse } from '../errors.ts'
import { parseClientMessage, type Parsed } from '../inbound.ts'
import { endResponse, measuredTokens, responseEnded } from './endings.ts'
import type { Happening } from './happenings.ts'
import { appendAudio, audioCommitted, clearBuffer, commitByClient, dtmf, idleTimeout, speechStarted, speechStopped } from './input-buffer.ts'
import { audioRetrieved, createItem, deleteItem, retrieveItem, truncateItem } from './item-events.ts'
import { callDelta, callDone, messageDone, messageWithdrawn, speechAudio, speechWords, textDelta } from './output.ts'
import { clearOutput, playoutHeard, playoutStarted, playoutStopped } from './playout.ts'
import { cancelByClient, createResponse } from './responses.ts'
import { updateSession } from './settings.ts'
import type { State } from './state.ts'
import { transcriptionCompleted, transcriptionDelta, transcriptionFailed, transcriptionSegment } from './transcriptions.ts'
import { begin, emit, emitFault, emitRefusal, finish, type Step, type Turn } from './turn.ts'

export type Input = { type: 'client'; event: ClientEvent } | Happening

/** The session machine: no clock, no I/O, no surprise. The same state and input always lead to the same step; it never throws. */
export function step(state: State, input: Input): Step {
  const turn = begin(state)
  if (input.type === 'client') onClient(turn, input.event)
  else onHappening(turn, input)
  return finish(turn)
}

/** One message from the socket: understood and stepped, or answered with an `error` event that says what and where. */
export function receive(state: State, message: string): Step {
  return receiveParsed(state, parseClientMessage(message))
}

export function receiveParsed(state: State, parsed: Parsed): Step {
  if (parsed.ok) return step(state, { type: 'client', event: parsed.event })
  const turn = begin(state)
  emitRefusal(turn, parsed.refusal, parsed.eventId)
  return finish(turn)
}

function onClient(turn: Turn, event: ClientEvent): void {
  switch (event.type) {
    case 'session.update':
      return updateSession(turn, event)
    case 'input_audio_buffer.append':
      return appendAudio(turn, event)
    case 'input_audio_buffer.commit':
      return commitByClient(turn, event)
    case 'input_audio_buffer.clear':
      return clearBuffer(turn)
    case 'output_audio_buffer.clear':
      return clearOutput(turn, event)
    case 'conversation.item.create':
      return createItem(turn, event)
    case 'conversation.item.retrieve':
      return retrieveItem(turn, event)
    case 'conversation.item.delete':
      return deleteItem(turn, event)
    case 'conversation.item.truncate':
      return truncateItem(turn, event)
    case 'response.create':
      return createResponse(turn, event)
    case 'response.cancel':
      return cancelByClient(turn, event)
  }
}

/** One line per happening: the table of the machine. */
function onHappening(turn: Turn, happening: Happening): void {
  switch (happening.type) {
    case 'speech_started':
      return speechStarted(turn, happening)
    case 'speech_stopped':
      return speechStopped(turn, happening)
    case 'audio_committed':
      return audioCommitted(turn, happening)
    case 'idle_timeout':
      return idleTimeout(turn, happening)
    case 'dtmf':
      return dtmf(turn, happening)
    case 'transcription_delta':
      return transcriptionDelta(turn, happening)
    case 'transcription_segment':
      return transcriptionSegment(turn, happening)
    case 'transcription_completed':
      return transcriptionCompleted(turn, happening)
    case 'transcription_failed':
      return transcriptionFailed(turn, happening)
    case 'text_delta':
    case 'speech_text':
      return textDelta(turn, happening)
    case 'speech_audio':
      return speechAudio(turn, happening)
    case 'speech_words':
      return speechWords(turn, happening)
    case 'message_done':
      return messageDone(turn, happening)
    case 'message_withdrawn':
      return messageWithdrawn(turn, happening)
    case 'call_delta':
      return callDelta(turn, happening)
    case 'call_done':
      return callDone(turn, happening)
    case 'response_usage':
      return measuredTokens(turn, happening.responseId, happening.measured)
    case 'response_finished':
    case 'response_incomplete':
    case 'response_failed':
    case 'response_cancelled':
      return responseEnded(turn, happening)
    case 'playout_started':
      return playoutStarted(turn, happening)
    case 'playout_heard':
      return playoutHeard(turn, happening)
    case 'playout_stopped':
      return playoutStopped(turn, happening)
    case 'rate_limits':
      return emit(turn, 'rate_limits.updated', { rate_limits: happening.limits })
    case 'audio_retrieved':
      return audioRetrieved(turn, happening)
    case 'fault':
      return emitFault(turn, happening.fault)
    case 'expired':
      return expire(turn)
  }
}

/** Everything that began is ended, so that a client's bookkeeping closes; then the socket. */
function expire(turn: Turn): void {
  for (const { id } of turn.state.responses) {
    turn.effects.push({ type: 'cancel_response', responseId: id, reason: 'session_expired' })
    endResponse(turn, id, { status: 'cancelled', reason: null })
  }
  emitRefusal(turn, refuse('session_expired', 'Your session hit its maximum duration.'), null)
  turn.effects.push({ type: 'close', code: 1000, reason: 'session_expired' })
}
