import { ledger } from '@trunkline/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Business } from './business.ts'
import { openTown, type Town } from './town.ts'

let town: Town
beforeAll(async () => {
  town = await openTown()
})
afterAll(() => town?.close())

const INBOUND = "SELECT status, reason FROM messages WHERE number_id = $1 AND direction = 'inbound'"
const CUSTOMER = '4915550001111'

/** Takes all credit away, as an operator's correction. */
async function empty(business: Business): Promise<void> {
  await town.db.system('ledger', async (tx) => {
    const { availableMicros } = await ledger.balance(tx, business.tenantId)
    await ledger.adjust(tx, { tenantId: business.tenantId, amountMicros: -availableMicros, idempotencyKey: 'emptied', memo: 'test', actor: { kind: 'system', id: 'test' } })
  })
}

describe('credit', () => {
  it('that is missing rejects the message with a visible reason; after a top-up it is answered by hand, once', async () => {
    const business = await town.business()
    const number = await business.number()
    await empty(business)
    await town.sandbox.whatsapp.customerWrites(CUSTOMER, { phone_number_id: number.address, text: 'Are you open?' })
    await town.until(INBOUND, [number.id], (rows) => rows[0]?.['status'] === 'rejected')
    expect(town.sandbox.journal.sends({ number: number.address })).toHaveLength(0)
    const { data } = await business.ok('GET', `/v1/messages?number_id=${number.id}`)
    expect(data[0]).toMatchObject({ status: 'rejected', reason: 'insufficient_credit' })

    const topUp = await business.call('POST', '/v1/credits/topups', { amount_micros: '5000000' }, { idempotencyKey: 'first' })
    expect(topUp.status).toBe(201)
    const answers = await Promise.all(['a', 'b'].map((key) => business.call('POST', `/v1/messages/${data[0].id}/retry`, {}, { idempotencyKey: key })))
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([202, 409])
    await town.until(INBOUND, [number.id], (rows) => rows[0]?.['status'] === 'answered')
    expect(town.sandbox.journal.sends({ number: number.address })).toHaveLength(1)
    expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx, business.tenantId))).differences).toEqual([])
  })

  it('pays for what a person writes, when the supplier accepts it and not before', async () => {
    const business = await town.business()
    const number = await business.number()
    await town.sandbox.whatsapp.customerWrites(CUSTOMER, { phone_number_id: number.address, text: 'Hello' })
    await town.until(INBOUND, [number.id], (rows) => rows[0]?.['status'] === 'answered')
    const [conversation] = (await business.ok('GET', '/v1/conversations')).data
    const say = (text: string, key: string) => business.call('POST', `/v1/conversations/${conversation.id}/messages`, { content: { kind: 'text', text } }, { idempotencyKey: key })

    town.sandbox.faults.add({ target: 'whatsapp.send', match: { phone_number_id: number.address }, times: 1, action: { errorCode: 131026 } })
    const [refused, sent] = [await say('This one is refused', 'refused'), await say('This one arrives', 'sent')]
    const state = async (id: string) => (await town.until<{ status: string }>('SELECT status FROM messages WHERE id = $1', [id], (rows) => !['queued', 'sending'].includes(rows[0]!.status)))[0]!.status
    expect(await state(refused.body.id)).toBe('failed')
    expect(['sent', 'delivered', 'read']).toContain(await state(sent.body.id))
    const holds = await town.until('SELECT h.state FROM holds h JOIN outbox o ON o.id = h.id WHERE o.number_id = $1 ORDER BY o.message_id', [number.id], (rows) => rows.every((row) => row['state'] !== 'held'))
    expect(holds.map((hold) => hold['state'])).toEqual(['voided', 'settled'])
    expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx, business.tenantId))).differences).toEqual([])
  })
})

describe('a file that the supplier refuses', () => {
  it('goes as its link in plain text', async () => {
    const business = await town.business()
    const number = await business.number()
    await town.sandbox.whatsapp.customerWrites(CUSTOMER, { phone_number_id: number.address, text: 'Hello' })
    await town.until(INBOUND, [number.id], (rows) => rows[0]?.['status'] === 'answered')
    const [conversation] = (await business.ok('GET', '/v1/conversations')).data
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { phone_number_id: number.address }, times: 1, action: { errorCode: 131053 } })
    await business.call('POST', `/v1/conversations/${conversation.id}/messages`, { content: { kind: 'image', media: { url: 'https://shop.example.com/bike.jpg' }, caption: 'Your bike' } }, { idempotencyKey: 'image' })
    const text = await town.sandbox.waitFor((entry) => entry.target === 'whatsapp.send' && entry.number === number.address && entry.outcome === 'accepted' && (entry.text ?? '').includes('bike.jpg'))
    expect(text).toMatchObject({ kind: 'text' })
    expect(text.text).toContain('Your bike')
  })
})
