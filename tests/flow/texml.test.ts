import { ledger } from '@trunkline/db'
import { TELNYX_ACCOUNT_SID, TELNYX_PUBLIC_KEY } from '@trunkline/app-sandbox'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { wordsOf } from '../../channels/testing/speech.ts'
import { callersOf, GREETING, type Callers } from './callers.ts'
import type { Business, Json } from './business.ts'
import { BY_EAR, hears, kept, openPhoneTown, type PhoneTown, type Telephone } from './phone-town.ts'

// A number of Telnyx whose calls run by TeXML: documents as answers to signed forms, the sound of Telnyx.

let town: PhoneTown
let business: Business
let callers: Callers

beforeAll(async () => {
  town = await openPhoneTown()
  business = await town.business()
  callers = callersOf(town, business, '+4796')
})
afterEach(() => town.sandbox.faults.clear())
afterAll(() => town?.close())

const LONG = { timeout: 60_000, retry: BY_EAR }
const telephone = (settings: Json = {}) => town.telephone(business, { texml: true, settings: { greeting: GREETING, ...settings } })
/** What Telnyx posted of a call, in order. */
const posted = (id: string) => town.sandbox.journal.query({ target: 'telnyx.webhook', id }).map((entry) => ({ kind: entry.kind, to: entry.to ?? '', status: entry.status, form: new URLSearchParams(String(entry.body)) }))
const commands = (id: string) => town.sandbox.journal.query({ target: 'telnyx.*', to: id }).map(({ target }) => target).filter((target) => target.startsWith('telnyx.actions'))

describe('a call that comes in by TeXML', LONG, () => {
  it('is greeted, interrupted, keyed and answered, and over when the status callback says so', async () => {
    const number = await telephone({ greeting: `${GREETING} ${'We are in no hurry at all today. '.repeat(6)}`.trim() })
    const phone = town.ring(number)
    await hears(phone, /harbour bikes/)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    await kept(town, number, 3)
    const { stats } = phone.streams()[0]!
    expect(stats).toMatchObject({ faults: 0, framesDropped: 0 })
    expect(stats.clears, 'the caller spoke into the greeting').toBeGreaterThan(0)
    expect(stats.marksReturned).toBeGreaterThan(0)
    phone.press('4711')
    await kept(town, number, 5)
    phone.hangUp()
    const { data: [{ id }] } = await business.ok('GET', `/v1/calls?number_id=${number.id}`)
    expect(await callers.over(id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up', carrier: 'telnyx', direction: 'inbound', from: '+14155550100', to: number.address, carrier_call_id: phone.id })
    const { data: said } = await business.ok('GET', `/v1/calls/${id}/transcript`)
    expect(said.map((item: Json) => [item.by, item.text])).toEqual([['agent', expect.stringMatching(/^Hello, harbour/)], ['customer', 'When do you open?'], ['agent', expect.stringMatching(/nine/)], ['customer', '4711'], ['agent', expect.anything()]])
    expect(said[0].interrupted).toBe(true)
    await expect.poll(() => posted(phone.id).map(({ kind }) => kind)).toEqual(['voice', 'completed'])
    const [asked, ended] = posted(phone.id)
    expect(Object.fromEntries(asked!.form)).toEqual({ AccountSid: TELNYX_ACCOUNT_SID, ApiVersion: '2010-04-01', CallSid: phone.id, CallSidLegacy: phone.id, CallStatus: 'ringing', ConnectionId: expect.stringMatching(/^\d+$/), From: '+14155550100', To: number.address })
    expect(Object.fromEntries(ended!.form)).toMatchObject({ CallStatus: 'completed', CallbackSource: 'call-progress-events', HangupSource: 'caller', HangupCause: 'normal_clearing' })
    expect(commands(phone.id), 'commands are for the other way').toEqual([])
  })

  it('is refused to whoever cannot sign for Telnyx, and no call is opened', async () => {
    const number = await telephone()
    town.sandbox.faults.add({ target: 'telnyx.webhook', match: { to: `${town.apiUrl}/webhooks/voice/${number.id}` }, times: 1, action: { badSignature: true } })
    await town.ring(number).waitFor('ended')
    expect((await business.ok('GET', `/v1/calls?number_id=${number.id}`)).data).toEqual([])
  })

  it('is not answered when the number has all the calls it may have', async () => {
    const number = await telephone({ concurrency_limit: 1 })
    const first = town.ring(number)
    await hears(first, /harbour bikes/)
    const second = town.ring(number, '+14155550101')
    await second.waitFor('ended')
    expect([second.moments().some(({ kind }) => kind === 'answered'), (await business.ok('GET', `/v1/calls?number_id=${number.id}&status=busy`)).data.length]).toEqual([false, 1])
    first.hangUp()
  })

  it('goes on when its media socket breaks: Telnyx asks what comes next, and the agent says so', async () => {
    const number = await telephone()
    const { call, phone } = await callers.talking(number)
    phone.dropSocket()
    await hears(phone, /cut off/)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
    expect(posted(phone.id).map(({ to }) => to.split('/').slice(-2)[0])).toContain('next')
  })

  it('hangs up when the agent has said its last word', async () => {
    const number = await town.telephone(business, { texml: true, settings: { greeting: GREETING }, prompt: { tools: [{ type: 'builtin', name: 'end_conversation' }] } })
    const { call, phone } = await callers.talking(number)
    phone.say('Thank you, that is all. Goodbye.')
    await phone.waitFor('ended', { timeoutMs: 20_000 })
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'agent_hung_up' })
    expect(town.sandbox.journal.query({ target: 'telnyx.texml.update', to: phone.id }).map(({ body }) => (body as Json).Status)).toEqual(['completed'])
  })
})

