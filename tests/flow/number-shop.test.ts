import { randomUUID } from 'node:crypto'
import { TELNYX_CONNECTION_ID, TELNYX_PUBLIC_KEY, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN } from '@trunkline/app-sandbox'
import type { CarrierId } from '@trunkline/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Business, Json } from './business.ts'
import { hears, openPhoneTown, type PhoneTown } from './phone-town.ts'

// Numbers from the carrier's shelf to the first ring.

let town: PhoneTown
let business: Business

beforeAll(async () => {
  town = await openPhoneTown()
  business = await town.business()
})
afterAll(() => town?.close())

const LONG = { timeout: 60_000 }
const CREDENTIALS: Record<CarrierId, Json> = { twilio: { account_sid: TWILIO_ACCOUNT_SID, auth_token: TWILIO_AUTH_TOKEN }, telnyx: { api_key: 'KEYsandbox', public_key: TELNYX_PUBLIC_KEY } }
const SETTINGS: Record<CarrierId, Json> = { twilio: {}, telnyx: { connection_id: TELNYX_CONNECTION_ID } }
const account = (carrier: CarrierId) => ({ carrier, credentials: CREDENTIALS[carrier], settings: { carrier_settings: SETTINGS[carrier] } })

let taken = 0
/** For sale in the sandbox, and asked for by no other test. */
const forSale = (): string => `+151255501${String(taken++).padStart(2, '0')}`
const buy = (body: Json, key = randomUUID()) => business.call('POST', '/v1/phone-numbers/purchase', { name: 'Bought', ...body }, { idempotencyKey: key })
const purchases = (carrier: CarrierId) => town.sandbox.journal.count({ target: `${carrier}.numbers.buy`, outcome: 'accepted' })
const numbersNow = async (address: string) => (await business.ok('GET', '/v1/phone-numbers?type=voice&limit=100')).data.filter((number: Json) => number.address === address)

async function givesAnAgent(numberId: string, greeting: string): Promise<void> {
  const { settings } = await business.ok('GET', `/v1/phone-numbers/${numberId}`)
  await business.ok('PATCH', `/v1/phone-numbers/${numberId}`, { settings: { ...settings, greeting } })
  const { id } = await business.ok('POST', '/v1/prompts', { name: 'Receptionist', content: { instructions: 'You are kind.', vendor: 'openai', model: 'gpt-5-mini' } })
  await business.ok('POST', '/v1/agents', { name: 'Receptionist', number_id: numberId, prompt_id: id })
}

async function rings(carrier: CarrierId, number: string, greeting: RegExp): Promise<void> {
  const phone = town.sandbox.carriers[carrier].ring({ from: '+4799000001', to: number, says: [] })
  await hears(phone, greeting)
  phone.hangUp()
}

describe.each(['twilio', 'telnyx'] as const)('a number of %s', LONG, (carrier) => {
  it('is searched with the account of a number, or with credentials of its own', async () => {
    const { id } = await town.telephone(business, { carrier })
    const { data } = await business.ok('GET', `/v1/phone-numbers/available?via_number_id=${id}&carrier=${carrier}&country=US&area_code=415&limit=3`)
    expect(data.map(({ number }: Json) => number)).toEqual(['+14155550100', '+14155550101', '+14155550102'])
    expect(data[0]).toMatchObject({ region: 'CA', features: expect.arrayContaining(['voice']) })
    const given = await business.ok('POST', '/v1/phone-numbers/available', { carrier, credentials: CREDENTIALS[carrier], carrier_settings: SETTINGS[carrier], country: 'US', contains: '5550142', limit: 2 })
    expect(given.data).toHaveLength(2)
    for (const { number } of given.data) expect(number).toContain('5550142')
  })

  it('is bought, once under one key, and rings', async () => {
    const [number, key, before] = [forSale(), randomUUID(), purchases(carrier)]
    const first = await buy({ ...account(carrier), number }, key)
    expect([first.status, first.body]).toEqual([201, expect.objectContaining({ type: 'voice', address: number, status: 'active', stop_reason: null })])
    expect(first.body.credentials_set.length).toBeGreaterThan(0)
    expect((await buy({ ...account(carrier), number }, key)).body).toEqual(first.body)
    expect((await buy({ ...account(carrier), number })).body.error).toMatchObject({ code: 'conflict', param: 'body.number' })
    expect(purchases(carrier) - before).toBe(1)
    await givesAnAgent(first.body.id, 'Welcome to the new number.')
    await rings(carrier, number, /new number/)
  })

  it('is bought with the account of another number', async () => {
    const { id } = await town.telephone(business, { carrier })
    const made = await buy({ via_number_id: id, number: forSale(), settings: { greeting: 'Hello.' } })
    expect([made.status, made.body.settings]).toEqual([201, expect.objectContaining({ carrier, greeting: 'Hello.', carrier_settings: expect.objectContaining(SETTINGS[carrier]) })])
  })

  it('that somebody else has bought is refused, and nothing is left behind', async () => {
    const number = forSale()
    town.sandbox.faults.add({ target: `${carrier}.numbers.buy`, times: 1, action: carrier === 'twilio' ? { status: 400, errorCode: 21422 } : { status: 422, errorCode: '10027' } })
    const { status, body } = await buy({ ...account(carrier), number })
    expect([status, body.error]).toEqual([409, expect.objectContaining({ code: 'conflict', param: 'body.number', details: expect.objectContaining({ carrier_code: carrier === 'twilio' ? '21422' : '10027' }) })])
    expect(await numbersNow(number)).toEqual([])
  })

  it('whose purchase got lost on the way is kept, found again, and not bought twice', async () => {
    const [number, key] = [forSale(), randomUUID()]
    // The answer is lost, and so is that of the question whether it was bought.
    town.sandbox.faults.add({ target: `${carrier}.numbers.buy`, times: 1, action: { acceptThenReset: true } })
    town.sandbox.faults.add({ target: `${carrier}.numbers.list`, times: 1, action: { reset: true } })
    const lost = await buy({ ...account(carrier), number }, key)
    expect([lost.status, lost.body.error.code]).toEqual([504, 'upstream_timeout'])
    expect(await numbersNow(number)).toEqual([expect.objectContaining({ id: lost.body.error.details.number_id, status: 'stopped', stop_reason: 'being bought' })])
    const before = purchases(carrier)
    const again = await buy({ ...account(carrier), number }, key)
    expect([again.status, again.body.id, again.body.status]).toEqual([201, lost.body.error.details.number_id, 'active'])
    expect(purchases(carrier)).toBe(before)
    await givesAnAgent(again.body.id, 'Found again.')
    await rings(carrier, number, /found again/i)
  })

  it('that is connected is pointed at us, when that is asked for', async () => {
    const number = forSale()
    town.sandbox.carriers[carrier].register({ number })
    const wish = { type: 'voice', name: 'Ours', address: number, credentials: CREDENTIALS[carrier], settings: { carrier, carrier_settings: SETTINGS[carrier] }, assign: true }
    const unknown = await business.call('POST', '/v1/phone-numbers', { ...wish, address: '+15125559999' })
    expect(unknown.body.error).toMatchObject({ code: 'invalid_request', param: 'body.address' })
    town.sandbox.faults.add({ target: `${carrier}.numbers.update`, times: 1, action: { status: 503 } })
    expect((await business.call('POST', '/v1/phone-numbers', wish)).body.error.code).toBe('upstream_failed')
    expect(await numbersNow(number), 'half connected').toEqual([])
    const made = await business.ok('POST', '/v1/phone-numbers', wish)
    await givesAnAgent(made.id, 'Pointed here.')
    await rings(carrier, number, /pointed here/i)
  })
})

