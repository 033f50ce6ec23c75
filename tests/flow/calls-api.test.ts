import { ledger } from '@trunkline/db'
import type { CallHandle } from '@trunkline/app-sandbox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wordsOf } from '../../channels/testing/speech.ts'
import type { Answer, Business, Json } from './business.ts'
import { BY_EAR, hears, kept, openPhoneTown, type PhoneTown, type Telephone } from './phone-town.ts'

// What a developer does with calls, through the API alone, against both carriers' wire formats.

let town: PhoneTown
let business: Business

beforeAll(async () => {
  town = await openPhoneTown()
  business = await town.business()
})
afterAll(() => town?.close())

const GREETING = 'Hello, harbour bikes.'
const CARRIERS = ['twilio', 'telnyx'] as const
const LONG = { timeout: 60_000, retry: BY_EAR }
/** What the sandbox calls the request that places a call. */
const ORDER = { twilio: 'twilio.calls.create', telnyx: 'telnyx.calls.dial' } as const

let people = 0
/** Somebody outside with a number of their own. */
function person(wish: Omit<Parameters<PhoneTown['sandbox']['carriers']['describe']>[0], 'number'> = {}): string {
  const number = `+4799${String(700_000 + ++people)}`
  town.sandbox.carriers.describe({ number, ...wish })
  return number
}

const read = (id: string): Promise<Json> => business.ok('GET', `/v1/calls/${id}`)
const post = (path: string, body?: unknown): Promise<Answer> => business.call('POST', path, body)
const phoneOf = (telephone: Telephone, call: Json): CallHandle => town.sandbox.carriers[telephone.carrier].call(call.carrier_call_id)
const untilOver = (id: string) => town.until('SELECT 1 FROM calls WHERE id = $1 AND ended_at IS NOT NULL', [id], (rows) => rows.length === 1)
const untilTalking = (id: string) => town.until("SELECT 1 FROM calls WHERE id = $1 AND status = 'in_progress' AND lease_owner IS NOT NULL", [id], (rows) => rows.length === 1)
const over = async (id: string): Promise<Json> => (await untilOver(id), read(id))

/** Calls somebody and has the phone in hand. */
async function place(telephone: Telephone, wish: Record<string, unknown>): Promise<{ call: Json; phone: CallHandle }> {
  const call = await business.ok('POST', '/v1/calls', { from: telephone.address, ...wish })
  return { call, phone: phoneOf(telephone, call) }
}

/** Somebody rings the number and has heard the greeting. */
async function talking(telephone: Telephone): Promise<{ call: Json; phone: CallHandle }> {
  const phone = town.ring(telephone)
  await hears(phone, /harbour bikes/)
  await kept(town, telephone, 1)
  const { data } = await business.ok('GET', `/v1/calls?number_id=${telephone.id}&live=true`)
  return { call: data[0], phone }
}

