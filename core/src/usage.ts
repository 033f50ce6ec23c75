import { z } from 'zod'
import { VendorId } from './prompt.ts'

/** One measured call of a vendor. Written for every call, also for failed ones. */
export const ModelUsage = z.object({
  vendor: VendorId,
  model: z.string().max(128),
  purpose: z.enum(['turn', 'lead', 'summary']),
  inputTokens: z.number().int().nonnegative(),
  cachedInputTokens: z.number().int().nonnegative().default(0),
  outputTokens: z.number().int().nonnegative(),
  latencyMs: z.number().nonnegative(),
  firstTokenMs: z.number().nonnegative().nullable(),
  outcome: z.enum(['ok', 'failed', 'refused', 'incomplete', 'aborted']),
  /** Supplier's request id, for its support. */
  requestId: z.string().max(255).nullable().default(null),
  /** The tenant paid the vendor itself, with a key of its own: it costs nothing here. */
  ownKey: z.boolean().optional(),
})
export type ModelUsage = z.infer<typeof ModelUsage>

/** One measured use of a speech engine. Written for every stream and call, failed ones too. */
export const SpeechUsage = z.object({
  kind: z.enum(['stt', 'tts']),
  engine: z.string().min(1).max(64),
  model: z.string().max(128),
  /** Sound heard (stt) or made (tts). */
  audioMs: z.number().nonnegative(),
  /** Text spoken (tts). */
  characters: z.number().int().nonnegative(),
  /** From the end of speech to its final (stt), from text to the first sound (tts); null when there was none. */
  firstResultMs: z.number().nonnegative().nullable(),
  latencyMs: z.number().nonnegative(),
  outcome: z.enum(['ok', 'failed', 'aborted']),
  requestId: z.string().max(255).nullable().default(null),
  /** The tenant paid the vendor itself, with a key of its own: it costs nothing here. */
  ownKey: z.boolean().optional(),
})
export type SpeechUsage = z.infer<typeof SpeechUsage>
