import { ledger } from '@trunkline/db'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { wordsOf } from '../../channels/testing/speech.ts'
import { isThorough } from '../harness/env.ts'
import { callersOf, GREETING, HANDOVER, LINES, type Callers } from './callers.ts'
import type { Business, Json } from './business.ts'
import { BY_EAR, hears, openPhoneTown, type PhoneTown } from './phone-town.ts'

// Callers who wait for a colleague, and whom the carrier then does not connect.

let town: PhoneTown
let business: Business
let callers: Callers

beforeAll(async () => {
  town = await openPhoneTown({ CALL_LEASE_MS: '3000' })
  business = await town.business()
  callers = callersOf(town, business, '+4793')
})
afterEach(() => town.sandbox.faults.clear())
afterAll(() => town?.close())

const LONG = { timeout: 90_000, retry: BY_EAR }
/** What the sandbox calls the request that connects two legs; by documents each leg has one. */
const BRIDGE: Record<string, string> = { Twilio: 'twilio.calls.update', Telnyx: 'telnyx.actions.bridge', TeXML: 'telnyx.texml.update' }

describe.each(LINES.slice(0, isThorough ? 3 : 2))('a warm transfer by %s whose last command fails', LONG, (name, wish) => {
  async function briefed() {
    const colleague = callers.person()
    const telephone = await town.telephone(business, { ...wish, settings: { greeting: GREETING, transfer_to: colleague, transfer_mode: 'warm' }, prompt: HANDOVER })
    const { call, phone } = await callers.talking(telephone)
    phone.say('I want to speak to a human.')
    const other = await town.called(telephone.carrier, colleague)
    await hears(other, /press one/)
    return { call, phone, other, telephone }
  }
  const both = (telephone: { id: string }) => town.until<{ end_reason: string }>('SELECT end_reason FROM calls WHERE number_id = $1 AND ended_at IS NOT NULL ORDER BY id', [telephone.id], (rows) => rows.length === 2)

  const FAULTS: [string, Json][] = [['for the colleague', { times: 1 }], ['for the caller', { times: 1, match: { nth: 2 } }]]
  const FOR_GOOD: [string, Json] = ['for good', { times: 3 }]
  const faults = name === 'Telnyx' ? [FOR_GOOD].slice(isThorough ? 0 : 1) : name === 'TeXML' || !isThorough ? FAULTS.slice(1) : FAULTS
  it.each(faults)('%s: the caller is the agent’s again, and the colleague is let go', async (_leg, when) => {
    const { call, phone, other, telephone } = await briefed()
    town.sandbox.faults.add({ target: BRIDGE[name]!, ...when, action: { status: 504 } })
    other.press('1')
    await hears(phone, /nobody is there/)
    await other.waitFor('ended')
    await callers.untilRow(call.id, 'wish IS NULL AND lease_owner IS NOT NULL')
    phone.say('When do you open?')
    await hears(phone, /repair/)
    phone.hangUp()
    const [first] = await both(telephone)
    expect(first).toEqual({ end_reason: 'caller_hung_up' })
    expect(await callers.outcomes(call.id)).toEqual(['asked', 'calling', 'failed'])
  })

  it.runIf(name === 'Telnyx')('and was carried out: both are connected, by one command', async () => {
    const { phone, other, telephone } = await briefed()
    town.sandbox.faults.add({ target: BRIDGE[name]!, times: 1, action: { acceptThenReset: true } })
    other.press('1')
    await phone.waitFor('bridged')
    await town.until("SELECT 1 FROM calls WHERE number_id = $1 AND transfer = 'answered' AND lease_owner IS NULL", [telephone.id], (rows) => rows.length === 2)
    phone.hangUp()
    other.hangUp()
    expect(await both(telephone)).toEqual([{ end_reason: 'transferred' }, { end_reason: 'transferred' }])
    expect(wordsOf(phone.agentPcm())).not.toMatch(/nobody is there/)
  })
})

describe('a colleague of whom the carrier does not say whether it calls them', LONG, () => {
  async function handedOver(carrier: 'twilio' | 'telnyx', action: Json) {
    const colleague = callers.person()
    const telephone = await town.telephone(business, { carrier, settings: { greeting: GREETING, transfer_to: colleague, transfer_mode: 'warm' }, prompt: HANDOVER })
    const { call, phone } = await callers.talking(telephone)
    town.sandbox.faults.add({ target: carrier === 'twilio' ? 'twilio.calls.create' : 'telnyx.calls.dial', match: { to: colleague }, times: 1, action })
    phone.say('I want to speak to a human.')
    return { call, phone, colleague, telephone }
  }

  it('and who was never called: the caller does not wait for them', async () => {
    const { call, phone, telephone } = await handedOver('twilio', { status: 504 })
    await hears(phone, /as soon as possible/)
    await hears(phone, /nobody is there/)
    phone.say('When do you open?')
    await hears(phone, /repair/)
    expect(await town.rows("SELECT status, end_reason FROM calls WHERE number_id = $1 AND direction = 'outbound'", [telephone.id])).toEqual([{ status: 'failed', end_reason: 'unreachable' }])
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
  })

  it('and whose phone is heard of after the caller was told otherwise: it stops ringing', async () => {
    const { call, phone, colleague } = await handedOver('telnyx', { acceptThenReset: true })
    town.sandbox.carriers.describe({ number: colleague, does: 'no_answer' })
    town.sandbox.faults.add({ target: 'telnyx.webhook', match: { contains: colleague }, times: 1, action: { delayMs: 12_000 } })
    await hears(phone, /as soon as possible/)
    await hears(phone, /nobody is there/)
    const other = town.sandbox.carriers.telnyx.calls().find(({ id, state }) => id !== phone.id && state() === 'ringing')!
    expect((await other.waitFor('ended')).text).toBe('canceled')
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
  })

  it('and who was: their phone rings once, and they take over', async () => {
    const { phone, colleague, telephone } = await handedOver('telnyx', { acceptThenReset: true })
    const other = await town.called('telnyx', colleague)
    await hears(other, /press one/)
    other.press('1')
    await phone.waitFor('bridged')
    expect(town.sandbox.carriers.telnyx.calls().filter(({ id }) => id !== phone.id && id !== other.id && town.sandbox.carriers.telnyx.call(id).state() !== 'ended')).toEqual([])
    await town.until("SELECT 1 FROM calls WHERE number_id = $1 AND transfer = 'answered'", [telephone.id], (rows) => rows.length === 2)
    phone.hangUp()
    other.hangUp()
    await town.until("SELECT 1 FROM calls WHERE number_id = $1 AND end_reason = 'transferred'", [telephone.id], (rows) => rows.length === 2)
  })
})

it('calls that were to be connected cost the right money, whatever became of them', async () => {
  expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
  expect(await town.rows<Json>("SELECT 1 FROM calls c JOIN holds h ON h.id = ANY (c.hold_ids) WHERE c.ended_at IS NOT NULL AND h.state = 'held'", [])).toEqual([])
})