describe.each(CARRIERS)('a call that is placed over %s', LONG, (carrier) => {
  it('speaks first, talks, and tells afterwards what was said, when, and what it cost', async () => {
    const telephone = await town.telephone(business, { carrier, settings: { greeting: 'Not this one.', recording: { enabled: true } } })
    const to = person()
    const { call, phone } = await place(telephone, { to, from: telephone.id, greeting: 'Your bike is ready.', metadata: { order: '1044' } })
    expect(call).toMatchObject({ direction: 'outbound', from: telephone.address, to, reason: null, cost: null, metadata: { order: '1044' }, placed_by: expect.stringMatching(/^api_key:/), agent_id: telephone.agentId })
    await hears(phone, /your bike is ready/i)
    await kept(town, telephone, 1)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    await kept(town, telephone, 3)
    phone.hangUp()
    const ended = await over(call.id)
    expect(ended).toMatchObject({ status: 'completed', reason: 'caller_hung_up', conversation_id: expect.any(String), contact_id: expect.any(String) })
    expect(ended.duration_seconds).toBeGreaterThan(0)
    const { total, ...parts } = ended.cost
    expect(Object.values<Json>(parts).reduce((sum, part) => sum + BigInt(part.micros), 0n)).toBe(BigInt(total.micros))
    for (const [name, part] of Object.entries<Json>(parts)) expect(BigInt(part.micros), name).toBeGreaterThan(0n)

    const { data: said } = await business.ok('GET', `/v1/calls/${call.id}/transcript`)
    expect(said.map((item: Json) => [item.by, item.text]).slice(0, 2)).toEqual([['agent', 'Your bike is ready.'], ['customer', 'When do you open?']])
    expect(said[1].words.map((word: Json) => word.text).join(' ')).toMatch(/When do you open/)
    expect(said[1].end_ms).toBeGreaterThan(said[1].start_ms)
    expect(JSON.stringify(said)).not.toContain('Not this one')
    await readsAsSubtitles(call.id)
    await showsItsTurns(call.id)
    await hasARecording(call.id)
  })

  it('is hung up while it talks', async () => {
    const telephone = await town.telephone(business, { carrier })
    const { call, phone } = await place(telephone, { to: person(), greeting: GREETING })
    await hears(phone, /harbour/)
    expect((await post(`/v1/calls/${call.id}/hangup`)).status).toBe(200)
    await phone.waitFor('ended')
    expect(await over(call.id)).toMatchObject({ status: 'completed', reason: 'hung_up_by_api' })
  })

  it('is put through to somebody who answers, and is over when they are done', async () => {
    const telephone = await town.telephone(business, { carrier, settings: { greeting: GREETING } })
    const { call, phone } = await talking(telephone)
    const colleague = person({ says: [{ text: 'Workshop, this is Kari.' }] })
    expect((await post(`/v1/calls/${call.id}/transfer`, { to: colleague })).status).toBe(200)
    await phone.waitFor('bridged')
    await hears(phone, /this is kari/i)
    expect((await post(`/v1/calls/${call.id}/transfer`, { to: colleague })).body.error).toMatchObject({ code: 'invalid_state' })
    phone.hangUp()
    expect(await over(call.id)).toMatchObject({ status: 'completed', reason: 'transferred' })
  })

  it.each([['is busy', { does: 'busy' }], ['does not answer', { does: 'no_answer' }]] as const)('comes back to the agent when the one it was put through to %s', async (_name, behaviour) => {
    const telephone = await town.telephone(business, { carrier, settings: { greeting: GREETING } })
    const { call, phone } = await talking(telephone)
    await business.ok('POST', `/v1/calls/${call.id}/transfer`, { to: person(behaviour), timeout_seconds: 5 })
    await hears(phone, /nobody is there/)
    expect(await read(call.id)).toMatchObject({ status: 'in_progress', reason: null })
    await kept(town, telephone, 2)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    phone.hangUp()
    expect(await over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
    const { data } = await business.ok('GET', `/v1/calls/${call.id}/events?kind=transfer`)
    const outcomes = data.map((event: Json) => event.data.outcome)
    // A busy phone is told of by two requests at once, whichever comes first.
    expect(behaviour.does === 'busy' ? outcomes.filter((outcome: string) => outcome !== 'ringing') : outcomes).toEqual(behaviour.does === 'busy' ? ['asked', 'busy'] : ['asked', 'ringing', 'no_answer'])
  })

  it('stays with the agent when the carrier refuses to put it through, whoever asked for that', async () => {
    const colleague = person()
    const refused = carrier === 'twilio' ? { target: 'twilio.calls.update', action: { status: 400, errorCode: 21217 } } : { target: 'telnyx.actions.transfer', action: { status: 422, errorCode: '10016' } }
    const telephone = await town.telephone(business, { carrier, settings: { greeting: GREETING, transfer_to: colleague }, prompt: { tools: [{ type: 'builtin', name: 'handover_to_human' }] } })
    const { call, phone } = await talking(telephone)
    town.sandbox.faults.add({ ...refused, times: 1 })
    const { status, body } = await post(`/v1/calls/${call.id}/transfer`, { to: colleague })
    expect([status, body.error.code, body.error.param]).toEqual([400, 'invalid_request', 'body.to'])
    if (carrier === 'telnyx') await hears(phone, /nobody is there/)
    await untilTalking(call.id)
    town.sandbox.faults.add({ ...refused, times: 1 })
    phone.say('I want to speak to a human.')
    await expect.poll(() => wordsOf(phone.agentPcm()).match(/nobody is there/g)?.length ?? 0, { timeout: 20_000, interval: 100 }).toBe(carrier === 'telnyx' ? 2 : 1)
    await untilTalking(call.id)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    phone.hangUp()
    expect(await over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
    expect(phone.moments().filter(({ kind }) => kind === 'dialed')).toEqual([])
  })

  it('has keys pressed in it, and goes on where it was', async () => {
    const telephone = await town.telephone(business, { carrier })
    const { call, phone } = await place(telephone, { to: person(), greeting: GREETING })
    await hears(phone, /harbour/)
    await kept(town, telephone, 1)
    expect((await post(`/v1/calls/${call.id}/dtmf`, { digits: '1w42#' })).status).toBe(200)
    await phone.waitFor('person.hears_key', { from: 3 })
    await untilTalking(call.id)
    await expect.poll(() => phone.streams().length).toBe(carrier === 'twilio' ? 2 : 1)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    expect(wordsOf(phone.agentPcm())).not.toMatch(/cut off/)
    expect(phone.moments().filter(({ kind }) => kind === 'person.hears_key').map(({ text }) => text).join('')).toBe('142#')
    phone.hangUp()
    expect(await over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
    expect(JSON.stringify(await business.ok('GET', `/v1/calls/${call.id}/events`)), 'keys may be a secret').not.toContain('42#')
  })

  it('is told by the carrier whether a machine answered, and rings, dials on and ends as it was asked', async () => {
    const telephone = await town.telephone(business, { carrier })
    const { call, phone } = await place(telephone, { to: person({ machine: true, says: [{ text: 'Please leave a message.' }] }), machine_detection: 'carrier', send_digits: 'w42', timeout_seconds: 12, max_duration_seconds: 40 })
    await phone.waitFor('person.hears_key', { from: 1 })
    const [news] = await town.until<{ data: Json }>("SELECT data FROM call_events WHERE call_id = $1 AND kind = 'machine'", [call.id], (rows) => rows.length > 0)
    expect(news!.data).toMatchObject({ by: 'carrier', verdict: 'machine' })
    const [order] = town.sandbox.journal.query({ target: ORDER[carrier], to: call.to }).map(({ body }) => body as Json)
    expect(carrier === 'twilio' ? [order.Timeout, order.TimeLimit] : [String(order.timeout_secs), String(order.time_limit_secs)]).toEqual(['12', '100'])
    phone.hangUp()
    await untilOver(call.id)
  })

  it('finds out by itself that a machine has answered, and leaves its message after the tone', async () => {
    const telephone = await town.telephone(business, { carrier })
    const { call, phone } = await place(telephone, { to: person({ machine: true, says: [{ text: 'You have reached the Berg family. Please leave a message after the tone.' }] }), greeting: 'Hello, who is there?', machine_detection: 'detect', voicemail_message: 'Your bicycle is ready.' })
    await hears(phone, /bicycle is ready/)
    expect(await over(call.id)).toMatchObject({ status: 'completed', reason: 'voicemail' })
    expect(wordsOf(phone.agentPcm())).not.toMatch(/who is there/)
  })

  it('speaks at once with a person, and knows one by a short greeting', async () => {
    const telephone = await town.telephone(business, { carrier })
    const { call, phone } = await place(telephone, { to: person({ says: [{ text: 'Hello?' }] }), greeting: 'Harbour bikes here.', machine_detection: 'detect' })
    await hears(phone, /bikes here/)
    const [news] = await town.until<{ data: Json }>("SELECT data FROM call_events WHERE call_id = $1 AND kind = 'machine'", [call.id], (rows) => rows.length > 0)
    expect(news!.data).toMatchObject({ by: 'agent', verdict: 'human' })
    phone.hangUp()
    await untilOver(call.id)
  })

  it('costs the right money, whatever became of it', async () => {
    expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
  })
})

describe.concurrent.each(CARRIERS)('a call over %s that nobody takes', LONG, (carrier) => {
  it.each([
    ['busy', { does: 'busy' }, { status: 'busy', reason: 'busy' }],
    ['not taken', { does: 'no_answer' }, { status: 'no_answer', reason: 'no_answer' }],
    ['to nobody', { does: 'unknown' }, { status: 'failed', reason: 'unreachable' }],
  ] as const)('ends as it is when it is %s, and costs nothing', async (_name, behaviour, ending) => {
    const telephone = await town.telephone(business, { carrier })
    const { call } = await place(telephone, { to: person(behaviour), timeout_seconds: 5 })
    expect(await over(call.id)).toMatchObject({ ...ending, answered_at: null, duration_seconds: null, cost: { total: { micros: '0' } } })
    const holds = await town.rows<{ state: string }>("SELECT h.state FROM calls c JOIN holds h ON h.id = ANY (c.hold_ids) WHERE c.id = $1", [call.id])
    expect(holds.map(({ state }) => state)).toEqual(['voided'])
  })

  it('is hung up while it rings, once and for all', async () => {
    const telephone = await town.telephone(business, { carrier })
    const { call, phone } = await place(telephone, { to: person({ does: 'no_answer' }) })
    expect((await post(`/v1/calls/${call.id}/hangup`)).status).toBe(200)
    await phone.waitFor('ended')
    expect(await over(call.id)).toMatchObject({ status: 'cancelled', reason: 'cancelled' })
    expect((await post(`/v1/calls/${call.id}/hangup`)).body).toMatchObject({ status: 'cancelled' })
  })

  it('is kept when the carrier refuses it, and the answer names its code', async () => {
    const telephone = await town.telephone(business, { carrier })
    const to = person()
    town.sandbox.faults.add({ target: ORDER[carrier], match: { to }, times: 1, action: carrier === 'twilio' ? { status: 400, errorCode: 21211 } : { status: 422, errorCode: '10016' } })
    const { status, body } = await post('/v1/calls', { from: telephone.address, to })
    expect([status, body.error]).toEqual([400, expect.objectContaining({ code: 'invalid_request', param: 'body.to', details: expect.objectContaining({ carrier, carrier_code: carrier === 'twilio' ? '21211' : '10016' }) })])
    expect(await read(body.error.details.call_id)).toMatchObject({ status: 'failed', reason: 'carrier_failed', reason_detail: body.error.details.carrier_code, cost: { total: { micros: '0' } } })
  })

  it('is not asked for twice when the carrier does not say whether it took it: its events tell', async () => {
    const telephone = await town.telephone(business, { carrier })
    const to = person({ does: 'busy', after_ms: 200 })
    town.sandbox.faults.add({ target: ORDER[carrier], match: { to }, times: 1, action: { acceptThenReset: true } })
    const key = crypto.randomUUID()
    const first = await business.call('POST', '/v1/calls', { from: telephone.address, to }, { idempotencyKey: key })
    expect([first.status, first.body.reason]).toEqual([202, null])
    expect((await business.call('POST', '/v1/calls', { from: telephone.address, to }, { idempotencyKey: key })).body).toEqual(first.body)
    expect(await over(first.body.id)).toMatchObject({ status: 'busy', reason: 'busy', carrier_call_id: expect.any(String) })
    expect(town.sandbox.journal.count({ target: ORDER[carrier], to, outcome: 'accepted' })).toBe(1)
    expect((await business.ok('GET', `/v1/calls?address=${encodeURIComponent(to)}`)).data).toHaveLength(1)
  })
})

describe('a call that cannot be placed', LONG, () => {
  let telephone: Telephone
  beforeAll(async () => {
    telephone = await town.telephone(business)
  })

  it.each([
    [{ to: '4722334455' }, 'body.to'],
    [{ to: 'sip:' }, 'body.to'],
    [{ from: '+1' }, 'body.from'],
    [{ timeout_seconds: 600 }, 'body.timeout_seconds'],
    [{ max_duration_seconds: 5 }, 'body.max_duration_seconds'],
    [{ greeting: '' }, 'body.greeting'],
    [{ send_digits: 'hello' }, 'body.send_digits'],
    [{ machine_detection: 'maybe' }, 'body.machine_detection'],
    [{ metadata: { a: { b: 1 } } }, 'body.metadata.a'],
    [{ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`key${index}`, 'x'])) }, 'body.metadata'],
    [{ voice: 'loud' }, 'body.voice'],
  ])('names what is wrong: %j', async (wrong, param) => {
    const { status, body } = await post('/v1/calls', { from: telephone.address, to: person(), ...wrong })
    expect([status, body.error.code, body.error.param]).toEqual([400, 'invalid_request', param])
  })

  it('says why: no such number, no telephone, itself, nobody who speaks, stopped', async () => {
    const wrong = async (wish: Json) => {
      const { status, body } = await post('/v1/calls', { from: telephone.address, to: person(), ...wish })
      return [status, body.error.code, body.error.param]
    }
    expect(await wrong({ from: '+15005559999' })).toEqual([404, 'not_found', 'body.from'])
    expect(await wrong({ from: (await business.number()).id })).toEqual([400, 'invalid_request', 'body.from'])
    expect(await wrong({ to: telephone.address })).toEqual([400, 'invalid_request', 'body.to'])
    const other = await town.telephone(business)
    await business.ok('DELETE', `/v1/agents/${other.agentId}`)
    expect(await wrong({ from: other.id })).toEqual([409, 'invalid_state', 'body.from'])
    await business.ok('POST', `/v1/phone-numbers/${telephone.id}/stop`)
    expect(await wrong({})).toEqual([409, 'invalid_state', 'body.from'])
    await business.ok('POST', `/v1/phone-numbers/${telephone.id}/resume`)
  })

  it('is kept with its reason when there are too many at a time, or no credit', async () => {
    const narrow = await town.telephone(business, { settings: { concurrency_limit: 1 } })
    const { call } = await place(narrow, { to: person({ does: 'no_answer' }) })
    const busy = await post('/v1/calls', { from: narrow.id, to: person() })
    expect([busy.status, busy.body.error.code, busy.body.error.details.reason]).toEqual([429, 'rate_limited', 'number_busy'])
    expect(await read(busy.body.error.details.call_id)).toMatchObject({ status: 'busy', reason: 'number_busy' })
    await business.ok('POST', `/v1/calls/${call.id}/hangup`)

    const poor = await town.business('Poor Bikes')
    const theirs = await town.telephone(poor)
    await town.db.system('test', (tx) => tx.query("UPDATE accounts SET balance_micros = CASE kind WHEN 'available' THEN 5 WHEN 'funding' THEN -5 ELSE 0 END WHERE tenant_id = $1", [poor.tenantId]))
    const unpaid = await poor.call('POST', '/v1/calls', { from: theirs.id, to: person() })
    expect([unpaid.status, unpaid.body.error.code]).toEqual([402, 'insufficient_credit'])
    expect(await poor.ok('GET', `/v1/calls/${unpaid.body.error.details.call_id}`)).toMatchObject({ status: 'failed', reason: 'insufficient_credit' })
  })
})

