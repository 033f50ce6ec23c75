import { z } from 'zod'
import { AudioFormat } from './audio.ts'
import { WireItem } from './items.ts'
import { RateLimit, ResponseUsage, TranscriptionUsage } from './usage.ts'
import { Include, InputConfig, MaxOutputTokens, RealtimeConfig } from './session-config.ts'

/**
 * Everything that we may say: the 46 events of the GA protocol (`openai` npm 7.55, RealtimeServerEvent), each with every
 * field of its schema; what the documentation calls optional is null, "" or [] when empty, because strict clients refuse
 * an event that lacks it. Where one known client refuses null (`@openai/agents-realtime`), the empty value is "".
 */
const event = <Type extends string, Shape extends z.ZodRawShape>(type: Type, shape: Shape) =>
  z.strictObject({ type: z.literal(type), event_id: z.string().min(1), ...shape })

const Index = z.int().min(0)
const Ms = z.int().min(0)
const item = { item: WireItem }
const placed = { item: WireItem, previous_item_id: z.string().nullable() }
const itemId = { item_id: z.string() }
const output = { response_id: z.string(), output_index: Index }
const outputItem = { ...output, item_id: z.string() }
const part = { ...outputItem, content_index: Index }
const heard = { item_id: z.string(), content_index: Index }
const called = { ...outputItem, call_id: z.string() }
const mcpCall = { item_id: z.string(), output_index: Index }
const response_id = { response_id: z.string() }

const Logprob = z.strictObject({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()) })
export type Logprob = z.infer<typeof Logprob>

/** `type` stays text or audio here while items say output_text and output_audio (ResponseContentPartAddedEvent.Part). */
export const ContentPart = z.strictObject({ type: z.enum(['text', 'audio']), text: z.string(), audio: z.string(), transcript: z.string() })

const sessionIdentity = { id: z.string(), expires_at: z.int() }
export const WireSession = z.discriminatedUnion('type', [
  RealtimeConfig.extend({ object: z.literal('realtime.session'), ...sessionIdentity }),
  z.strictObject({
    type: z.literal('transcription'),
    object: z.literal('realtime.transcription_session'),
    ...sessionIdentity,
    include: Include,
    audio: z.strictObject({ input: InputConfig }),
  }),
])
export type WireSession = z.infer<typeof WireSession>

export const WireResponse = z.strictObject({
  id: z.string(),
  object: z.literal('realtime.response'),
  status: z.enum(['in_progress', 'completed', 'cancelled', 'failed', 'incomplete']),
  status_details: z
    .strictObject({
      type: z.enum(['completed', 'cancelled', 'incomplete', 'failed']),
      reason: z.enum(['turn_detected', 'client_cancelled', 'max_output_tokens', 'content_filter']).nullable(),
      error: z.strictObject({ type: z.string(), code: z.string(), message: z.string() }).nullable(),
    })
    .nullable(),
  output: z.array(WireItem),
  /** Null for a response beside the conversation. */
  conversation_id: z.string().nullable(),
  output_modalities: z.array(z.enum(['text', 'audio'])),
  max_output_tokens: MaxOutputTokens,
  /** Custom voices are shown by their id (RealtimeResponse.Audio.Output has no object here). */
  audio: z.strictObject({ output: z.strictObject({ format: AudioFormat, voice: z.string() }) }),
  usage: ResponseUsage.nullable(),
  metadata: z.record(z.string(), z.string()).nullable(),
})
export type WireResponse = z.infer<typeof WireResponse>

export const WireError = z.strictObject({
  type: z.enum(['invalid_request_error', 'server_error']),
  code: z.string().nullable(),
  message: z.string(),
  param: z.string().nullable(),
  event_id: z.string().nullable(),
})
export type WireError = z.infer<typeof WireError>

