import { z } from 'zod'
import { CallAddress, CallInstructions, DtmfDigits } from './instructions.ts'

/** What a client is asked for. */

const webAddress = z.url({ protocol: /^https?$/ }).max(2048)
const ringSeconds = z.number().int().min(5).max(600).default(30)

export const PlaceCall = z.strictObject({
  to: CallAddress,
  /** A number of ours at this carrier. */
  from: CallAddress,
  /** What happens once it is answered. */
  instructions: CallInstructions,
  /** Where the carrier tells how the call fares. */
  statusUrl: webAddress,
  /** Ours. Telnyx tells it back in every event; at Twilio it belongs into `statusUrl`. */
  reference: z.string().min(1).max(128),
  /** How long it may ring. */
  timeoutSeconds: ringSeconds,
  timeLimitSeconds: z.number().int().min(30).max(14_400).optional(),
  /** `detect` tells who answered; `greeting_end` also when a machine is ready to record. The call goes on meanwhile. */
  machineDetection: z.enum(['detect', 'greeting_end']).optional(),
  /** Pressed once the call is answered. */
  sendDigits: DtmfDigits.optional(),
})
export type PlaceCall = z.infer<typeof PlaceCall>
export type PlaceCallInput = z.input<typeof PlaceCall>

export const Transfer = z.strictObject({
  to: CallAddress,
  /** Shown to whom is called; a number of ours. */
  from: CallAddress.optional(),
  timeoutSeconds: ringSeconds,
  /** Twilio tells the outcome here and asks what comes next; Telnyx tells it to the number's webhook. */
  resultUrl: webAddress.optional(),
})
export type Transfer = z.infer<typeof Transfer>
export type TransferInput = z.input<typeof Transfer>

export const NumberSearch = z.strictObject({
  /** ISO 3166-1. */
  country: z.string().regex(/^[A-Z]{2}$/),
  areaCode: z.string().regex(/^\d{1,6}$/).optional(),
  contains: z.string().regex(/^[\d*]{1,16}$/).optional(),
  type: z.enum(['local', 'toll_free', 'mobile']).default('local'),
  limit: z.number().int().min(1).max(100).default(20),
})
export type NumberSearch = z.infer<typeof NumberSearch>
export type NumberSearchInput = z.input<typeof NumberSearch>

export const NumberRouting = z.strictObject({ voiceUrl: webAddress, statusUrl: webAddress.optional() })
export type NumberRouting = z.infer<typeof NumberRouting>

export const PhoneNumber = z.string().regex(/^\+[1-9]\d{4,17}$/, 'a number in E.164 (+4722334455)')
