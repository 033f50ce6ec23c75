import { z } from 'zod'
import { CallInstruction } from './instructions.ts'

/** Telephony suppliers. */
export const CarrierId = z.enum(['twilio', 'telnyx'])
export type CarrierId = z.infer<typeof CarrierId>

/** An id of the carrier: Twilio's `CA…`, Telnyx's `v3:…`. */
export const CarrierCallId = z.string().min(1).max(255)

const base = {
  carrier: CarrierId,
  carrierCallId: CarrierCallId,
  /** The same for a redelivery of the same news, whenever it comes. */
  eventId: z.string().min(1).max(512),
  /** Carrier's time, Unix milliseconds; never used for order. */
  atMs: z.number().int(),
  /** What we gave along when the call was placed (`PlaceCall.reference`), where the carrier tells it back. */
  reference: z.string().max(128).optional(),
  /** Groups the legs of one call (Telnyx `call_session_id`, Twilio `ParentCallSid`). */
  sessionId: z.string().max(255).optional(),
}

const address = z.string().max(255)
const seconds = z.number().int().min(0).nullable()

/** RFC 3261 §7.2. */
export const SipCode = z.number().int().min(100).max(699)

/** Why a call is over, in our words; the carrier's own word is in `detail`. */
export const EndCause = z.enum(['completed', 'busy', 'no_answer', 'rejected', 'canceled', 'unreachable', 'time_limit', 'failed'])
export type EndCause = z.infer<typeof EndCause>

/** How it stands with whoever a call is put through to. `ringing`: their phone does, nothing is decided. */
export const TransferOutcome = z.enum(['ringing', 'answered', 'busy', 'no_answer', 'rejected', 'canceled', 'failed'])
export type TransferOutcome = z.infer<typeof TransferOutcome>

/** Everything a carrier tells about a call. What we have no word for is kept as `call.other`. */
export const CallEvent = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('call.initiated'), ...base,
    direction: z.enum(['inbound', 'outbound']),
    /** E.164, a SIP address, or `anonymous`. */
    from: address,
    to: address,
    callerName: z.string().max(255).optional(),
    forwardedFrom: address.optional(),
  }),
  z.object({ kind: z.literal('call.ringing'), ...base }),
  z.object({ kind: z.literal('call.answered'), ...base }),
  z.object({
    kind: z.literal('call.ended'), ...base,
    cause: EndCause,
    /** As the carrier counts it: Twilio from the answer, Telnyx from the start of the call, ringing included. */
    durationSeconds: seconds,
    detail: z.string().max(255),
    sipCode: SipCode.optional(),
    endedBy: z.enum(['caller', 'callee']).optional(),
  }),
  z.object({ kind: z.literal('call.dtmf'), ...base, digits: z.string().min(1).max(128) }),
  z.object({
    kind: z.literal('call.recording'), ...base,
    state: z.enum(['started', 'done', 'failed']),
    recordingId: z.string().max(255).optional(),
    url: z.string().max(4096).optional(),
    durationSeconds: seconds,
  }),
  z.object({
    kind: z.literal('call.machine'), ...base,
    /** `detected`: who answered. `greeting_ended`: now is the time to leave a message. */
    phase: z.enum(['detected', 'greeting_ended']),
    verdict: z.enum(['human', 'machine', 'fax', 'silence', 'unknown']),
    detail: z.string().max(255),
  }),
  z.object({
    /** Of the call that was transferred. */
    kind: z.literal('call.transfer'), ...base,
    outcome: TransferOutcome,
    otherCallId: CarrierCallId.optional(),
    durationSeconds: seconds,
  }),
  z.object({ kind: z.literal('call.bridged'), ...base }),
  z.object({
    kind: z.literal('call.stream'), ...base,
    state: z.enum(['started', 'stopped', 'failed']),
    streamId: z.string().max(255).optional(),
    reason: z.string().max(1024).optional(),
  }),
  /** One instruction is carried out: go on with these (`answer`, then `perform`). */
  z.object({ kind: z.literal('call.next'), ...base, instructions: z.array(CallInstruction).min(1).max(20) }),
  z.object({ kind: z.literal('call.other'), ...base, name: z.string().max(255), data: z.record(z.string(), z.unknown()) }),
])
export type CallEvent = z.infer<typeof CallEvent>

/** As a number or a string of digits; undefined for anything else (`unspecified`, a made-up one). */
export function sipCodeOf(value: unknown): number | undefined {
  const parsed = SipCode.safeParse(typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value)
  return parsed.success ? parsed.data : undefined
}