describe('a call that is over, or not that far', LONG, () => {
  it('takes no transfer and no keys', async () => {
    const telephone = await town.telephone(business)
    const { call } = await place(telephone, { to: person({ does: 'no_answer' }) })
    const wishes = [['transfer', { to: '+4799887766' }], ['dtmf', { digits: '1' }]] as const
    for (const [what, body] of wishes) expect((await post(`/v1/calls/${call.id}/${what}`, body)).body.error).toMatchObject({ code: 'invalid_state', message: 'The call is not answered yet.' })
    await business.ok('POST', `/v1/calls/${call.id}/hangup`)
    await untilOver(call.id)
    for (const [what, body] of wishes) expect((await post(`/v1/calls/${call.id}/${what}`, body)).body.error).toMatchObject({ code: 'invalid_state', message: 'The call is over.', details: { reason: 'cancelled' } })
    expect((await post(`/v1/calls/${call.id}/transfer`, { to: 'nobody' })).body.error).toMatchObject({ code: 'invalid_request', param: 'body.to' })
    expect((await post(`/v1/calls/${call.id}/dtmf`, { digits: '' })).body.error).toMatchObject({ code: 'invalid_request', param: 'body.digits' })
  })

  it('was not recorded: the answer says so', async () => {
    const telephone = await town.telephone(business)
    const { call } = await place(telephone, { to: person({ does: 'busy' }) })
    expect(await over(call.id)).toMatchObject({ recording: { state: 'none', url: null } })
    expect((await business.call('GET', `/v1/calls/${call.id}/recording`)).body.error).toMatchObject({ code: 'not_found', message: 'This call was not recorded.' })
    expect(await business.ok('GET', `/v1/calls/${call.id}/transcript`)).toEqual({ data: [], has_more: false, next_cursor: null })
  })
})

