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
const retired = (number: OurNumber, count: number, timeoutMs?: number) =>
  town.until<Row>('SELECT * FROM turns WHERE number_id = $1 ORDER BY first_seq', [number.id], (rows) => rows.length === count && rows.every((row) => row['state'] === 'retired'), timeoutMs)
const sentTo = (number: OurNumber) => town.sandbox.journal.sends({ number: number.address }).map((entry) => entry.to)
const attemptsTo = (customer: string) => town.sandbox.journal.query({ target: 'whatsapp.send', to: customer })
/** One customer after the other, each with a message of their own. */
async function say(number: OurNumber, ...messages: [customer: string, text: string][]): Promise<void> {
  for (const [customer, text] of messages) expect((await post(number, whatsappBody(number, customer, [text]))).status).toBe(200)
}

describe('strict order of a number', () => {
  it('B fails twice while C waits: still A, B, C', async () => {
    const number = await business.number()
    const [a, b, c] = [newCustomer(), newCustomer(), newCustomer()]
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { to: b }, times: 2, action: { status: 500, errorCode: 131000, retryAfter: 0 } })
    await say(number, [a, 'first'], [b, 'second'], [c, 'third'])
    await retired(number, 3)
    expect(sentTo(number)).toEqual([a, b, c])
    expect(attemptsTo(b).map((entry) => entry.outcome)).toEqual(['fault', 'fault', 'accepted'])
    expect(new Set(attemptsTo(b).map((entry) => entry.callbackData)).size).toBe(1)
  })

  it('a slow model does not change the order: answers wait for those before them', async () => {
    const number = await business.number()
    const customers = Array.from({ length: 6 }, () => newCustomer())
    town.sandbox.faults.add({ target: 'openai.responses', match: { contains: 'slowly please' }, action: { delayMs: 800 } })
    await say(number, ...customers.map((customer, index): [string, string] => [customer, index % 3 === 0 ? 'slowly please' : 'quickly']))
    await retired(number, 6)
    expect(sentTo(number)).toEqual(customers)
  })

  it('poison is parked with its reason, and what waits behind it proceeds', async () => {
    const number = await business.number()
    const [poison, next] = [newCustomer(), newCustomer()]
    // A fault that no try mends: this customer's answers cannot be marked as leaving.
    await town.rows(`CREATE OR REPLACE FUNCTION test_poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.state = 'sending' AND EXISTS (SELECT 1 FROM conversations c JOIN contact_identities i ON i.contact_id = c.contact_id WHERE c.id = NEW.conversation_id AND i.value = '+${poison}') THEN RAISE EXCEPTION 'poison'; END IF;
      RETURN NEW; END $$`)
    await town.rows('CREATE OR REPLACE TRIGGER test_poison BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION test_poison()')
    await say(number, [poison, 'I am poison'], [next, 'and I am not'])
    const turns = await retired(number, 2)
    await town.rows('DROP TRIGGER test_poison ON outbox')
    expect(turns).toMatchObject([{ outcome: 'parked', reason: 'poison' }, { outcome: 'sent', reason: null }])
    expect(sentTo(number)).toEqual([next])
    const listed = await business.ok('GET', `/v1/messages?number_id=${number.id}&status=parked`)
    expect(listed.data.map((message: Row) => [message['direction'], message['reason']]).sort()).toEqual([['inbound', 'poison'], ['outbound', 'poison']])
    expect(await town.rows('SELECT state FROM holds WHERE turn_id = $1', [turns[0]!['id']])).toEqual([{ state: 'voided' }])
  })

  it('a message that cannot even be read is passed, told to the tenant, and never lost', async () => {
    const number = await business.number()
    const [broken, next] = [newCustomer(), newCustomer()]
    await town.rows(`CREATE OR REPLACE FUNCTION test_garble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.number_id = '${number.id}' AND NEW.seq = 1 THEN NEW.payload_sealed = '\\x00'; END IF; RETURN NEW; END $$`)
    await town.rows('CREATE OR REPLACE TRIGGER test_garble BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION test_garble()')
    await say(number, [broken, 'unreadable'], [next, 'readable'])
    await town.sandbox.waitFor((entry) => entry.target === 'whatsapp.send' && entry.to === next, 20_000)
    await town.rows('DROP TRIGGER test_garble ON inbox')
    expect(sentTo(number)).toEqual([next])
    expect(await town.rows('SELECT count(*)::int FROM inbox WHERE number_id = $1', [number.id])).toEqual([{ count: 2 }])
    const notices = await business.ok('GET', `/v1/phone-numbers/${number.id}/notices`)
    expect(notices.data).toMatchObject([{ topic: 'messages_not_stored', severity: 'critical', data: { seqs: [1], reason: 'poison' } }])
  })

  it('a head that does not get ready within its deadline is parked and passed', async () => {
    const number = await business.number({ number: { head_deadline_ms: 1_000 } })
    const [stuck, next] = [newCustomer(), newCustomer()]
    town.sandbox.faults.add({ target: 'openai.responses', match: { contains: 'never answer this' }, action: { hang: true } })
    await say(number, [stuck, 'never answer this'], [next, 'but this'])
    const turns = await retired(number, 2)
    expect(turns).toMatchObject([{ outcome: 'parked', reason: 'head_deadline' }, { outcome: 'sent' }])
    expect(sentTo(number)).toEqual([next])
  })

  it('a storm of pair limits (131056): pauses grow, order is kept, attempts are few, the line goes on', { timeout: 40_000 }, async () => {
    const number = await business.number({ number: { head_deadline_ms: 6_000 } })
    const [limited, others] = [newCustomer(), [newCustomer(), newCustomer()] as const]
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { to: limited }, action: { errorCode: 131056 } })
    await say(number, [limited, 'hello'], [others[0], 'hello'], [others[1], 'hello'])
    const turns = await retired(number, 3, 30_000)
    expect(turns[0]).toMatchObject({ outcome: 'parked', reason: 'head_deadline' })
    expect(sentTo(number)).toEqual(others)
    // At once, and four seconds later; the next would have been sixteen seconds after that.
    expect(attemptsTo(limited)).toHaveLength(2)
  })
})

