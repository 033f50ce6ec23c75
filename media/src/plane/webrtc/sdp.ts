import { AppError } from '@trunkline/core'
import sdpTransform from 'sdp-transform'
import { z } from 'zod'

/** A browser's offer with one audio line has 3 to 8 kB. */
const MAX_SDP_CHARS = 64 * 1024
const MAX_M_LINES = 32

/** The parser makes a number of any text that looks like one, also of a mid or a ufrag. */
const Text = z.union([z.string(), z.number()]).transform(String)

const transportLines = {
  iceUfrag: Text.optional(),
  setup: Text.optional(),
  fingerprint: z.object({ type: Text, hash: Text }).optional(),
}

const MLine = z.object({
  ...transportLines,
  type: Text,
  port: z.number(),
  protocol: Text,
  payloads: Text.default(''),
  mid: Text.optional(),
  bundleOnly: z.unknown().optional(),
  direction: z.enum(['sendrecv', 'sendonly', 'recvonly', 'inactive']).default('sendrecv'),
  rtcpMux: z.unknown().optional(),
  rtcpRsize: z.unknown().optional(),
  rtp: z.array(z.object({ payload: z.number(), codec: Text, rate: z.number().optional(), encoding: z.number().optional() })),
  ssrcs: z.array(z.object({ id: z.number().int().min(1).max(0xffff_ffff) })).optional(),
  ext: z.array(z.object({ value: z.number().int(), uri: Text })).optional(),
  sctpPort: z.number().int().min(1).max(65_535).optional(),
  maxMessageSize: z.number().int().min(0).optional(),
})

const Session = z.object({
  ...transportLines,
  groups: z.array(z.object({ type: Text, mids: Text })).default([]),
  media: z.array(MLine).min(1).max(MAX_M_LINES),
})

export type ParsedMLine = z.output<typeof MLine>
export type ParsedSession = z.output<typeof Session>

export function refuse(what: string): AppError {
  return new AppError('invalid_request', { message: `The SDP offer ${what}.`, param: 'sdp' })
}

/** Text to lines whose shape is known. Throws AppError `invalid_request`. */
export function readSdp(sdp: string): ParsedSession {
  if (sdp.length > MAX_SDP_CHARS) throw refuse(`is longer than ${MAX_SDP_CHARS} characters`)
  const { success, data, error } = Session.safeParse(sdpTransform.parse(sdp))
  if (success) return data
  const { path, message } = error.issues[0]!
  throw refuse(`cannot be read (${path.join('.')}: ${message})`)
}
