import { ledger } from '@trunkline/db'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { callersOf, GREETING, type Callers } from './callers.ts'
import type { SpawnedNode } from '../harness/processes.ts'
import type { Business } from './business.ts'
import { BY_EAR, hears, openPhoneTown, type PhoneTown } from './phone-town.ts'

// Telnyx does not ask what comes next when a media stream breaks: it is started again by command, and a command may be refused.

let town: PhoneTown
let business: Business
let callers: Callers
let voice: SpawnedNode

beforeAll(async () => {
  town = await openPhoneTown({}, { spawned: true })
  voice = await town.spawnVoice()
  business = await town.business()
  callers = callersOf(town, business, '+4794')
})
afterEach(() => town.sandbox.faults.clear())
afterAll(() => town?.close())

const LONG = { timeout: 90_000, retry: BY_EAR }
const telephone = () => town.telephone(business, { carrier: 'telnyx', settings: { greeting: GREETING } })
/** Commands that were to start the stream, refused ones too. */
const starts = (id: string) => town.sandbox.journal.query({ target: 'telnyx.actions.streaming_start', to: id })

describe('a media stream of Telnyx that breaks', LONG, () => {
  it('is started again though the first commands are refused, and the call goes on in its process', async () => {
    const { call, phone } = await callers.talking(await telephone())
    town.sandbox.faults.add({ target: 'telnyx.actions.streaming_start', times: 2, action: { status: 503 } })
    phone.dropSocket()
    await hears(phone, /cut off/)
    phone.say('When do you open?')
    await hears(phone, /repair/)
    expect(starts(phone.id).map(({ status }) => status)).toEqual([503, 503, 200])
    expect(phone.streams()).toHaveLength(2)
    await callers.untilRow(call.id, 'epoch = 1 AND lease_owner IS NOT NULL')
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
  })

  it('finds the next process when its own is gone: while nobody listens there are pauses, not a storm', async () => {
    const { call, phone } = await callers.talking(await telephone())
    voice.signal('SIGKILL')
    await voice.exited
    await expect.poll(() => starts(phone.id).length, { timeout: 20_000, interval: 20 }).toBeGreaterThanOrEqual(2)
    voice = await town.spawnVoice()
    await hears(phone, /cut off/)
    phone.say('When do you open?')
    await hears(phone, /repair/)
    expect(starts(phone.id).length).toBeLessThanOrEqual(6)
    await callers.untilRow(call.id, 'epoch = 2')
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
  })

  it('is given up when Telnyx never takes the command: the caller is hung up, and the call says why', async () => {
    const { call, phone } = await callers.talking(await telephone())
    town.sandbox.faults.add({ target: 'telnyx.actions.streaming_start', action: { status: 503 } })
    phone.dropSocket()
    await phone.waitFor('ended', { timeoutMs: 40_000 })
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'line_lost' })
    expect(starts(phone.id)).toHaveLength(6)
  })
})

it('calls whose sound was away cost the right money', async () => {
  expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
})