describe('numbers of one application of Telnyx', LONG, () => {
  it('are each answered by their own agent, though all ring at the address of the one that was connected last', async () => {
    const one = await town.telephone(business, { carrier: 'telnyx', settings: { greeting: 'This is the workshop.' } })
    const two = await town.telephone(business, { carrier: 'telnyx', settings: { greeting: 'This is the shop.' } })
    await rings('telnyx', one.address, /workshop/)
    await rings('telnyx', two.address, /the shop/)
    const { data } = await business.ok('GET', `/v1/calls?number_id=${one.id}`)
    expect(data).toEqual([expect.objectContaining({ to: one.address, agent_id: one.agentId })])
    await town.until('SELECT 1 FROM calls WHERE number_id = $1 AND ended_at IS NULL', [one.id], (rows) => rows.length === 0)
    expect(await business.ok('GET', `/v1/calls/${data[0].id}`)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
  })
})

describe('a purchase that is not well formed', LONG, () => {
  it.each([
    [{ number: '5125550199' }, 'body.number'],
    [{ credentials: undefined }, 'body.credentials'],
    [{ carrier: undefined }, 'body.carrier'],
    [{ credentials: { auth_token: 'x' } }, 'body.credentials.account_sid'],
    [{ settings: { colour: 'red' } }, 'body.settings.colour'],
    [{ settings: { carrier: 'telnyx' } }, 'body.settings.carrier'],
    [{ settings: { carrier_settings: { planet: 'mars' } } }, 'body.settings.carrier_settings.planet'],
    [{ via_number_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b' }, 'body.credentials'],
  ])('names the field: %j', async (wrong, param) => {
    const { status, body } = await buy({ number: '+15125550199', ...account('twilio'), settings: {}, ...wrong })
    expect([status, body.error.param]).toEqual([400, param])
    expect(JSON.stringify(body)).not.toContain(TWILIO_AUTH_TOKEN)
  })

  it('needs an Idempotency-Key', async () => {
    const { status, body } = await business.call('POST', '/v1/phone-numbers/purchase', { name: 'x', number: '+15125550199', ...account('twilio') })
    expect([status, body.error.param]).toEqual([400, 'headers.idempotency-key'])
  })

  it('names a number of another type, or of nobody', async () => {
    const { id } = await business.number()
    expect((await buy({ number: '+15125550199', via_number_id: id })).body.error).toMatchObject({ code: 'invalid_request', param: 'body.via_number_id' })
    const missing = '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b'
    expect((await buy({ number: '+15125550199', via_number_id: missing })).body.error).toMatchObject({ code: 'not_found', param: 'body.via_number_id' })
    expect((await business.call('GET', `/v1/phone-numbers/available?via_number_id=${missing}&country=US`)).body.error).toMatchObject({ code: 'not_found', param: 'query.via_number_id' })
    const phone = await town.telephone(business)
    expect((await business.call('GET', `/v1/phone-numbers/available?via_number_id=${phone.id}&country=usa`)).body.error).toMatchObject({ code: 'invalid_request', param: 'query.country' })
    expect((await business.call('GET', `/v1/phone-numbers/available?via_number_id=${phone.id}&country=US&carrier=telnyx`)).body.error).toMatchObject({ code: 'invalid_request', param: 'query.carrier' })
  })
})
