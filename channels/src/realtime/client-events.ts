import { z } from 'zod'
import { Base64Audio } from './audio.ts'
import { ItemInput, ResponseInputItem } from './items.ts'
import { ClientId, Metadata, text } from './json-value.ts'
import { LIMITS } from './limits.ts'
import { MaxOutputTokens, Modalities, Prompt, Reasoning } from './session-config.ts'
import { OutputPatch, SessionPatch } from './session-patch.ts'
import { ToolChoice, Tools } from './tools.ts'

/** Everything that a client may say: the eleven events of the GA protocol (`openai` npm, RealtimeClientEvent). */
const event = <Type extends string, Shape extends z.ZodRawShape>(type: Type, shape: Shape) =>
  z.strictObject({ type: z.literal(type), event_id: text(LIMITS.eventId).nullish(), ...shape })

export const ResponseSettings = z.strictObject({
  /** `none`: beside the conversation, and nothing is added to it. */
  conversation: z.enum(['auto', 'none']).default('auto'),
  /** Replaces the conversation as the context of this response; [] is no context at all. */
  input: z.array(ResponseInputItem).max(LIMITS.inputItems).nullish(),
  instructions: text(LIMITS.instructions).nullish(),
  output_modalities: Modalities.optional(),
  audio: z.strictObject({ output: OutputPatch.optional() }).optional(),
  tools: Tools.optional(),
  tool_choice: ToolChoice.optional(),
  max_output_tokens: MaxOutputTokens.optional(),
  parallel_tool_calls: z.boolean().optional(),
  reasoning: Reasoning.nullish(),
  prompt: Prompt.nullish(),
  metadata: Metadata.nullish(),
})
export type ResponseSettings = z.infer<typeof ResponseSettings>

export const CLIENT_EVENTS = {
  'session.update': event('session.update', { session: SessionPatch }),
  'input_audio_buffer.append': event('input_audio_buffer.append', { audio: Base64Audio }),
  'input_audio_buffer.commit': event('input_audio_buffer.commit', {}),
  'input_audio_buffer.clear': event('input_audio_buffer.clear', {}),
  'output_audio_buffer.clear': event('output_audio_buffer.clear', {}),
  'conversation.item.create': event('conversation.item.create', {
    item: ItemInput,
    /** `root`: at the beginning; absent: at the end. */
    previous_item_id: ClientId.nullish(),
  }),
  'conversation.item.retrieve': event('conversation.item.retrieve', { item_id: ClientId }),
  'conversation.item.delete': event('conversation.item.delete', { item_id: ClientId }),
  'conversation.item.truncate': event('conversation.item.truncate', {
    item_id: ClientId,
    content_index: z.int().min(0),
    /** Milliseconds of this part that were heard. */
    audio_end_ms: z.int().min(0),
  }),
  'response.create': event('response.create', { response: ResponseSettings.nullish() }),
  'response.cancel': event('response.cancel', { response_id: ClientId.nullish() }),
} as const

export type ClientEventType = keyof typeof CLIENT_EVENTS
export type ClientEventOf<Type extends ClientEventType> = z.infer<(typeof CLIENT_EVENTS)[Type]>
export type ClientEvent = { [Type in ClientEventType]: ClientEventOf<Type> }[ClientEventType]
