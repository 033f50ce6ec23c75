import { z } from 'zod'

export const VendorId = z.enum(['openai', 'anthropic', 'groq', 'compatible', 'rules'])
export type VendorId = z.infer<typeof VendorId>

const JsonSchema = z.record(z.string(), z.unknown())

/** A tool the model may call by HTTP. Arguments are checked against `parameters` (JSON Schema) before the call leaves. */
export const HttpTool = z.object({
  type: z.literal('http'),
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
  description: z.string().min(1).max(1024),
  parameters: JsonSchema,
  url: z.url({ protocol: /^https?$/ }).max(2048),
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).default('POST'),
  /** Values may name a secret as `{{secret.NAME}}`; never stored in clear with the prompt. */
  headers: z.record(z.string().max(128), z.string().max(2048)).default({}),
  timeoutMs: z.number().int().min(100).max(30_000).default(10_000),
})
export type HttpTool = z.infer<typeof HttpTool>
export const BuiltinTool = z.object({ type: z.literal('builtin'), name: z.enum(['handover_to_human', 'capture_lead_field', 'end_conversation']) })
export type BuiltinTool = z.infer<typeof BuiltinTool>
export const Tool = z.discriminatedUnion('type', [HttpTool, BuiltinTool])
export type Tool = z.infer<typeof Tool>

/** Weekly opening hours in a time zone; a day that is left out, or `[]`, means closed. Times are `HH:MM`. */
export const OpeningHours = z.object({
  timeZone: z.string().min(1).max(64),
  days: z.partialRecord(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']), z.array(z.tuple([z.string().regex(/^\d\d:\d\d$/), z.string().regex(/^\d\d:\d\d$/)])).max(4)),
})
export type OpeningHours = z.infer<typeof OpeningHours>

/** What the rule-based responder knows; it answers when no model can. */
export const RuleBook = z.object({
  greeting: z.string().max(1000).default('Hello! How can we help you?'),
  businessName: z.string().max(255).optional(),
  openingHours: OpeningHours.optional(),
  closedText: z.string().max(1000).optional(),
  /** Asked in this order, once each. */
  collect: z.array(z.enum(['name', 'email', 'phone', 'intent'])).default(['name', 'email', 'phone', 'intent']),
  answers: z.array(z.object({ keywords: z.array(z.string().min(1).max(64)).min(1).max(20), text: z.string().min(1).max(2000) })).max(100).default([]),
  handoverText: z.string().max(1000).default('Thank you. A colleague will get back to you shortly.'),
})
export type RuleBook = z.infer<typeof RuleBook>

/** The content of one immutable prompt version. `{{name}}` in instructions is filled from `variables`. */
export const PromptContent = z.object({
  instructions: z.string().min(1).max(100_000),
  vendor: VendorId.default('openai'),
  model: z.string().min(1).max(128),
  /** Tried when the first vendor is away; then the rules. */
  fallback: z.object({ vendor: VendorId, model: z.string().min(1).max(128) }).optional(),
  temperature: z.number().min(0).max(2).optional(),
  maxOutputTokens: z.number().int().min(16).max(32_000).default(1024),
  tools: z.array(Tool).max(64).default([]),
  maxToolSteps: z.number().int().min(0).max(20).default(6),
  variables: z.record(z.string().regex(/^[a-zA-Z_]\w{0,63}$/), z.string().max(10_000)).default({}),
  rules: RuleBook.prefault({}),
  /** Legacy OpenAI prompt object (`pmpt_…`), passed through while OpenAI serves it (retired on 30 November 2026). */
  legacyPrompt: z.object({ id: z.string().regex(/^pmpt_[A-Za-z0-9]{1,128}$/), version: z.string().max(32).optional() }).optional(),
})
export type PromptContent = z.infer<typeof PromptContent>

/** Whoever may answer, in the order in which they are tried. */
export const modelsOf = ({ vendor, model, fallback }: Pick<PromptContent, 'vendor' | 'model' | 'fallback'>): { vendor: VendorId; model: string }[] => [{ vendor, model }, ...(fallback ? [fallback] : [])]
