import { z } from 'zod'

/** What a fault does. Several may be combined: `delayMs` comes first, then the refusal or the loss of the answer. */
export const FaultAction = z
  .strictObject({
    /** Waits before anything else. */
    delayMs: z.number().int().min(0).max(3_600_000).optional(),
    /** Refuses with this HTTP status; the message is not accepted. */
    status: z.number().int().min(100).max(599).optional(),
    /** Body of the refusal, word for word; without it the provider's own error form. */
    body: z.unknown().optional(),
    /** The provider's code: Graph number (131056), OpenAI string (`conversation_locked`), Anthropic type (`overloaded_error`). */
    errorCode: z.union([z.number().int(), z.string().max(128)]).optional(),
    errorSubcode: z.number().int().optional(),
    /** Seconds in a `Retry-After` header. */
    retryAfter: z.number().min(0).max(86_400).optional(),
    /** Never answers; nothing was accepted. */
    hang: z.boolean().optional(),
    /** Drops the connection; nothing was accepted. */
    reset: z.boolean().optional(),
    /** Accepts (journal, statuses, conversation items), then never answers. */
    acceptThenHang: z.boolean().optional(),
    /** Accepts, then drops the connection. */
    acceptThenReset: z.boolean().optional(),
    /** Streams: drops the connection after so many events. Other answers: after half of the body. */
    cutStreamAfterEvents: z.number().int().min(0).max(100_000).optional(),
    /** Streams of models, streams and sockets of speech: says nothing more after so many events, and stays open. */
    stallStreamAfterEvents: z.number().int().min(0).max(100_000).optional(),
    /** Speech streams and sockets: the event after so many is not what it should be. */
    garbleStreamAfterEvents: z.number().int().min(0).max(100_000).optional(),
    /** Answers 200 with something that is not JSON. */
    garbage: z.boolean().optional(),
    /** Models: ends the answer like this instead of completing it. */
    modelOutcome: z.enum(['refusal', 'incomplete', 'failed']).optional(),
    /** Models: says exactly this. */
    text: z.string().max(100_000).optional(),
    /** `webhook.out` and `whatsapp.status`: does not happen at all. */
    drop: z.boolean().optional(),
    /** `webhook.out`: so many extra copies, sent at the same time. */
    copies: z.number().int().min(1).max(10_000).optional(),
    /** `webhook.out`: signs with a wrong secret. */
    badSignature: z.boolean().optional(),
    /** `whatsapp.status`: these instead of sent, delivered, read; any order, repeats allowed. */
    statuses: z.array(z.enum(['sent', 'delivered', 'read', 'played', 'failed'])).max(50).optional(),
  })
  .refine((action) => Object.keys(action).length > 0, 'an action needs at least one effect')
export type FaultAction = z.infer<typeof FaultAction>

export const FaultMatch = z.strictObject({
  /** `phone_number_id`, or the Instagram account id. */
  phone_number_id: z.string().max(255).optional(),
  to: z.string().max(255).optional(),
  model: z.string().max(255).optional(),
  /** Case-insensitive part of the text that was sent. */
  contains: z.string().max(1000).optional(),
  /** Only the nth request that meets the rest of this match (1 is the first). */
  nth: z.number().int().min(1).optional(),
  /** Every nth request that meets the rest of this match. */
  every: z.number().int().min(1).optional(),
  probability: z.number().min(0).max(1).optional(),
  /** Makes `probability` repeatable. */
  seed: z.number().int().optional(),
})
export type FaultMatch = z.infer<typeof FaultMatch>

export const FaultInput = z.strictObject({
  /** Name of a target as in the journal; `whatsapp.*` and `*` are understood. */
  target: z.string().min(1).max(128),
  match: FaultMatch.default({}),
  /** How often it strikes before it is spent; absent: until it is deleted. */
  times: z.number().int().min(1).optional(),
  action: FaultAction,
})
export type FaultInput = z.input<typeof FaultInput>

export type Fault = z.output<typeof FaultInput> & { id: string; seen: number; struck: number }

/** What a request tells about itself to be matched. */
export type FaultFacts = { number?: string; to?: string; model?: string; text?: string }
