import { z } from 'zod'
import { ControlError } from '../control/input.ts'
import { handleOf, type CallHandle } from './handle.ts'
import type { Person, PersonInput } from './person.ts'
import { Utterance } from './sound.ts'
import type { OwnedNumber as TelnyxOwned, TelnyxNumberInput } from './telnyx/account.ts'
import { receive as receiveTelnyx } from './telnyx/calls.ts'
import type { OwnedNumber as TwilioOwned, TwilioNumberInput } from './twilio/account.ts'
import { receive as receiveTwilio } from './twilio/calls.ts'
import { CallOptions, type CarrierName, type CarrierWorld } from './world.ts'

/** Somebody picks up a phone and dials one of our numbers. */
export const RingInput = CallOptions.extend({
  from: z.string().min(1).max(255),
  to: z.string().min(1).max(255),
  /** Said once the call is answered, in order. Without it the described person's own words are, if there is one. */
  says: z.array(Utterance).max(100).optional(),
  /** After the answer. Without it the described person's patience counts, if there is one. */
  hangs_up_after_ms: z.number().int().min(0).max(3_600_000).optional(),
})
export type RingInput = z.input<typeof RingInput>

export function ringUp(world: CarrierWorld, carrier: CarrierName, input: RingInput): CallHandle {
  const { from, to, says, hangs_up_after_ms: patienceMs, ...options } = RingInput.parse(input)
  const call = carrier === 'twilio' ? receiveTwilio(world, from, to, options).call : receiveTelnyx(world, from, to, options)
  if (says) call.once('answered', () => says.forEach((utterance) => call.say(utterance)))
  if (patienceMs !== undefined) call.once('answered', () => void world.wheel.after(patienceMs, () => call.end('completed', 'person')))
  return handleOf(world.calls.get(call.id)!)
}

export function findCall(world: CarrierWorld, carrier: CarrierName, id: string): CallHandle {
  const live = world.calls.get(id)
  if (live?.carrier !== carrier) throw new ControlError(404, `There is no call ${id.slice(0, 64)}`)
  return handleOf(live)
}

type Hands = {
  /** Rings one of our numbers. Throws when nobody owns it, or nobody is told of its calls. */
  ring(input: RingInput): CallHandle
  call(id: string): CallHandle
  calls(): CallHandle[]
}

/** Both carriers, in process. */
export type CarrierHands = {
  /** How somebody outside behaves when called. */
  describe(person: PersonInput): Person
  twilio: Hands & { register(number: TwilioNumberInput): TwilioOwned }
  telnyx: Hands & { register(number: TelnyxNumberInput): TelnyxOwned }
  /** The worst lateness of the sandbox's own clock since it was last asked, milliseconds. */
  takeLateMsMax(): number
}

export function carrierHands(world: CarrierWorld): CarrierHands {
  const hands = (carrier: CarrierName): Hands => ({
    ring: (input) => ringUp(world, carrier, input),
    call: (id) => findCall(world, carrier, id),
    calls: () => world.calls.list(carrier).map(handleOf),
  })
  return {
    describe: (person) => world.people.describe(person),
    twilio: { ...hands('twilio'), register: (number) => world.twilio.register(number) },
    telnyx: { ...hands('telnyx'), register: (number) => world.telnyx.register(number) },
    takeLateMsMax: () => world.wheel.takeLateMsMax(),
  }
}
