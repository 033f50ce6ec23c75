import { z } from 'zod'

/** Tokens of one response (`openai` npm, RealtimeResponseUsage). Every counter is there: clients add them up. */
const Count = z.int().min(0)
export const ResponseUsage = z.strictObject({
  total_tokens: Count,
  input_tokens: Count,
  output_tokens: Count,
  input_token_details: z.strictObject({
    text_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
    cached_tokens: Count,
    cached_tokens_details: z.strictObject({ text_tokens: Count, audio_tokens: Count, image_tokens: Count }),
  }),
  output_token_details: z.strictObject({ text_tokens: Count, audio_tokens: Count }),
})
export type ResponseUsage = z.infer<typeof ResponseUsage>

/** What the engine measured; the sums are ours. Cached tokens are part of the input tokens. */
export type MeasuredTokens = {
  inputText?: number
  inputAudio?: number
  inputImage?: number
  cachedText?: number
  cachedAudio?: number
  cachedImage?: number
  outputText?: number
  outputAudio?: number
}

const whole = (count: number | undefined): number => (count !== undefined && Number.isSafeInteger(count) && count > 0 ? count : 0)

/** Nothing measured is zero, never absent. */
export function responseUsage(measured: MeasuredTokens = {}): ResponseUsage {
  const input = { text_tokens: whole(measured.inputText), audio_tokens: whole(measured.inputAudio), image_tokens: whole(measured.inputImage) }
  const cached = { text_tokens: whole(measured.cachedText), audio_tokens: whole(measured.cachedAudio), image_tokens: whole(measured.cachedImage) }
  const output = { text_tokens: whole(measured.outputText), audio_tokens: whole(measured.outputAudio) }
  const inputTokens = input.text_tokens + input.audio_tokens + input.image_tokens
  const outputTokens = output.text_tokens + output.audio_tokens
  const cachedTokens = cached.text_tokens + cached.audio_tokens + cached.image_tokens
  return {
    total_tokens: inputTokens + outputTokens,
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    input_token_details: { ...input, cached_tokens: cachedTokens, cached_tokens_details: cached },
    output_token_details: output,
  }
}

/** Transcription is billed by tokens or by duration, depending on the engine; the union is told apart by `type`. */
export const TranscriptionUsage = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('tokens'),
    total_tokens: Count,
    input_tokens: Count,
    output_tokens: Count,
    input_token_details: z.strictObject({ text_tokens: Count, audio_tokens: Count }),
  }),
  z.strictObject({ type: z.literal('duration'), seconds: z.number().min(0) }),
])
export type TranscriptionUsage = z.infer<typeof TranscriptionUsage>

export type MeasuredTranscription = { seconds: number } | { inputText: number; inputAudio: number; output: number }

export function transcriptionUsage(measured: MeasuredTranscription): TranscriptionUsage {
  if ('seconds' in measured) return { type: 'duration', seconds: Number.isFinite(measured.seconds) ? Math.max(0, measured.seconds) : 0 }
  const details = { text_tokens: whole(measured.inputText), audio_tokens: whole(measured.inputAudio) }
  const input = details.text_tokens + details.audio_tokens
  const output = whole(measured.output)
  return { type: 'tokens', total_tokens: input + output, input_tokens: input, output_tokens: output, input_token_details: details }
}

export const RateLimit = z.strictObject({ name: z.enum(['requests', 'tokens']), limit: z.number(), remaining: z.number(), reset_seconds: z.number() })
export type RateLimit = z.infer<typeof RateLimit>
