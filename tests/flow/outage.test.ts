import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Business, Json, OurNumber } from './business.ts'
import { newCustomer, post, whatsappBody } from './post.ts'
import { openTown, type Town } from './town.ts'

let town: Town
let business: Business
beforeAll(async () => {
  town = await openTown()
  business = await town.business()
})
afterAll(() => town?.close())

type Row = Record<string, Json>
const retired = (number: OurNumber, count: number) =>
  town.until<Row>('SELECT * FROM turns WHERE number_id = $1 ORDER BY first_seq', [number.id], (rows) => rows.length === count && rows.every((row) => row['state'] === 'retired'))
const say = (number: OurNumber, text: string, customer = newCustomer()) => post(number, whatsappBody(number, customer, [text]))

describe('a vendor that is down', () => {
  it('OpenAI fails: Anthropic answers, and the turn says who was skipped', async () => {
    const number = await business.number({ prompt: { fallback: { vendor: 'anthropic', model: 'claude-haiku-4-5' } } })
    const fault = town.sandbox.faults.add({ target: 'openai.*', action: { status: 503 } })
    await say(number, 'When do you open?')
    const [turn] = await retired(number, 1)
    town.sandbox.faults.remove(fault.id)
    expect(turn).toMatchObject({ outcome: 'sent', vendor: 'anthropic', details: { skipped_vendors: [{ vendor: 'openai' }] } })
    expect(Number(turn!['cost_micros'])).toBeGreaterThan(0)
  })

  it('OpenAI never says a word: the next one has answered within five seconds', async () => {
    const number = await business.number({ prompt: { fallback: { vendor: 'anthropic', model: 'claude-haiku-4-5' } } })
    const fault = town.sandbox.faults.add({ target: 'openai.*', action: { hang: true } })
    await say(number, 'When do you open?')
    const [turn] = await retired(number, 1)
    town.sandbox.faults.remove(fault.id)
    expect(turn).toMatchObject({ outcome: 'sent', vendor: 'anthropic' })
  })

  it('all models are down: the rules answer', async () => {
    const number = await business.number({ prompt: { fallback: { vendor: 'anthropic', model: 'claude-haiku-4-5' }, rules: { greeting: 'Welcome! Our computer is ill, but we are not.' } } })
    const faults = ['openai.*', 'anthropic.*'].map((target) => town.sandbox.faults.add({ target, action: { status: 500 } }))
    await say(number, 'Hello')
    const [turn] = await retired(number, 1)
    for (const fault of faults) town.sandbox.faults.remove(fault.id)
    expect(turn).toMatchObject({ outcome: 'sent', vendor: 'rules' })
    expect(town.sandbox.journal.sends({ number: number.address })[0]!.text).toContain('Our computer is ill')
  })
})

describe('a suspended tenant', () => {
  it('is refused at once, at the API and at the door of its webhooks, and goes on afterwards', async () => {
    const mine = await town.business('Suspended Ltd')
    const number = await mine.number()
    await town.rows('UPDATE users SET platform_admin = true WHERE id = (SELECT user_id FROM memberships WHERE tenant_id = $1)', [business.tenantId])
    const operate = (verb: string) => business.call('POST', `/v1/admin/tenants/${mine.tenantId}/${verb}`, undefined, { as: business.ownerToken, idempotencyKey: `${verb}-${mine.tenantId}` })
    expect((await operate('suspend')).status).toBe(200)
    expect(await mine.call('GET', '/v1/phone-numbers')).toMatchObject({ status: 403, body: { error: { code: 'tenant_suspended' } } })
    expect(await say(number, 'Hello')).toMatchObject({ status: 403, body: { error: { code: 'tenant_suspended' } } })
    expect(await town.rows('SELECT 1 FROM inbox WHERE number_id = $1', [number.id])).toEqual([])
    expect((await operate('resume')).status).toBe(200)
    expect((await say(number, 'Hello')).status).toBe(200)
    expect((await retired(number, 1))[0]).toMatchObject({ outcome: 'sent' })
  })
})
