import { afterEach, describe, expect, it } from 'vitest'
import type { OurNumber } from './business.ts'
import { newCustomer, post, whatsappBody } from './post.ts'
import { openTown, type Town } from './town.ts'

// One worker with few hands and a model that thinks long: whoever floods it must not make others wait for the whole flood. What counts
// is how many of the flood's answers come first, not the clock.

const HANDS = 4
const NUMBERS = 20
const MESSAGES = 30
/** A message comes at any moment of turns that are at work; then its number is claimed, it is answered and it is sent. */
const FEW_TURNS = 5 * HANDS

let town: Town | undefined
afterEach(async () => {
  await town?.close()
  town = undefined
})

type Flood = { /** Answers of it that have been sent. */ answered(): number; last: OurNumber }

/** A tenant whose numbers are all written to by many customers; resolves when its turns are at work. */
async function flooded(place: Town): Promise<Flood> {
  const flood = await place.business('Flood Ltd')
  const numbers: OurNumber[] = []
  for (let made = 0; made < NUMBERS; made++) numbers.push(await flood.number())
  for (const number of numbers) {
    const webhook = whatsappBody(number, newCustomer(), Array.from({ length: MESSAGES }, () => ({ from: newCustomer(), type: 'text', text: { body: 'Hello' } })))
    expect((await post(number, webhook)).status).toBe(200)
  }
  const own = new Set(numbers.map((number) => number.address))
  await place.sandbox.waitForCount((entry) => entry.target === 'whatsapp.send' && own.has(entry.number ?? ''), HANDS)
  return { answered: () => place.sandbox.journal.sends().filter((entry) => own.has(entry.number ?? '')).length, last: numbers.at(-1)! }
}

/** How many answers of the flood are sent between one's words and the answer to them. */
async function floodBefore(place: Town, flood: Flood, number: OurNumber): Promise<number> {
  const customer = newCustomer()
  const before = flood.answered()
  expect((await post(number, whatsappBody(number, customer, ['When do you open?']))).status).toBe(200)
  await place.sandbox.waitFor((entry) => entry.target === 'whatsapp.send' && entry.to === customer, 60_000)
  return flood.answered() - before
}

const busyTown = () => openTown({ settings: { TURNS_MAX: String(HANDS), DRAIN_MS: '1000' }, sandbox: { pace: { firstTokenMs: 250 } } })

describe('a tenant that floods all hands of a worker', () => {
  it('does not keep another tenant’s single message waiting, whose number nobody holds yet', { timeout: 90_000 }, async () => {
    town = await busyTown()
    const quiet = await town.business('Quiet Ltd')
    const number = await quiet.number()
    const flood = await flooded(town)
    expect(await floodBefore(town, flood, number)).toBeLessThanOrEqual(FEW_TURNS)
    // The flood was still there, or this showed nothing.
    expect(flood.answered()).toBeLessThan((NUMBERS * MESSAGES) / 2)
  })
  it('nor its messages that come while its number is held', { timeout: 90_000 }, async () => {
    town = await busyTown()
    const quiet = await town.business('Quiet Ltd')
    const number = await quiet.number()
    const flood = await flooded(town)
    await floodBefore(town, flood, number)
    const again = await Promise.all([floodBefore(town, flood, number), floodBefore(town, flood, number)])
    expect(Math.max(...again)).toBeLessThanOrEqual(2 * FEW_TURNS)
    expect(flood.answered()).toBeLessThan((NUMBERS * MESSAGES) / 2)
  })

  it('is served on all of its own numbers, too: none waits for another one’s last message', { timeout: 90_000 }, async () => {
    town = await busyTown()
    const flood = await flooded(town)
    await town.sandbox.waitFor((entry) => entry.target === 'whatsapp.send' && entry.number === flood.last.address, 60_000)
    expect(flood.answered()).toBeLessThanOrEqual(2 * NUMBERS + FEW_TURNS)
  })
})
