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
})
export type ModelUsage = z.infer<typeof ModelUsage>