describe('a call that is placed by TeXML', LONG, () => {
  it('is told of at each step, talks, and is hung up by REST', async () => {
    const number = await telephone()
    const { call, phone } = await callers.place(number, { to: callers.person({ after_ms: 200 }), greeting: 'Your bike is ready.', timeout_seconds: 12 })
    await hears(phone, /your bike is ready/i)
    await kept(town, number, 1)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    expect((await business.call('POST', `/v1/calls/${call.id}/hangup`)).status).toBe(200)
    await phone.waitFor('ended')
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'hung_up_by_api' })
    await vi.waitFor(() => expect(posted(phone.id).map(({ form }) => form.get('CallStatus'))).toEqual(['initiated', 'ringing', 'in-progress', 'completed']))
    const [order] = town.sandbox.journal.query({ target: 'telnyx.texml.create', to: call.to }).map(({ body }) => body as Json)
    expect(order).toMatchObject({ ApplicationSid: expect.stringMatching(/^\d+$/), Texml: expect.stringContaining('<Stream '), StatusCallback: expect.stringContaining(`/status/${call.id}`) })
  })

  it.each([
    ['is busy', { does: 'busy' }, { status: 'busy', reason: 'busy' }],
    ['does not answer', { does: 'no_answer' }, { status: 'no_answer', reason: 'no_answer' }],
  ] as const)('ends as it is when whom it is for %s, and costs nothing', async (_name, behaviour, ending) => {
    const { call } = await callers.place(await telephone(), { to: callers.person(behaviour), timeout_seconds: 5 })
    expect(await callers.over(call.id)).toMatchObject({ ...ending, answered_at: null, cost: { total: { micros: '0' } } })
  })

  it('has keys pressed in it by a document, and goes on where it was', async () => {
    const { call, phone } = await callers.place(await telephone(), { to: callers.person(), greeting: GREETING })
    await hears(phone, /harbour/)
    expect((await business.call('POST', `/v1/calls/${call.id}/dtmf`, { digits: '1w42#' })).status).toBe(200)
    await phone.waitFor('person.hears_key', { from: 3 })
    await callers.untilRow(call.id, 'lease_owner IS NOT NULL AND epoch = 2')
    phone.say('When do you open?')
    await hears(phone, /nine/)
    expect(wordsOf(phone.agentPcm())).not.toMatch(/cut off/)
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
  })
})

describe('a call that TeXML puts through', LONG, () => {
  it('is over when the talk is', async () => {
    const { call, phone } = await callers.talking(await telephone())
    await business.ok('POST', `/v1/calls/${call.id}/transfer`, { to: callers.person({ says: [{ text: 'Workshop, this is Kari.' }] }) })
    await hears(phone, /this is kari/i)
    await callers.untilRow(call.id, "transfer = 'answered'")
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'transferred' })
  })

  it('comes back to the agent when nobody takes it', async () => {
    const { call, phone } = await callers.talking(await telephone())
    await business.ok('POST', `/v1/calls/${call.id}/transfer`, { to: callers.person({ does: 'busy' }) })
    await hears(phone, /nobody is there/)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    phone.hangUp()
    expect(await callers.over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
    expect((await callers.outcomes(call.id)).filter((outcome) => outcome !== 'ringing')).toEqual(['asked', 'busy'])
  })
})

describe('a number that is connected for TeXML', LONG, () => {
  it('rings at us by POST, and its calls’ ends are told', async () => {
    const [number, connection] = ['+15125550990', '1684641123238000001']
    town.sandbox.carriers.telnyx.register({ number, texml: true, connection_id: connection })
    const settings = { carrier: 'telnyx', greeting: GREETING, carrier_settings: { mode: 'texml', connection_id: connection, account_sid: TELNYX_ACCOUNT_SID } }
    const made = await business.ok('POST', '/v1/phone-numbers', { type: 'voice', name: 'TeXML', address: number, credentials: { api_key: 'KEYsandbox', public_key: TELNYX_PUBLIC_KEY }, settings, assign: true })
    const { id: promptId } = await business.ok('POST', '/v1/prompts', { name: 'Receptionist', content: { instructions: 'You are kind.', vendor: 'openai', model: 'gpt-5-mini' } })
    await business.ok('POST', '/v1/agents', { name: 'Receptionist', number_id: made.id, prompt_id: promptId })
    const url = `${town.apiUrl}/webhooks/voice/${made.id}`
    const [change] = town.sandbox.journal.query({ target: 'telnyx.applications.update' }).map(({ body }) => body as Json).slice(-1)
    expect(change).toMatchObject({ voice_url: url, voice_method: 'post', status_callback: url, status_callback_method: 'post' })
    const phone = town.sandbox.carriers.telnyx.ring({ from: '+4799000001', to: number, says: [] })
    await hears(phone, /harbour bikes/)
    phone.hangUp()
    const ours: Telephone = { id: made.id, address: number, carrier: 'telnyx', agentId: '' }
    await town.until('SELECT 1 FROM calls WHERE number_id = $1 AND ended_at IS NOT NULL', [ours.id], (rows) => rows.length === 1)
  })
})

it('calls by TeXML cost the right money, whatever became of them', async () => {
  expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
})
