import type { CallEvent } from '../carriers/events.ts'
import type { Json } from '../json.ts'
import { normaliseCall } from '../twilio/inbound.ts'

/** TeXML posts Twilio's fields under Twilio's names (developers.telnyx.com/docs/voice/programmable-voice/texml-setup): only the sender differs. */
export function normaliseTexml(body: Json, nowMs: number): CallEvent[] {
  return normaliseCall(body, nowMs).map((event) => ({ ...event, carrier: 'telnyx' }))
}
