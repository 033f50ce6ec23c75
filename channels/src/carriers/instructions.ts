import { z } from 'zod'

/** What a carrier is to do with a call, in order. Plain data: it can wait in a carrier's own state while a step is carried out. */

/** E.164, or a SIP address. */
export const CallAddress = z.string().max(255).regex(/^(\+[1-9]\d{4,17}|sips?:[^\s<>"]{3,240})$/, 'a number in E.164 (+4722334455) or a sip: address')
/** `w` waits half a second, `W` a whole one. */
export const DtmfDigits = z.string().regex(/^[0-9A-D*#wW]{1,64}$/, 'digits 0-9, A-D, *, #, and w or W to wait')

const webAddress = z.url({ protocol: /^https?$/ }).max(2048)

const isLocal = (host: string): boolean => host === 'localhost' || host === '[::1]' || host.startsWith('127.')

/**
 * Carriers insist on TLS; a plain socket is for tests on one machine. No query: Twilio refuses one (error 31920), so a token
 * travels in the path.
 */
export const StreamUrl = z.string().max(2000).refine((value) => {
  const url = URL.parse(value)
  return url !== null && (url.protocol === 'wss:' || (url.protocol === 'ws:' && isLocal(url.hostname))) && url.search === '' && url.hash === '' && url.username === ''
}, 'a wss: address without query; put tokens into the path')

const parameters = z.record(z.string().regex(/^[\w.-]{1,64}$/), z.string().max(400)).refine((all) => Object.keys(all).length <= 10, 'at most 10 parameters')

const StreamStep = z.strictObject({
  do: z.literal('stream'),
  url: StreamUrl,
  /** Come back in the media socket's `start`. Twilio: name and value together at most 500 characters. */
  parameters: parameters.optional(),
  /** Where the carrier tells how the stream fares; Telnyx tells it to the number's webhook. */
  statusUrl: webAddress.optional(),
  /** Sent as a header with the socket's upgrade where the carrier can (Telnyx `stream_auth_token`). */
  authToken: z.string().min(16).max(4000).regex(/^[\x21-\x7e]+$/).optional(),
})

const DialStep = z.strictObject({
  do: z.literal('dial'),
  to: CallAddress,
  /** Shown to whom is called; a number of ours. */
  from: CallAddress.optional(),
  timeoutSeconds: z.number().int().min(5).max(600).default(30),
  timeLimitSeconds: z.number().int().min(1).max(14_400).optional(),
  /** Twilio asks here what to do when the other leg is over. */
  resultUrl: webAddress.optional(),
})

export const CallInstruction = z.discriminatedUnion('do', [
  StreamStep,
  DialStep,
  z.strictObject({ do: z.literal('say'), text: z.string().min(1).max(3000), language: z.string().max(16).regex(/^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$/).optional(), voice: z.string().max(128).regex(/^[\w.+:-]+$/).optional() }),
  z.strictObject({ do: z.literal('play'), url: webAddress, times: z.number().int().min(1).max(100).default(1) }),
  z.strictObject({ do: z.literal('press'), digits: DtmfDigits }),
  z.strictObject({ do: z.literal('pause'), seconds: z.number().int().min(1).max(180) }),
  z.strictObject({ do: z.literal('redirect'), url: webAddress }),
  /** Before the call is answered: nobody pays. */
  z.strictObject({ do: z.literal('reject'), reason: z.enum(['busy', 'rejected']) }),
  z.strictObject({ do: z.literal('hang_up') }),
  /** Everybody who joins the same name hears one another (Twilio); the way in for two legs that are to be connected. */
  z.strictObject({ do: z.literal('conference'), name: z.string().regex(/^[\w.-]{1,100}$/), endsWithMe: z.boolean().default(true) }),
])
export type CallInstruction = z.infer<typeof CallInstruction>
export type CallInstructionInput = z.input<typeof CallInstruction>

export const CallInstructions = z.array(CallInstruction).min(1).max(20)
