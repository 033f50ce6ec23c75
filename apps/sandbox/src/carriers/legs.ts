import type { Call, EndReason } from './call.ts'
import type { Verb } from './verbs.ts'
import type { CarrierWorld, LiveCall } from './world.ts'

/** What happens between two legs, whoever the carrier is. */

/** The other phone rings, and its owner does what it does. `timeoutMs`: then it is no answer. */
export function ring(world: CarrierWorld, call: Call, timeoutMs: number): void {
  const { does, after_ms: afterMs } = call.facts.person
  const decided: Readonly<Partial<Record<typeof does, EndReason>>> = { busy: 'busy', reject: 'rejected', fail: 'failed', unknown: 'unknown_number' }
  const giveUp = world.wheel.after(timeoutMs, () => call.state === 'ringing' && call.end('no_answer', 'network'))
  call.once('answered', giveUp)
  call.once('ended', giveUp)
  if (does === 'no_answer') return
  world.wheel.after(afterMs, () => {
    if (call.state !== 'ringing') return
    const reason = decided[does]
    if (reason) call.end(reason, 'person')
    else call.answer()
  })
}

export const dialed = (verb: Verb): string => verb.children.find(({ name }) => name === 'Number' || name === 'Sip')?.text ?? verb.text
/** What a <Number> or <Sip> says of its own progress: where it is told, and which steps (docs of both carriers: `completed` where none is named). */
export function dialProgress(verb: Verb): { statusUrl: string; statusEvents: ReadonlySet<string> } {
  const { statusCallback = '', statusCallbackEvent = 'completed' } = verb.children.find(({ name }) => name === 'Number' || name === 'Sip')?.attributes ?? {}
  return { statusUrl: statusCallback, statusEvents: new Set(statusCallbackEvent.split(' ')) }
}

export const dialTimeoutMs = ({ attributes }: Verb): number => (Number(attributes.timeout) || 30) * 1_000

/** Rings the second leg, bridges both when it is answered, and resolves when it is over. */
export async function join(world: CarrierWorld, first: Call, second: Call, timeoutMs: number, abort: AbortSignal): Promise<void> {
  first.note('dialed', second.facts.to)
  const over = new Promise<void>((resolve) => second.once('ended', resolve))
  second.once('answered', () => first.bridge(second))
  ring(world, second, timeoutMs)
  abort.addEventListener('abort', () => second.end(second.state === 'ringing' ? 'canceled' : 'completed', 'business'), { once: true })
  await over
  first.unbridge()
}

/** Who came first waits; the second is bridged with it. Resolves when this one is out of it, or alone again. */
export async function meet(world: CarrierWorld, live: LiveCall, name: string, abort: AbortSignal): Promise<void> {
  const key = `${live.carrier}/${name}`
  const { promise, resolve } = Promise.withResolvers<void>()
  abort.addEventListener('abort', () => resolve(), { once: true })
  live.call.once('unbridged', resolve)
  const other = world.waiting.get(key)
  if (other && other.call.state === 'answered') {
    world.waiting.delete(key)
    live.call.bridge(other.call)
  } else world.waiting.set(key, live)
  await promise
  live.call.unbridge()
  if (world.waiting.get(key) === live) world.waiting.delete(key)
}
