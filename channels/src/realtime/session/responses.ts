import type { ClientEventOf, ResponseSettings } from '../client-events.ts'
import { refuse, type Refusal } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { RealtimeConfig } from '../session-config.ts'
import { mergeOutput } from '../session-patch.ts'
import { activeResponse, findItem, viewOf } from './conversation.ts'
import type { Effect, ResponseRequest } from './effects.ts'
import { endResponse, idleTimeoutMs, wireResponse } from './endings.ts'
import { itemFrom } from './made-items.ts'
import type { Item, Response, State } from './state.ts'
import { change, emit, emitRefusal, newId, type Turn } from './turn.ts'

type Trigger = Pick<ResponseRequest, 'trigger' | 'itemId'>

const NO_SETTINGS: ResponseSettings = { conversation: 'auto' }

export function createResponse(turn: Turn, event: ClientEventOf<'response.create'>): void {
  const refusal = startResponse(turn, event.response ?? NO_SETTINGS, { trigger: 'client', itemId: null })
  if (refusal) emitRefusal(turn, refusal, event.event_id ?? null)
}

/** After a turn of the caller, or when nobody spoke. It fails when we still speak (`interrupt_response: false`). */
export function answerTurn(turn: Turn, trigger: 'turn' | 'idle', itemId: string): void {
  const refusal = startResponse(turn, NO_SETTINGS, { trigger, itemId })
  if (refusal) emitRefusal(turn, refusal, null)
}

function startResponse(turn: Turn, settings: ResponseSettings, trigger: Trigger): Refusal | null {
  const { config } = turn.state
  if (config.type !== 'realtime') return refuse('not_supported', 'A transcription session does not create responses.', 'type')
  const refusal = refusalOf(turn.state, config, settings)
  if (refusal) return refusal
  const context = contextOf(turn, settings)
  if ('refusal' in context) return context.refusal
  turn.effects.push(...context.effects)
  const response = responseFrom(newId(turn, 'resp'), config, settings)
  change(turn, { responses: [...turn.state.responses, response] })
  emit(turn, 'response.created', { response: wireResponse(turn.state, response) })
  if (response.inConversation && idleTimeoutMs(turn.state) !== null) turn.effects.push({ type: 'disarm_idle' })
  turn.effects.push({
    type: 'start_response',
    request: { ...requestFrom(response, config, settings), ...trigger, context: viewOf(context.items), ownContext: Boolean(settings.input) },
  })
  return null
}

function refusalOf(state: State, config: RealtimeConfig, settings: ResponseSettings): Refusal | null {
  const active = activeResponse(state)
  const inConversation = settings.conversation === 'auto'
  if (inConversation && active)
    return refuse(
      'conversation_already_has_active_response',
      `Conversation already has an active response in progress: ${active.id}. Wait until the response is finished before creating a new one.`,
    )
  if (inConversation && state.items.length >= LIMITS.items)
    return refuse('conversation_full', `The conversation has ${LIMITS.items} items already: delete some.`)
  if (state.responses.length >= LIMITS.responses) return refuse('rate_limit_exceeded', `${LIMITS.responses} responses are in progress already.`)
  const voice = settings.audio?.output?.voice
  if (state.spoke && voice !== undefined && voiceId(voice) !== voiceId(config.audio.output.voice))
    return refuse('cannot_update_voice', "Cannot update a conversation's voice if assistant audio is present.", 'response.audio.output.voice')
  return null
}

export const voiceId = (voice: RealtimeConfig['audio']['output']['voice']): string => (typeof voice === 'string' ? voice : voice.id)

type Context = { items: readonly Item[]; effects: Effect[] } | { refusal: Refusal }

/** The conversation, or the client's own input with its references looked up. Nothing happens when one of them is wrong. */
function contextOf(turn: Turn, { input }: ResponseSettings): Context {
  if (!input) return { items: turn.state.items, effects: [] }
  const items: Item[] = []
  const effects: Effect[] = []
  for (const [index, entry] of input.entries()) {
    const param = `response.input[${index}]`
    if (entry.type === 'item_reference') {
      const item = findItem(turn.state, entry.id)
      if (!item) return { refusal: refuse('invalid_value', `The item with id '${entry.id}' does not exist.`, `${param}.id`) }
      items.push(item)
    } else {
      const made = itemFrom(turn, entry, entry.id ?? newId(turn, 'item'), param)
      if ('refusal' in made) return made
      items.push(made.item)
      effects.push(...made.effects)
    }
  }
  return { items, effects }
}

function responseFrom(id: string, config: RealtimeConfig, settings: ResponseSettings): Response {
  const output = mergeOutput(config.audio.output, settings.audio?.output)
  return {
    id,
    inConversation: settings.conversation === 'auto',
    modality: (settings.output_modalities ?? config.output_modalities)[0] ?? 'audio',
    maxOutputTokens: settings.max_output_tokens ?? config.max_output_tokens,
    format: output.format,
    voice: voiceId(output.voice),
    metadata: settings.metadata ?? null,
    output: [],
    usage: null,
  }
}

/** What the client said about this response wins over the session. */
function requestFrom(
  response: Response,
  config: RealtimeConfig,
  settings: ResponseSettings,
): Omit<ResponseRequest, 'trigger' | 'itemId' | 'context' | 'ownContext'> {
  return {
    responseId: response.id,
    outOfBand: !response.inConversation,
    instructions: settings.instructions ?? config.instructions,
    modality: response.modality,
    format: response.format,
    voice: response.voice,
    speed: settings.audio?.output?.speed ?? config.audio.output.speed,
    tools: settings.tools ?? config.tools,
    toolChoice: settings.tool_choice ?? config.tool_choice,
    parallelToolCalls: settings.parallel_tool_calls ?? config.parallel_tool_calls,
    maxOutputTokens: response.maxOutputTokens,
    reasoning: settings.reasoning ?? config.reasoning,
    prompt: settings.prompt ?? config.prompt,
    truncation: config.truncation,
    metadata: response.metadata,
  }
}

export function cancelByClient(turn: Turn, { response_id, event_id }: ClientEventOf<'response.cancel'>): void {
  const response = response_id ? turn.state.responses.find((other) => other.id === response_id) : activeResponse(turn.state)
  if (response) cancelResponse(turn, response.id, 'client_cancelled')
  else
    emitRefusal(
      turn,
      refuse('response_cancel_not_active', 'Cancellation failed: no active response found', response_id ? 'response_id' : null),
      event_id ?? null,
    )
}

/** `response.done` leaves at once; the host stops behind it and whatever was still on its way is ignored. */
export function cancelResponse(turn: Turn, responseId: string, reason: 'turn_detected' | 'client_cancelled'): void {
  turn.effects.push({ type: 'cancel_response', responseId, reason })
  endResponse(turn, responseId, { status: 'cancelled', reason })
}
