import type { TurnResult } from '@trunkline/agents'
import { carriers, type CarrierClient } from '@trunkline/channels'
import type { CarrierId } from '@trunkline/core'
import type { LiveCallDeps, LiveCallFacts } from './live-call.ts'
import type { MediaSocket } from './line.ts'

/** The line of a simulated caller, within this process. It speaks Twilio's words, whatever carrier the number is at. */
export type InnerLine = {
  socket: MediaSocket
  /** The agent hangs up. Resolves when the caller has heard its last word. */
  hangUp(): Promise<void>
  onAnswer(result: TurnResult): void
}

/** No carrier hears of the call, and no lead is looked for in it. */
export function withoutCarrier(clients: Record<CarrierId, CarrierClient>, line: InnerLine): Pick<LiveCallDeps, 'carrierClients' | 'leadIdleMs' | 'onAnswer'> {
  const hangUp = async (): Promise<'ended'> => {
    await line.hangUp()
    return 'ended'
  }
  const carrierClients = { twilio: { ...clients.twilio, hangUp }, telnyx: { ...clients.telnyx, hangUp } }
  return { carrierClients, leadIdleMs: null, onAnswer: (result) => line.onAnswer(result) }
}

/** No colleague is called for a test, and a recording of it needs nobody's consent: it is announced when the number's own calls are. */
export function withoutCustomer(facts: LiveCallFacts): LiveCallFacts {
  const { settings } = facts
  const announcement = settings.recording.enabled ? settings.recording.announcement : null
  return { ...facts, carrier: carriers.twilio, settings: { ...settings, transfer_to: null, recording: { ...settings.recording, announcement } } }
}