describe('order of each conversation', () => {
  it('one customer does not wait for another; their own messages keep their order', async () => {
    const number = await business.number({ number: { order_mode: 'conversation' } })
    const [slow, quick] = [newCustomer(), newCustomer()]
    town.sandbox.faults.add({ target: 'openai.responses', match: { contains: 'take your time' }, times: 1, action: { delayMs: 2_000 } })
    await say(number, [slow, 'take your time'])
    await town.until("SELECT 1 FROM turns WHERE number_id = $1 AND state = 'open'", [number.id], (rows) => rows.length === 1)
    await say(number, [slow, 'second of the slow one'], [quick, 'quick one'])
    await retired(number, 3)
    expect(sentTo(number)).toEqual([quick, slow, slow])
    const own = await town.rows<Row>(
      `SELECT t.first_seq::int AS seq FROM outbox o JOIN turns t ON t.id = o.turn_id JOIN contact_identities i ON i.value = $2 JOIN conversations c ON c.id = o.conversation_id AND c.contact_id = i.contact_id
       WHERE o.number_id = $1 ORDER BY o.sending_at`,
      [number.id, `+${slow}`],
    )
    expect(own.map((row) => row['seq'])).toEqual([1, 2])
  })
})

describe('a full queue', () => {
  it('answers 503 system_busy with Retry-After, and nothing is lost once the supplier tries again', { timeout: 60_000 }, async () => {
    const small = await openTown({ settings: { QUEUE_CAPACITY: '5' }, sandbox: { pace: { firstTokenMs: 300 }, retry: { firstMs: 200, maxMs: 1_000, attempts: 60 } } })
    try {
      const shop = await small.business()
      const number = await shop.number()
      const customers = Array.from({ length: 20 }, () => newCustomer())
      const first = await Promise.all(customers.map((customer) => small.sandbox.whatsapp.customerWrites(customer, { phone_number_id: number.address, text: 'Hello' })))
      expect(first.filter((sent) => sent.delivery.status === 503).length).toBeGreaterThan(0)
      const busy = await post(number, whatsappBody(number, newCustomer(), Array.from({ length: 6 }, () => 'more than there is room for')))
      expect(busy).toMatchObject({ status: 503, body: { error: { type: 'system_busy_error', code: 'system_busy' } } })
      expect(Number(busy.retryAfter)).toBeGreaterThanOrEqual(1)
      await small.sandbox.waitForCount((entry) => entry.target === 'whatsapp.send' && entry.outcome === 'accepted', 20, 40_000)
      expect(new Set(small.sandbox.journal.sends({ number: number.address }).map((entry) => entry.to))).toEqual(new Set(customers))
      expect(small.sandbox.journal.sends({ number: number.address })).toHaveLength(20)
    } finally {
      await small.close()
    }
  })
})
