import { z } from 'zod'

/** Twilio's own shapes: what a number needs, and what its REST interface answers (twilio.com/docs/voice/api/call-resource). */

const secret = z.string().min(1).max(255).regex(/^[\x21-\x7e]+$/, 'no spaces or control characters')

export const Credentials = z.object({
  account_sid: z.string().regex(/^AC[0-9a-fA-F]{32}$/, 'AC and 32 hexadecimal digits'),
  /** Signs webhooks, whatever the REST requests use. */
  auth_token: secret,
  /** Still good for signatures while a token is rotated. */
  previous_auth_token: secret.optional(),
  /** REST requests with an API key instead of the account's token. */
  api_key_sid: z.string().regex(/^SK[0-9a-fA-F]{32}$/, 'SK and 32 hexadecimal digits').optional(),
  api_key_secret: secret.optional(),
}).refine((value) => (value.api_key_sid === undefined) === (value.api_key_secret === undefined), { path: ['api_key_secret'], error: 'an API key is both its sid and its secret' })
export type Credentials = z.infer<typeof Credentials>

export const Settings = z.object({
  /** Twilio processes calls near their media (docs, "global infrastructure"): `ie1`, `au1`. Needs an edge. */
  region: z.string().regex(/^[a-z]{2}\d$/).optional(),
  edge: z.string().regex(/^[a-z-]{3,32}$/).optional(),
})
export type Settings = z.infer<typeof Settings>

export const CallSid = z.string().regex(/^CA[0-9a-fA-F]{32}$/, 'CA and 32 hexadecimal digits')
export const NumberSid = z.string().regex(/^PN[0-9a-fA-F]{32}$/, 'PN and 32 hexadecimal digits')

export const Call = z.looseObject({ sid: CallSid, status: z.string().max(32), duration: z.string().max(16).nullish() })
