import { ledger } from '@trunkline/db'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { callersOf, GREETING, HANDOVER, LINES, type Callers } from './callers.ts'
import { isThorough } from '../harness/env.ts'
import type { Business, Json } from './business.ts'
import { BY_EAR, hears, openPhoneTown, type PhoneTown } from './phone-town.ts'

// Calls that are put through, when the command gets lost, the caller is gone before, or the news comes late.

let town: PhoneTown
let business: Business
let callers: Callers

beforeAll(async () => {
  town = await openPhoneTown({ CALL_LEASE_MS: '3000' })
  business = await town.business()
  callers = callersOf(town, business, '+4795')
})
afterEach(() => town.sandbox.faults.clear())
afterAll(() => town?.close())

const LONG = { timeout: 60_000, retry: BY_EAR }
/** What the sandbox calls the request that puts a call through. */
const COMMAND: Record<string, string> = { Twilio: 'twilio.calls.update', Telnyx: 'telnyx.actions.transfer', TeXML: 'telnyx.texml.update' }
const dials = (phone: { moments(): readonly { kind: string }[] }) => phone.moments().filter(({ kind }) => kind === 'dialed').length
const transfer = (id: string, to: string) => business.call('POST', `/v1/calls/${id}/transfer`, { to })
/** Words of a person who has picked up. */
const KARI = { says: [{ text: 'Workshop, this is Kari.' }] }
/** The agent has the call again, and answers. */
async function goesOn(phone: Awaited<ReturnType<Callers['talking']>>['phone']): Promise<void> {
  phone.say('When do you open?')
  await hears(phone, /repair/)
}

describe.each(LINES)('a caller of %s who hangs up while the other phone rings', LONG, (name, wish) => {
  it('has hung up: the call was not transferred', async () => {
    const { call, phone } = await callers.talking(await town.telephone(business, { ...wish, settings: { greeting: GREETING } }))
    await transfer(call.id, callers.person({ does: 'no_answer' }))
    await callers.untilRow(call.id, "transfer = 'ringing' AND lease_owner IS NULL")
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
    expect((await callers.outcomes(call.id)).slice(0, 2)).toEqual(['asked', 'ringing'])
    expect(await callers.outcomes(call.id)).not.toContain('answered')
  })

  it.runIf(isThorough || name === 'Twilio')('has hung up, too, when nothing more is told of the other phone', async () => {
    const telephone = await town.telephone(business, { ...wish, settings: { greeting: GREETING } })
    const { call, phone } = await callers.talking(telephone)
    await transfer(call.id, callers.person({ does: 'no_answer' }))
    await callers.untilRow(call.id, "transfer = 'ringing' AND lease_owner IS NULL")
    for (const contains of ['DialCallStatus', 'originator_cancel']) town.sandbox.faults.add({ target: `${telephone.carrier}.webhook`, match: { contains }, action: { drop: true } })
    const hungUpAt = Date.now()
    phone.hangUp()
    const ended = await callers.over(call.id)
    expect(ended).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
    expect(new Date(ended.ended_at).getTime(), 'the time it parted, not the time that was found out').toBeLessThan(hungUpAt + 2_000)
  })
})

describe.each(LINES.slice(0, 2))('a caller of %s who has talked with the other one', LONG, (name, wish) => {
  it('was transferred, though the news of the answer comes after that of the end', async () => {
    const { call, phone } = await callers.talking(await town.telephone(business, { ...wish, settings: { greeting: GREETING } }))
    const colleague = callers.person(KARI)
    town.sandbox.faults.add(name === 'Twilio'
      ? { target: 'twilio.webhook', match: { contains: `CallStatus=in-progress&Called=${encodeURIComponent(colleague)}` }, action: { delayMs: 6_000 } }
      : { target: 'telnyx.webhook', match: { contains: '"call.bridged"' }, times: 2, action: { delayMs: 6_000 } })
    await transfer(call.id, colleague)
    await hears(phone, /this is kari/i)
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'transferred' })
  })
})

