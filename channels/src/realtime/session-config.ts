import { z } from 'zod'
import { AudioFormat } from './audio.ts'
import { JsonObject, text } from './json-value.ts'
import { LIMITS } from './limits.ts'
import { FunctionTool, ToolChoice } from './tools.ts'

/**
 * The configuration of a session as we keep and show it: every field, null where empty (strict clients miss a field that
 * the documentation calls optional). Field names are the wire's. What clients send is in session-patch.ts.
 * Source of fields: `openai` npm 7.55, resources/realtime/realtime.d.ts, RealtimeSessionCreateRequest.
 */
export const Voice = z.union([text(LIMITS.name).min(1), z.strictObject({ id: text(LIMITS.name).min(1) })])
export const Modalities = z
  .array(z.enum(['text', 'audio']))
  .refine((list) => list.length === 1, "expected ['audio'] or ['text']: audio comes with its transcript")
export const MaxOutputTokens = z.union([z.int().min(1).max(LIMITS.outputTokens), z.literal('inf')])
export const Include = z.array(z.enum(['item.input_audio_transcription.logprobs'])).max(8)
export const Reasoning = z.strictObject({ effort: z.enum(['minimal', 'low', 'medium', 'high', 'xhigh']).optional() })
export const Prompt = z.strictObject({ id: text(LIMITS.name).min(1), version: text(LIMITS.name).nullish(), variables: JsonObject.optional() })
export const Tracing = z.union([
  z.enum(['auto']),
  z.strictObject({ group_id: text(LIMITS.name).optional(), workflow_name: text(LIMITS.name).optional(), metadata: JsonObject.optional() }),
])
export const Truncation = z.union([
  z.enum(['auto', 'disabled']),
  z.strictObject({
    type: z.literal('retention_ratio'),
    retention_ratio: z.number().min(0).max(1),
    token_limits: z.strictObject({ post_instructions: z.int().min(0).optional() }).optional(),
  }),
])
export const TranscriptionDelay = z.enum(['minimal', 'low', 'medium', 'high', 'xhigh'])
export const Language = z.string().regex(/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'expected a language such as en or en-GB')
export const NoiseKind = z.enum(['near_field', 'far_field'])
export const Eagerness = z.enum(['low', 'medium', 'high', 'auto'])

export const Transcription = z.strictObject({
  model: z.string(),
  language: z.string().nullable(),
  prompt: z.string().nullable(),
  delay: TranscriptionDelay.nullable(),
  keywords: z.array(z.string()),
  languages: z.array(z.string()),
})
export type Transcription = z.infer<typeof Transcription>

export const NoiseReduction = z.strictObject({ type: NoiseKind, strength: z.number() })

export const ServerVad = z.strictObject({
  type: z.literal('server_vad'),
  threshold: z.number(),
  prefix_padding_ms: z.int(),
  silence_duration_ms: z.int(),
  idle_timeout_ms: z.int().nullable(),
  create_response: z.boolean(),
  interrupt_response: z.boolean(),
})
export const SemanticVad = z.strictObject({
  type: z.literal('semantic_vad'),
  eagerness: Eagerness,
  create_response: z.boolean(),
  interrupt_response: z.boolean(),
})
export const TurnDetection = z.discriminatedUnion('type', [ServerVad, SemanticVad])
export type TurnDetection = z.infer<typeof TurnDetection>

export const InputConfig = z.strictObject({
  format: AudioFormat,
  transcription: Transcription.nullable(),
  noise_reduction: NoiseReduction.nullable(),
  turn_detection: TurnDetection.nullable(),
})
export type InputConfig = z.infer<typeof InputConfig>

export const OutputConfig = z.strictObject({ format: AudioFormat, voice: Voice, speed: z.number() })
export type OutputConfig = z.infer<typeof OutputConfig>

export const RealtimeConfig = z.strictObject({
  type: z.literal('realtime'),
  model: z.string(),
  output_modalities: z.array(z.enum(['text', 'audio'])),
  instructions: z.string(),
  tools: z.array(FunctionTool),
  tool_choice: ToolChoice,
  max_output_tokens: MaxOutputTokens,
  parallel_tool_calls: z.boolean(),
  reasoning: Reasoning.nullable(),
  prompt: Prompt.nullable(),
  tracing: Tracing.nullable(),
  truncation: Truncation,
  include: Include,
  audio: z.strictObject({ input: InputConfig, output: OutputConfig }),
})
export type RealtimeConfig = z.infer<typeof RealtimeConfig>

export const TranscriptionConfig = z.strictObject({ type: z.literal('transcription'), include: Include, audio: z.strictObject({ input: InputConfig }) })
export type TranscriptionConfig = z.infer<typeof TranscriptionConfig>

export const SessionConfig = z.discriminatedUnion('type', [RealtimeConfig, TranscriptionConfig])
export type SessionConfig = z.infer<typeof SessionConfig>

const PCM: AudioFormat = { type: 'audio/pcm', rate: 24_000 }
export const SERVER_VAD: z.infer<typeof ServerVad> = {
  type: 'server_vad',
  threshold: 0.5,
  prefix_padding_ms: 300,
  silence_duration_ms: 500,
  idle_timeout_ms: null,
  create_response: true,
  interrupt_response: true,
}
export const SEMANTIC_VAD: z.infer<typeof SemanticVad> = { type: 'semantic_vad', eagerness: 'auto', create_response: true, interrupt_response: true }
const INPUT: InputConfig = { format: PCM, transcription: null, noise_reduction: null, turn_detection: SERVER_VAD }

/** What a session has that says nothing: the same wherever one is begun. */
export const USUAL = { model: 'gpt-realtime', voice: 'alloy', transcriptionModel: 'gpt-4o-transcribe' } as const

export type RealtimeDefaults = { model: string; voice: string; instructions?: string; tools?: FunctionTool[] }

/** A conversation before the client said anything. The parts are shared between sessions: idle ones cost little. */
export function realtimeDefaults({ model, voice, instructions = '', tools = [] }: RealtimeDefaults): RealtimeConfig {
  return {
    type: 'realtime',
    model,
    output_modalities: ['audio'],
    instructions,
    tools,
    tool_choice: 'auto',
    max_output_tokens: 'inf',
    parallel_tool_calls: true,
    reasoning: null,
    prompt: null,
    tracing: null,
    truncation: 'auto',
    include: [],
    audio: { input: INPUT, output: { format: PCM, voice, speed: 1 } },
  }
}

export const transcriptionSettings = (model: string): Transcription => ({ model, language: null, prompt: null, delay: null, keywords: [], languages: [] })

/** `transcriptionModel` is what listens when the client names none. */
export function transcriptionDefaults(transcriptionModel: string): TranscriptionConfig {
  return { type: 'transcription', include: [], audio: { input: { ...INPUT, transcription: transcriptionSettings(transcriptionModel) } } }
}
