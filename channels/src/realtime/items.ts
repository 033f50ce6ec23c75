import { z } from 'zod'
import { Base64Audio } from './audio.ts'
import { ClientId, text } from './json-value.ts'
import { LIMITS } from './limits.ts'
import { CallId } from './tools.ts'

/**
 * Items as clients send them (`conversation.item.create`, `response.create` input) and as we show them.
 * Source of fields: `openai` npm, RealtimeConversationItem*. `object` and `status` are accepted and have no effect.
 */
const spoken = text(LIMITS.text)
const dressing = {
  id: ClientId.optional(),
  object: z.literal('realtime.item').optional(),
  status: z.enum(['completed', 'incomplete', 'in_progress']).optional(),
}
const parts = <Part extends z.ZodType>(part: Part) => z.array(part).min(1).max(LIMITS.contentParts)

/** Only pictures that came along: we fetch nothing for a client. */
const ImageUrl = z
  .string()
  .max(LIMITS.imageUrl)
  .regex(/^data:image\/(png|jpeg);base64,[A-Za-z0-9+/]+={0,2}$/, 'expected a data URI of a PNG or JPEG image')

const InputText = z.strictObject({ type: z.literal('input_text'), text: spoken })
/** A client that restores a history knows what was said and no longer has the sound. */
const InputAudio = z
  .strictObject({ type: z.literal('input_audio'), audio: Base64Audio.nullish(), transcript: spoken.nullish() })
  .refine((part) => typeof part.audio === 'string' || typeof part.transcript === 'string', {
    path: ['audio'],
    message: 'expected audio, or the transcript of it',
    params: { code: 'invalid_value' },
  })
const InputImage = z.strictObject({ type: z.literal('input_image'), image_url: ImageUrl, detail: z.enum(['auto', 'low', 'high']).default('auto') })
const OutputText = z.strictObject({ type: z.literal('output_text'), text: spoken })
/** Refused with a reason by the session: a client cannot put words into our mouth that have no sound (ConversationItemCreateEvent). */
const OutputAudio = z.strictObject({ type: z.literal('output_audio'), audio: Base64Audio.nullish(), transcript: spoken.nullish() })

const MessageInput = z.discriminatedUnion('role', [
  z.strictObject({ type: z.literal('message'), role: z.literal('system'), ...dressing, content: parts(InputText) }),
  z.strictObject({
    type: z.literal('message'),
    role: z.literal('user'),
    ...dressing,
    content: parts(z.discriminatedUnion('type', [InputText, InputAudio, InputImage])),
  }),
  z.strictObject({
    type: z.literal('message'),
    role: z.literal('assistant'),
    ...dressing,
    content: parts(z.discriminatedUnion('type', [OutputText, OutputAudio])),
  }),
])
const FunctionCallInput = z.strictObject({
  type: z.literal('function_call'),
  ...dressing,
  call_id: CallId.optional(),
  name: text(LIMITS.name).min(1),
  arguments: spoken,
})
const FunctionOutputInput = z.strictObject({ type: z.literal('function_call_output'), ...dressing, call_id: CallId, output: spoken })

export const ItemInput = z.discriminatedUnion('type', [MessageInput, FunctionCallInput, FunctionOutputInput])
export type ItemInput = z.infer<typeof ItemInput>

export const ItemReference = z.strictObject({ type: z.literal('item_reference'), id: ClientId })
export const ResponseInputItem = z.discriminatedUnion('type', [MessageInput, FunctionCallInput, FunctionOutputInput, ItemReference])
export type ResponseInputItem = z.infer<typeof ResponseInputItem>

// What we show.

const shown = { id: z.string(), object: z.literal('realtime.item'), status: z.enum(['completed', 'incomplete', 'in_progress']) }
const audio = z.string().nullable()
const transcript = z.string().nullable()

export const WirePart = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('input_text'), text: z.string() }),
  z.strictObject({ type: z.literal('input_audio'), audio, transcript }),
  z.strictObject({ type: z.literal('input_image'), image_url: z.string(), detail: z.enum(['auto', 'low', 'high']) }),
  z.strictObject({ type: z.literal('output_text'), text: z.string() }),
  z.strictObject({ type: z.literal('output_audio'), audio, transcript }),
])
export type WirePart = z.infer<typeof WirePart>

const McpFault = z.union([
  z.strictObject({ type: z.enum(['protocol_error', 'http_error']), code: z.int(), message: z.string() }),
  z.strictObject({ type: z.literal('tool_execution_error'), message: z.string() }),
])

export const WireItem = z.discriminatedUnion('type', [
  z.strictObject({ ...shown, type: z.literal('message'), role: z.enum(['system', 'user', 'assistant']), content: z.array(WirePart) }),
  z.strictObject({ ...shown, type: z.literal('function_call'), call_id: z.string(), name: z.string(), arguments: z.string() }),
  z.strictObject({ ...shown, type: z.literal('function_call_output'), call_id: z.string(), output: z.string() }),
  z.strictObject({
    id: z.string(),
    type: z.literal('mcp_list_tools'),
    server_label: z.string(),
    tools: z.array(z.strictObject({ name: z.string(), description: z.string(), input_schema: z.unknown(), annotations: z.unknown() })),
  }),
  z.strictObject({
    id: z.string(),
    type: z.literal('mcp_call'),
    server_label: z.string(),
    name: z.string(),
    arguments: z.string(),
    approval_request_id: z.string().nullable(),
    error: McpFault.nullable(),
    output: z.string().nullable(),
  }),
  z.strictObject({ id: z.string(), type: z.literal('mcp_approval_request'), server_label: z.string(), name: z.string(), arguments: z.string() }),
  z.strictObject({
    id: z.string(),
    type: z.literal('mcp_approval_response'),
    approval_request_id: z.string(),
    approve: z.boolean(),
    reason: z.string().nullable(),
  }),
])
export type WireItem = z.infer<typeof WireItem>
