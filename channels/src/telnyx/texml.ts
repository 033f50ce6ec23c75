import type { CallEvent } from '../carriers/events.ts'
import type { Json } from '../json.ts'
import { normaliseCall } from '../twilio/inbound.ts'

/** TeXML posts Twilio's fields under Twilio's names (developers.telnyx.com/docs/voice/programmable-voice/texml-setup): the sender differs, and little else. */
export function normaliseTexml(body: Json, nowMs: number): CallEvent[] {
  return normaliseCall(asTwilioSays(body), nowMs).map((event) => ({ ...event, carrier: 'telnyx', ...endedBy(event, body) }))
}

/**
 * A request for instructions names no direction (.../texml-instruction-fetching, "Request Parameters"), and may call a call that just
 * comes in `in-progress` already. Calls of ours bring their instructions along, so whoever asks without being told to has come in.
 */
function asTwilioSays(body: Json): Json {
  const asks = body.Direction === undefined && body.CallbackSource === undefined && (body.CallStatus === 'ringing' || body.CallStatus === 'in-progress')
  return asks ? { ...body, Direction: 'inbound', CallStatus: 'ringing' } : body
}

function endedBy({ kind }: CallEvent, { HangupSource: source }: Json): { endedBy?: 'caller' | 'callee' } {
  return kind === 'call.ended' && (source === 'caller' || source === 'callee') ? { endedBy: source } : {}
}