describe('the list of calls', LONG, () => {
  it('is paged, filtered, and of the own tenant and the own project alone', async () => {
    const mine = await town.business('Paging Bikes')
    const telephone = await town.telephone(mine)
    const made: Json[] = []
    for (let count = 0; count < 5; count++) made.push(await mine.ok('POST', '/v1/calls', { from: telephone.id, to: person({ does: 'busy' }) }))
    const ids = made.map(({ id }) => id).toReversed()
    await town.until('SELECT 1 FROM calls WHERE number_id = $1 AND ended_at IS NULL', [telephone.id], (rows) => rows.length === 0)
    const idsOf = async (query: string) => (await mine.ok('GET', `/v1/calls?${query}`)).data.map((call: Json) => call.id)

    const pages: string[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await mine.ok('GET', `/v1/calls?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
      pages.push(...page.data.map((call: Json) => call.id))
      cursor = page.next_cursor
    }
    expect(pages).toEqual(ids)
    const [newest] = await mine.ok('GET', `/v1/calls/${ids[0]}`).then((call: Json) => [call])
    for (const query of [`number_id=${telephone.id}`, `agent_id=${telephone.agentId}`, 'direction=outbound', 'status=busy', 'live=false', `address=${encodeURIComponent(telephone.address)}`, `since=${made[0].started_at}`, `project_id=${mine.projectId}`]) expect(await idsOf(query), query).toEqual(ids)
    for (const query of [`contact_id=${newest.contact_id}`, `conversation_id=${newest.conversation_id}`, `address=${encodeURIComponent(newest.to)}`]) expect(await idsOf(query), query).toEqual([ids[0]])
    for (const query of ['live=true', 'direction=inbound', 'status=completed', `until=${made[0].started_at}`]) expect(await idsOf(query), query).toEqual([])

    const { id: otherProject } = await mine.ok('POST', '/v1/admin/projects', { name: 'Other', environment: 'staging' })
    const other = await mine.call('POST', '/v1/admin/keys', { name: 'Other', scopes: ['calls:read', 'calls:write'], project_id: otherProject }, { as: mine.ownerToken })
    expect(other.body.key).toMatch(/^tl_stage_/)
    for (const as of [business.key, other.body.key]) {
      expect((await mine.call('GET', '/v1/calls', undefined, { as })).body.data.filter((call: Json) => ids.includes(call.id))).toEqual([])
      for (const path of ['', '/transcript', '/events', '/recording']) expect((await mine.call('GET', `/v1/calls/${ids[0]}${path}`, undefined, { as })).status, path).toBe(404)
      expect((await mine.call('POST', `/v1/calls/${ids[0]}/hangup`, {}, { as })).status).toBe(404)
      expect((await mine.call('POST', '/v1/calls', { from: telephone.address, to: person() }, { as })).status).toBe(404)
    }
  })
})

async function readsAsSubtitles(id: string): Promise<void> {
  const [text, srt, vtt] = await Promise.all(['text', 'srt', 'vtt'].map((format) => fetched(`/v1/calls/${id}/transcript?format=${format}`)))
  expect(text!.type).toBe('text/plain; charset=utf-8')
  expect(text!.body).toMatch(/^\[00:00:0\d\] Agent: Your bike is ready\.\n\[00:00:\d\d\] Customer: When do you open\?\n\[00:00:\d\d\] Agent: .*nine/)
  expect(srt!.body).toMatch(/^1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\nAgent: Your bike is ready\.\n\n2\n/)
  expect(vtt!.type).toBe('text/vtt; charset=utf-8')
  expect(vtt!.body).toMatch(/^WEBVTT\n\n00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}\n<v Agent>Your bike is ready\.\n\n/)
}

async function showsItsTurns(id: string): Promise<void> {
  const { data } = await business.ok('GET', `/v1/calls/${id}/events`)
  const { turn } = data.find((event: Json) => event.kind === 'turn')
  const stages = [turn.speech_end_ms, turn.endpoint_ms, turn.first_token_ms, turn.first_audio_ms, turn.first_sent_ms, turn.first_heard_ms]
  expect(stages.every((stage, index) => index === 0 || stage >= stages[index - 1])).toBe(true)
  expect(turn.waits.total_ms).toBe(turn.first_heard_ms - turn.speech_end_ms)
  expect(data.filter((event: Json) => event.kind === 'status').map((event: Json) => event.data.status ?? event.data.line)).toEqual(expect.arrayContaining(['initiated', 'in_progress', 'open', 'completed']))
  const first = await business.ok('GET', `/v1/calls/${id}/events?limit=2`)
  const second = await business.ok('GET', `/v1/calls/${id}/events?limit=100&cursor=${first.next_cursor}`)
  expect([...first.data, ...second.data]).toEqual(data)
}

async function hasARecording(id: string): Promise<void> {
  await town.until("SELECT 1 FROM calls WHERE id = $1 AND recording_state = 'stored'", [id], (rows) => rows.length === 1)
  const { recording } = await read(id)
  const whole = await fetched(`/v1/calls/${id}/recording`)
  expect(recording).toMatchObject({ state: 'stored', url: `${town.apiUrl}/v1/calls/${id}/recording`, size_bytes: whole.bytes.length })
  expect([whole.status, whole.type, whole.headers.get('content-disposition')]).toEqual([200, 'audio/wav', `attachment; filename=call-${id}.wav`])
  expect(whole.bytes.subarray(0, 4).toString()).toBe('RIFF')
  const part = await fetched(`/v1/calls/${id}/recording`, { range: 'bytes=44-1043' })
  expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 44-1043/${whole.bytes.length}`])
  expect(part.bytes.equals(whole.bytes.subarray(44, 1_044))).toBe(true)
}

async function fetched(path: string, headers: Record<string, string> = {}): Promise<{ status: number; type: string | null; headers: Headers; bytes: Buffer; body: string }> {
  const response = await fetch(`${town.apiUrl}${path}`, { headers: { authorization: `Bearer ${business.key}`, ...headers }, signal: AbortSignal.timeout(20_000) })
  const bytes = Buffer.from(await response.arrayBuffer())
  return { status: response.status, type: response.headers.get('content-type'), headers: response.headers, bytes, body: bytes.toString('utf8') }
}
