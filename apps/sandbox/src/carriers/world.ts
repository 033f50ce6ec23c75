import { z } from 'zod'
import type { FaultTable } from '../faults/table.ts'
import type { Journal } from '../journal/journal.ts'
import type { Call } from './call.ts'
import { Hooks } from './hooks.ts'
import type { MediaSocket } from './media-socket.ts'
import { Network } from './network.ts'
import { People } from './person.ts'
import { TelnyxAccount } from './telnyx/account.ts'
import { TwilioAccounts } from './twilio/account.ts'
import { Wheel } from './wheel.ts'

export type CarrierName = 'twilio' | 'telnyx'

/** How a call is set up; everything may be left out. */
export const CallOptions = z.strictObject({
  network: Network.optional(),
  /** How much sound of both directions is kept. 0: none (many calls at once). */
  keep_ms: z.number().int().min(0).max(3_600_000).default(300_000),
})
export type CallOptions = z.output<typeof CallOptions>

/** A call and what a carrier knows of it. `socket` is the media stream of the moment. `isForgotten`: the sandbox was reset, nobody is told anything more. */
export type LiveCall = { call: Call; carrier: CarrierName; socket: MediaSocket | null; sockets: MediaSocket[]; options: CallOptions; isForgotten: boolean }

/** Ended calls are forgotten, the oldest first. */
const CALLS_KEPT = 5_000
/** Of so many ended calls the sound is still there. */
const SOUND_KEPT = 200

export class Calls {
  readonly #calls = new Map<string, LiveCall>()
  readonly #withSound: LiveCall[] = []

  add(live: LiveCall): void {
    this.#calls.set(live.call.id, live)
    live.call.once('ended', () => this.#ended(live))
    if (this.#calls.size > CALLS_KEPT) this.#forget()
  }

  get(id: string): LiveCall | undefined {
    return this.#calls.get(id)
  }

  list(carrier?: CarrierName): LiveCall[] {
    return [...this.#calls.values()].filter((live) => carrier === undefined || live.carrier === carrier)
  }

  /** Ends what still runs, without a word to anybody. */
  clear(): void {
    for (const live of this.#calls.values()) {
      live.isForgotten = true
      live.call.end('failed', 'network')
    }
    this.#calls.clear()
    this.#withSound.length = 0
  }

  /** Every socket, also those that wait for a goodbye. */
  terminate(): void {
    for (const { sockets } of this.#calls.values()) for (const socket of sockets) socket.drop()
  }

  #ended(live: LiveCall): void {
    if (live.options.keep_ms === 0) return
    this.#withSound.push(live)
    if (this.#withSound.length <= SOUND_KEPT) return
    const oldest = this.#withSound.shift()!
    oldest.call.caller.drop()
    oldest.call.agent.drop()
  }

  #forget(): void {
    for (const [id, live] of this.#calls) {
      if (live.call.state !== 'ended') continue
      this.#calls.delete(id)
      return
    }
  }
}

/** What both carriers share, and what each of them knows of its customers. */
export type CarrierWorld = {
  journal: Journal
  faults: FaultTable
  wheel: Wheel
  hooks: Hooks
  people: People
  calls: Calls
  /** Names of conferences and the call that waits in them. */
  waiting: Map<string, LiveCall>
  twilio: TwilioAccounts
  telnyx: TelnyxAccount
  /** Forgets calls and people; keeps numbers. */
  reset(): void
  close(): Promise<void>
}

export function createCarrierWorld(journal: Journal, faults: FaultTable): CarrierWorld {
  const wheel = new Wheel()
  const hooks = new Hooks(faults, journal, wheel)
  const [people, calls, waiting] = [new People(), new Calls(), new Map<string, LiveCall>()]
  const reset = () => {
    calls.clear()
    people.clear()
    waiting.clear()
  }
  const close = async () => {
    calls.terminate()
    reset()
    wheel.close()
    await hooks.close()
  }
  return { journal, faults, wheel, hooks, people, calls, waiting, twilio: new TwilioAccounts(), telnyx: new TelnyxAccount(), reset, close }
}