describe.each(LINES)('a transfer by %s whose answer is lost', LONG, (name, wish) => {
  it('and that was carried out rings once, and they talk', async () => {
    const { call, phone } = await callers.talking(await town.telephone(business, { ...wish, settings: { greeting: GREETING } }))
    const colleague = callers.person({ ...KARI, after_ms: 3_000 })
    town.sandbox.faults.add({ target: COMMAND[name]!, times: 1, action: { acceptThenReset: true } })
    expect((await transfer(call.id, colleague)).status).toBe(200)
    await hears(phone, /this is kari/i)
    await callers.untilRow(call.id, "transfer = 'answered'")
    expect(dials(phone)).toBe(1)
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'transferred' })
  })

  it.runIf(isThorough || name !== 'TeXML')('and of which no news comes either is taken back: nobody picks up for a caller who talks with the agent', async () => {
    const telephone = await town.telephone(business, { ...wish, settings: { greeting: GREETING } })
    const { call, phone } = await callers.talking(telephone)
    const colleague = callers.person({ does: 'no_answer' })
    const lost = { target: COMMAND[name]!, times: 1, action: { acceptThenReset: true } }
    town.sandbox.faults.add(lost)
    // Nor can it be asked: Twilio's list is away, Telnyx's next answers are.
    if (name === 'Twilio') town.sandbox.faults.add({ target: 'twilio.calls.list', action: { status: 503 } })
    if (name === 'Telnyx') town.sandbox.faults.add({ ...lost, times: 2 })
    town.sandbox.faults.add({ target: `${telephone.carrier}.webhook`, match: { contains: encodeURIComponent(colleague).replace('%2B', '') }, times: 1, action: { delayMs: 6_000 } })
    expect((await transfer(call.id, colleague)).body.error).toMatchObject({ code: 'upstream_timeout', details: { carrier: telephone.carrier } })
    await hears(phone, /nobody is there/)
    await goesOn(phone)
    expect(dials(phone)).toBe(1)
    await expect.poll(() => town.sandbox.carriers[telephone.carrier].calls().filter(({ id, state }) => id !== phone.id && state() === 'ringing'), { timeout: 10_000 }).toEqual([])
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
  })

  // TeXML's agent does what Twilio's does.
  it.each([['asked by the API', false], ['asked by the agent', true]].slice(0, name === 'TeXML' || (name === 'Telnyx' && !isThorough) ? 1 : 2) as [string, boolean][])('and that was never carried out (%s) comes back to the agent, who says so, and may be tried again', async (_by, byAgent) => {
    const colleague = callers.person(KARI)
    const telephone = await town.telephone(business, { ...wish, settings: { greeting: GREETING, ...(byAgent ? { transfer_to: colleague } : {}) }, prompt: HANDOVER })
    const { call, phone } = await callers.talking(telephone)
    town.sandbox.faults.add({ target: COMMAND[name]!, times: name === 'Telnyx' ? 3 : 1, action: { status: 504 } })
    if (byAgent) phone.say('I want to speak to a human.')
    else expect((await transfer(call.id, colleague)).body.error).toMatchObject({ code: 'upstream_failed' })
    // Twilio can be asked, and knows of no leg: the sound of a call that somebody else wanted to put through was never away.
    if (byAgent || name !== 'Twilio') await hears(phone, /nobody is there/)
    await callers.untilRow(call.id, 'wish IS NULL AND lease_owner IS NOT NULL')
    await goesOn(phone)
    expect(dials(phone)).toBe(0)
    expect(await callers.outcomes(call.id)).toEqual(['asked', 'failed'])
    expect((await transfer(call.id, colleague)).status).toBe(200)
    await hears(phone, /this is kari/i)
    await callers.untilRow(call.id, "transfer = 'answered'")
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'transferred' })
  })

  it.runIf(isThorough || name === 'Twilio')('and whose process is gone is given up, and the agent takes the caller again', async () => {
    const { call, phone } = await callers.talking(await town.telephone(business, { ...wish, settings: { greeting: GREETING } }))
    // As a process leaves it that dies between its wish and its command.
    await town.rows("UPDATE calls SET wish = 'transfer', transfer = 'asked', transfer_at = now() - interval '1 minute' WHERE id = $1 RETURNING 1", [call.id])
    await hears(phone, /nobody is there/)
    await goesOn(phone)
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
    expect(await callers.outcomes(call.id)).toEqual(['failed'])
  })
})

describe('a caller who is to come back, and whose sound does not', LONG, () => {
  /** As it is left by a process whose command the carrier did not take: the other phone rings no more, and nobody is heard. */
  async function left(seconds: number) {
    const talk = await callers.talking(await town.telephone(business, { settings: { greeting: GREETING } }))
    await transfer(talk.call.id, callers.person({ does: 'no_answer' }))
    await callers.untilRow(talk.call.id, "transfer = 'ringing' AND lease_owner IS NULL")
    await town.rows("UPDATE calls SET wish = 'return', transfer = NULL, transfer_at = now() - make_interval(secs => $2) WHERE id = $1 RETURNING 1", [talk.call.id, seconds])
    return talk
  }

  it('is asked for again, and hears the agent', async () => {
    const { call, phone } = await left(15)
    await hears(phone, /nobody is there/)
    await goesOn(phone)
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
  })

  it('is hung up after a minute of silence, and the call says why', async () => {
    const { call, phone } = await left(120)
    await phone.waitFor('ended')
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'line_lost' })
  })
})

describe('a transfer that hangs', LONG, () => {
  it('is waited for eight seconds, and then the caller hears about it', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING, transfer_to: callers.person() }, prompt: HANDOVER })
    const { call, phone } = await callers.talking(telephone)
    town.sandbox.faults.add({ target: 'twilio.calls.update', times: 1, action: { hang: true } })
    phone.say('I want to speak to a human.')
    await hears(phone, /as soon as possible/)
    await hears(phone, /nobody is there/)
    await goesOn(phone)
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
  })
})

it('calls that were put through cost the right money, whatever became of them', async () => {
  expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
  expect(await town.rows<Json>("SELECT 1 FROM calls c JOIN holds h ON h.id = ANY (c.hold_ids) WHERE c.ended_at IS NOT NULL AND h.state = 'held'", [])).toEqual([])
})
