import { z } from 'zod'
import { AudioFormat } from './audio.ts'
import { text } from './json-value.ts'
import { LIMITS } from './limits.ts'
import {
  Eagerness,
  Include,
  Language,
  MaxOutputTokens,
  Modalities,
  NoiseKind,
  Prompt,
  Reasoning,
  SEMANTIC_VAD,
  SERVER_VAD,
  Tracing,
  transcriptionSettings,
  TranscriptionDelay,
  Truncation,
  Voice,
  type InputConfig,
  type OutputConfig,
  type RealtimeConfig,
  type Transcription,
  type TranscriptionConfig,
  type TurnDetection,
} from './session-config.ts'
import { ToolChoice, Tools } from './tools.ts'

/**
 * What a client may say about a session, in `session.update` and when it makes a client secret. Only fields that are
 * present change something; "" clears instructions, [] clears tools, null clears what can be switched off
 * (`openai` npm, SessionUpdateEvent). Nothing of an update applies when one field is wrong.
 */
const ms = (max: number) => z.int().min(0).max(max)

const ServerVadPatch = z.strictObject({
  type: z.literal('server_vad'),
  threshold: z.number().min(0).max(1).optional(),
  prefix_padding_ms: ms(10_000).optional(),
  silence_duration_ms: ms(60_000).optional(),
  idle_timeout_ms: z.int().min(LIMITS.idleTimeoutMinMs).max(LIMITS.idleTimeoutMaxMs).nullish(),
  create_response: z.boolean().optional(),
  interrupt_response: z.boolean().optional(),
})
const SemanticVadPatch = z.strictObject({
  type: z.literal('semantic_vad'),
  eagerness: Eagerness.optional(),
  create_response: z.boolean().optional(),
  interrupt_response: z.boolean().optional(),
})
const TranscriptionPatch = z.strictObject({
  model: text(LIMITS.name).min(1).optional(),
  language: Language.nullish(),
  prompt: text(LIMITS.text).nullish(),
  delay: TranscriptionDelay.nullish(),
  keywords: z.array(text(LIMITS.name)).max(LIMITS.keywords).optional(),
  languages: z.array(Language).max(LIMITS.keywords).optional(),
})
const InputPatch = z.strictObject({
  format: AudioFormat.optional(),
  transcription: TranscriptionPatch.nullish(),
  noise_reduction: z.strictObject({ type: NoiseKind.optional(), strength: z.number().min(0).max(1).optional() }).nullish(),
  turn_detection: z.discriminatedUnion('type', [ServerVadPatch, SemanticVadPatch]).nullish(),
})
type InputPatch = z.infer<typeof InputPatch>

export const OutputPatch = z.strictObject({
  format: AudioFormat.optional(),
  voice: Voice.optional(),
  speed: z.number().min(LIMITS.speedMin).max(LIMITS.speedMax).optional(),
})
type OutputPatch = z.infer<typeof OutputPatch>

export const RealtimePatch = z.strictObject({
  type: z.literal('realtime'),
  model: text(LIMITS.name).optional(),
  output_modalities: Modalities.optional(),
  instructions: text(LIMITS.instructions).optional(),
  tools: Tools.optional(),
  tool_choice: ToolChoice.optional(),
  max_output_tokens: MaxOutputTokens.optional(),
  parallel_tool_calls: z.boolean().optional(),
  reasoning: Reasoning.nullish(),
  prompt: Prompt.nullish(),
  tracing: Tracing.nullish(),
  truncation: Truncation.optional(),
  include: Include.nullish(),
  audio: z.strictObject({ input: InputPatch.optional(), output: OutputPatch.optional() }).optional(),
})
export type RealtimePatch = z.infer<typeof RealtimePatch>

export const TranscriptionSessionPatch = z.strictObject({
  type: z.literal('transcription'),
  include: Include.nullish(),
  audio: z.strictObject({ input: InputPatch.optional() }).optional(),
})
export type TranscriptionSessionPatch = z.infer<typeof TranscriptionSessionPatch>

export const SessionPatch = z.discriminatedUnion('type', [RealtimePatch, TranscriptionSessionPatch])
export type SessionPatch = z.infer<typeof SessionPatch>

/** `undefined`: not said. Everything else replaces. */
const said = <Value>(next: Value | undefined, current: Value): Value => (next === undefined ? current : next)

/** The model is set when the session begins; a client that names another one sees in `session.updated` which one it has. */
export function mergeRealtime(config: RealtimeConfig, patch: RealtimePatch, transcriptionModel: string): RealtimeConfig {
  const { model: _model, audio, include, ...fields } = patch
  const stated = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  return {
    ...config,
    ...stated,
    include: said(include, config.include) ?? [],
    audio: { input: mergeInput(config.audio.input, audio?.input, transcriptionModel), output: mergeOutput(config.audio.output, audio?.output) },
  }
}

export function mergeTranscription(config: TranscriptionConfig, patch: TranscriptionSessionPatch, transcriptionModel: string): TranscriptionConfig {
  const input = mergeInput(config.audio.input, patch.audio?.input, transcriptionModel)
  // A transcription session that transcribes nothing would answer nothing: its transcription cannot be switched off.
  const transcription = input.transcription ?? transcriptionSettings(transcriptionModel)
  return { type: 'transcription', include: said(patch.include, config.include) ?? [], audio: { input: { ...input, transcription } } }
}

export function mergeOutput(current: OutputConfig, patch: OutputPatch | undefined): OutputConfig {
  if (!patch) return current
  return { format: patch.format ?? current.format, voice: patch.voice ?? current.voice, speed: patch.speed ?? current.speed }
}

function mergeInput(current: InputConfig, patch: InputPatch | undefined, transcriptionModel: string): InputConfig {
  if (!patch) return current
  return {
    format: patch.format ?? current.format,
    transcription: mergeListening(current.transcription, patch.transcription, transcriptionModel),
    noise_reduction: mergeNoise(current.noise_reduction, patch.noise_reduction),
    turn_detection: mergeTurns(current.turn_detection, patch.turn_detection),
  }
}

function mergeListening(current: Transcription | null, patch: InputPatch['transcription'], model: string): Transcription | null {
  if (patch === undefined || patch === null) return said(patch, current)
  const base = current ?? transcriptionSettings(model)
  return {
    model: patch.model ?? base.model,
    language: said(patch.language, base.language),
    prompt: said(patch.prompt, base.prompt),
    delay: said(patch.delay, base.delay),
    keywords: patch.keywords ?? base.keywords,
    languages: patch.languages ?? base.languages,
  }
}

/** "Defaults to 1 when noise reduction is first enabled; omitting strength preserves it" (RealtimeAudioConfigInput). */
function mergeNoise(current: InputConfig['noise_reduction'], patch: InputPatch['noise_reduction']): InputConfig['noise_reduction'] {
  if (patch === undefined || patch === null) return said(patch, current)
  return { type: patch.type ?? current?.type ?? 'near_field', strength: patch.strength ?? current?.strength ?? 1 }
}

function mergeTurns(current: TurnDetection | null, patch: InputPatch['turn_detection']): TurnDetection | null {
  if (patch === undefined || patch === null) return said(patch, current)
  const stated = Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined))
  const base = current?.type === patch.type ? current : patch.type === 'server_vad' ? SERVER_VAD : SEMANTIC_VAD
  return { ...base, ...stated }
}
