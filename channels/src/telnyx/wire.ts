import { z } from 'zod'
import type { MediaFormat } from '../carriers/media.ts'

/** Telnyx's own shapes: what a number needs, and the words of its streams (developers.telnyx.com/docs/voice/programmable-voice/media-streaming). */

const secret = z.string().min(1).max(512).regex(/^[\x21-\x7e]+$/, 'no spaces or control characters')
const ed25519Key = z.string().regex(/^[A-Za-z0-9+/]{43}=$/, 'the public key of the Mission Control portal: 32 bytes in base64')

export const Credentials = z.object({
  api_key: secret,
  /** Verifies webhooks. */
  public_key: ed25519Key,
  /** Still good for signatures while keys are changed. */
  previous_public_key: ed25519Key.optional(),
})
export type Credentials = z.infer<typeof Credentials>

export const Settings = z.object({
  /** Which application of Telnyx the number belongs to. `call_control`: we give commands. `texml`: we answer with documents, as at Twilio. */
  mode: z.enum(['call_control', 'texml']).default('call_control'),
  /** The Call Control (or TeXML) application that our numbers belong to, and that calls are placed with. */
  connection_id: z.string().regex(/^\d{1,32}$/, 'digits').optional(),
  /** TeXML only: the account that the REST interface wants in its paths. */
  account_sid: z.string().regex(/^[\w-]{1,64}$/).optional(),
  /** What we send. L16 spares two conversions; G.711 is what telephone networks speak. */
  outbound_codec: z.enum(['PCMU', 'PCMA', 'L16']).default('PCMU'),
  outbound_sample_rate: z.union([z.literal(8_000), z.literal(16_000), z.literal(24_000), z.literal(48_000)]).default(8_000),
  /** RFC 3551 says network order; clients in the field send and get little endian, and some swap (pipecat-ai/pipecat#3383). Tell what your account does. */
  l16_byte_order: z.enum(['big', 'little']).default('big'),
  /** Speaks for `say` where an instruction names no voice. */
  voice: z.string().max(128).regex(/^[\w.+:-]+$/).default('AWS.Polly.Joanna-Neural'),
}).refine((value) => value.outbound_codec === 'L16' || value.outbound_sample_rate === 8_000, { path: ['outbound_sample_rate'], error: 'G.711 has 8000 samples a second' })
  .refine((value) => value.mode !== 'texml' || value.account_sid !== undefined, { path: ['account_sid'], error: 'TeXML wants the id of the account in its addresses' })
export type Settings = z.infer<typeof Settings>

export const CallControlId = z.string().min(1).max(255).regex(/^[\w:.=+-]+$/, 'a call control id')

const l16 = (settings: Settings): MediaFormat['encoding'] => (settings.l16_byte_order === 'big' ? 'pcm_s16be' : 'pcm_s16le')

/** What we declare for our own direction. */
export function outboundFormat(settings: Settings): MediaFormat {
  const { outbound_codec: codec, outbound_sample_rate: sampleRateHz } = settings
  return { encoding: codec === 'L16' ? l16(settings) : codec === 'PCMU' ? 'pcmu' : 'pcma', sampleRateHz }
}

const RATES: ReadonlySet<number> = new Set([8_000, 16_000, 24_000, 48_000])

/** `media_format` of a `start`: of the caller's leg, whatever we declared (dograh-hq/dograh#254). Null: nothing that we can decode. */
export function inboundFormat(encoding: unknown, sampleRateHz: number, settings: Settings): MediaFormat | null {
  if (!RATES.has(sampleRateHz)) return null
  const rate = sampleRateHz as MediaFormat['sampleRateHz']
  switch (encoding) {
    case 'PCMU':
    case 'audio/x-mulaw':
      return rate === 8_000 ? { encoding: 'pcmu', sampleRateHz: rate } : null
    case 'PCMA':
    case 'audio/x-alaw':
      return rate === 8_000 ? { encoding: 'pcma', sampleRateHz: rate } : null
    case 'L16':
      return { encoding: l16(settings), sampleRateHz: rate }
    case 'OPUS':
      return { encoding: 'opus', sampleRateHz: rate }
    default:
      return null
  }
}
