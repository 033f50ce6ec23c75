import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Business, Json } from './business.ts'
import { newCustomer, post, whatsappBody } from './post.ts'
import { openTown, type Town } from './town.ts'

let town: Town
let business: Business
beforeAll(async () => {
  town = await openTown({ settings: { LEAD_QUIET_MS: '1200', LEAD_LATEST_MS: '4000' } })
  business = await town.business()
})
afterAll(() => town?.close())

type Row = Record<string, Json>
const extractions = (number: { id: string }, count: number) =>
  town.until<Row>('SELECT x.last_seq::int FROM lead_extractions x JOIN conversations c ON c.id = x.conversation_id WHERE c.number_id = $1 ORDER BY x.last_seq', [number.id], (rows) => rows.length >= count)

it('a lead is found after the quiet time, once for each state, and again after new messages', async () => {
  const number = await business.number()
  const customer = newCustomer()
  const say = (text: string) => post(number, whatsappBody(number, customer, [text]))
  await say('Hello, I am Ada Lovelace. I would like to buy an e-bike, my address is ada@example.com')
  expect((await extractions(number, 1)).map((row) => row['last_seq'])).toEqual([2])
  const [lead] = (await business.ok('GET', '/v1/leads')).data
  expect(lead).toMatchObject({ name: 'Ada Lovelace', email: 'ada@example.com' })
  expect(lead.evidence_message_ids.length).toBeGreaterThan(0)

  // The next extraction of another conversation proves that the schedule has gone round since.
  await post(number, whatsappBody(number, newCustomer(), ['Hello, I am Charles Babbage, charles@example.com']))
  await extractions(number, 2)
  expect(await town.rows('SELECT last_seq::int FROM lead_extractions WHERE conversation_id = $1', [lead.conversation_id])).toEqual([{ last_seq: 2 }])

  await say('You can call me on +49 30 1234567')
  await town.until('SELECT last_seq::int FROM lead_extractions WHERE conversation_id = $1', [lead.conversation_id], (rows) => rows.length === 2)
  const again = await business.ok('GET', `/v1/leads/${lead.id}`)
  expect(again).toMatchObject({ name: 'Ada Lovelace', email: 'ada@example.com' })
  expect(String(again.phone).replace(/\D/g, '')).toContain('1234567')
})

it('a customer who never pauses is looked at all the same, at the latest time', async () => {
  const number = await business.number()
  const customer = newCustomer()
  const started = Date.now()
  const found = { yet: false }
  const first = extractions(number, 1).then(() => (found.yet = true))
  // Each message is sent when the one before has been answered; the quiet time of 1.2 s never passes.
  for (let count = 1; !found.yet && Date.now() - started < 12_000; count++) {
    await post(number, whatsappBody(number, customer, [count === 1 ? 'Hello, I am Grace Hopper' : `And another thing, number ${count}`]))
    await town.until("SELECT 1 FROM messages m WHERE m.number_id = $1 AND m.direction = 'outbound' AND m.status = 'read'", [number.id], (rows) => rows.length >= count)
  }
  await first
  expect(found.yet).toBe(true)
})

it('an extraction that fails is tried again after the quiet time and charged once', async () => {
  const mine = await town.business('Patience')
  const number = await mine.number()
  const fault = town.sandbox.faults.add({ target: 'openai.responses', match: { contains: 'Konrad Zuse' }, action: { status: 500 } })
  void fault
  await post(number, whatsappBody(number, newCustomer(), ['I am Konrad Zuse, konrad@example.com, and I want a computer']))
  await extractions(number, 1)
  const settled = await town.rows("SELECT memo FROM transfers WHERE tenant_id = $1 AND kind = 'settle' AND memo = 'lead'", [mine.tenantId])
  expect(settled).toHaveLength(1)
  town.sandbox.faults.clear()
})