export const SERVER_EVENTS = {
  error: event('error', { error: WireError }),
  'session.created': event('session.created', { session: WireSession }),
  'session.updated': event('session.updated', { session: WireSession }),
  'conversation.created': event('conversation.created', { conversation: z.strictObject({ id: z.string(), object: z.literal('realtime.conversation') }) }),
  /** Beta; in GA its place is taken by `added` and `done`. */
  'conversation.item.created': event('conversation.item.created', placed),
  'conversation.item.added': event('conversation.item.added', placed),
  'conversation.item.done': event('conversation.item.done', placed),
  'conversation.item.retrieved': event('conversation.item.retrieved', item),
  'conversation.item.deleted': event('conversation.item.deleted', itemId),
  'conversation.item.truncated': event('conversation.item.truncated', { ...heard, audio_end_ms: Ms }),
  'conversation.item.input_audio_transcription.delta': event('conversation.item.input_audio_transcription.delta', {
    ...heard,
    delta: z.string(),
    logprobs: z.array(Logprob).nullable(),
  }),
  'conversation.item.input_audio_transcription.segment': event('conversation.item.input_audio_transcription.segment', {
    ...heard,
    id: z.string(),
    text: z.string(),
    speaker: z.string(),
    start: z.number(),
    end: z.number(),
  }),
  'conversation.item.input_audio_transcription.completed': event('conversation.item.input_audio_transcription.completed', {
    ...heard,
    transcript: z.string(),
    usage: TranscriptionUsage,
    logprobs: z.array(Logprob).nullable(),
    languages: z.array(z.strictObject({ code: z.string() })),
  }),
  'conversation.item.input_audio_transcription.failed': event('conversation.item.input_audio_transcription.failed', {
    ...heard,
    error: z.strictObject({ type: z.string(), code: z.string(), message: z.string(), param: z.string() }),
  }),
  'input_audio_buffer.committed': event('input_audio_buffer.committed', { ...itemId, previous_item_id: z.string().nullable() }),
  'input_audio_buffer.cleared': event('input_audio_buffer.cleared', {}),
  'input_audio_buffer.speech_started': event('input_audio_buffer.speech_started', { ...itemId, audio_start_ms: Ms }),
  'input_audio_buffer.speech_stopped': event('input_audio_buffer.speech_stopped', { ...itemId, audio_end_ms: Ms }),
  'input_audio_buffer.timeout_triggered': event('input_audio_buffer.timeout_triggered', { ...itemId, audio_start_ms: Ms, audio_end_ms: Ms }),
  /** `received_at`: Unix seconds, UTC. The schema has no event_id here; ours has, like all events. */
  'input_audio_buffer.dtmf_event_received': event('input_audio_buffer.dtmf_event_received', { event: z.string().regex(/^[0-9*#A-D]$/), received_at: z.int() }),
  'output_audio_buffer.started': event('output_audio_buffer.started', response_id),
  'output_audio_buffer.stopped': event('output_audio_buffer.stopped', response_id),
  'output_audio_buffer.cleared': event('output_audio_buffer.cleared', response_id),
  'response.created': event('response.created', { response: WireResponse }),
  'response.done': event('response.done', { response: WireResponse }),
  'response.output_item.added': event('response.output_item.added', { ...output, ...item }),
  'response.output_item.done': event('response.output_item.done', { ...output, ...item }),
  'response.content_part.added': event('response.content_part.added', { ...part, part: ContentPart }),
  'response.content_part.done': event('response.content_part.done', { ...part, part: ContentPart }),
  'response.output_text.delta': event('response.output_text.delta', { ...part, delta: z.string() }),
  'response.output_text.done': event('response.output_text.done', { ...part, text: z.string() }),
  'response.output_audio.delta': event('response.output_audio.delta', { ...part, delta: z.base64() }),
  'response.output_audio.done': event('response.output_audio.done', part),
  'response.output_audio_transcript.delta': event('response.output_audio_transcript.delta', { ...part, delta: z.string() }),
  'response.output_audio_transcript.done': event('response.output_audio_transcript.done', { ...part, transcript: z.string() }),
  'response.function_call_arguments.delta': event('response.function_call_arguments.delta', { ...called, delta: z.string() }),
  'response.function_call_arguments.done': event('response.function_call_arguments.done', { ...called, name: z.string(), arguments: z.string() }),
  'response.mcp_call_arguments.delta': event('response.mcp_call_arguments.delta', { ...outputItem, delta: z.string(), obfuscation: z.string() }),
  'response.mcp_call_arguments.done': event('response.mcp_call_arguments.done', { ...outputItem, arguments: z.string() }),
  'response.mcp_call.in_progress': event('response.mcp_call.in_progress', mcpCall),
  'response.mcp_call.completed': event('response.mcp_call.completed', mcpCall),
  'response.mcp_call.failed': event('response.mcp_call.failed', mcpCall),
  'mcp_list_tools.in_progress': event('mcp_list_tools.in_progress', itemId),
  'mcp_list_tools.completed': event('mcp_list_tools.completed', itemId),
  'mcp_list_tools.failed': event('mcp_list_tools.failed', itemId),
  'rate_limits.updated': event('rate_limits.updated', { rate_limits: z.array(RateLimit) }),
} as const

export type ServerEventType = keyof typeof SERVER_EVENTS
export type ServerEventOf<Type extends ServerEventType> = z.infer<(typeof SERVER_EVENTS)[Type]>
export type ServerEvent = { [Type in ServerEventType]: ServerEventOf<Type> }[ServerEventType]

/** The fields of an event besides its type and id: all of them, or it does not compile. */
export type ServerEventFields<Type extends ServerEventType> = Omit<ServerEventOf<Type>, 'type' | 'event_id'>

/** The one way to make an event. */
export function serverEvent<Type extends ServerEventType>(eventId: string, type: Type, fields: ServerEventFields<Type>): ServerEventOf<Type> {
  return { type, event_id: eventId, ...fields } as unknown as ServerEventOf<Type>
}
