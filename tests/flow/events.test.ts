import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { Client, type Heard } from '../../apps/api/src/events/testing.ts'
import { EventView } from '../../apps/api/src/events/view.ts'
import type { Business, Json, OurNumber } from './business.ts'
import { newCustomer, post, whatsappBody, whatsappValue } from './post.ts'
import { openTown, type Town } from './town.ts'

let town: Town
let business: Business
beforeAll(async () => {
  town = await openTown({ settings: { LEAD_QUIET_MS: '600', LEAD_LATEST_MS: '3000' } })
  business = await town.business()
})
afterAll(() => town?.close())

const say = (number: OurNumber, customer: string, text: string) => post(number, whatsappBody(number, customer, [text]))
const statuses = (id: string, ...names: string[]) => names.map((status) => ({ id, status, timestamp: String(Math.floor(Date.now() / 1_000)), recipient_id: '4915' }))

async function listen(as: string, query = ''): Promise<Client> {
  const client = new Client(new WebSocket(`${town.apiUrl.replace('http', 'ws')}/v1/events${query}`, { headers: { authorization: `Bearer ${as}` } }))
  await client.frame('ready')
  return client
}
const messageOf = (event: Heard): Json => event.data.message
/** The news of one number, as words. */
const about = (client: Client, number: OurNumber) => client.events.filter((event) => [messageOf(event)?.number_id, event.data.lead?.['number_id'], event.data.conversation?.['number_id']].includes(number.id))
const types = (client: Client, number: OurNumber) => about(client, number).map(({ type }) => type)
const until = (client: Client, number: OurNumber, type: string, count = 1) => client.until(() => types(client, number).filter((each) => each === type).length >= count)

describe('a signed webhook comes in, and the socket hears', () => {
  let listener: Client
  let number: OurNumber
  beforeEach(async () => {
    number = await business.number({ sandbox: { statuses: { sequence: ['sent', 'delivered', 'read'] } } })
    listener = await listen(business.key)
    return () => listener.end()
  })

  it('the message, our answer, its delivery, its reading, and the lead, as REST shows them', async () => {
    const stranger = await town.business('Somebody else')
    const elsewhere = await listen(stranger.key)
    const webhook = whatsappBody(number, newCustomer(), ['Hello, I am Ada Lovelace. I would like to buy an e-bike, my address is ada@example.com'])
    await post(number, webhook)
    await until(listener, number, 'lead.created')
    await until(listener, number, 'message.read')
    // Told twice by the supplier, heard once: what comes later has been heard, and no second one before it.
    await post(number, webhook)
    const later = await business.number()
    await say(later, newCustomer(), 'Are you open on Sunday?')
    await until(listener, later, 'message.received')
    expect(types(listener, number).filter((type) => type !== 'lead.created')).toEqual(['message.received', 'message.sent', 'message.delivered', 'message.read'])
    for (const event of listener.events) expect(EventView.safeParse(event).error).toBeUndefined()

    const [received, sent] = about(listener, number).map(messageOf)
    expect(received).toMatchObject({ direction: 'inbound', author: 'customer', status: 'received', content: { kind: 'text', text: expect.stringContaining('Ada Lovelace') as string } })
    expect(sent).toMatchObject({ direction: 'outbound', author: 'agent', status: 'sent', conversation_id: received.conversation_id })
    const { attempts: _, receipts: __, reactions: ___, revisions: ____, details: _____, ...rest } = await business.ok('GET', `/v1/messages/${sent.id}`)
    expect({ ...sent, status: rest.status, provider_message_id: rest.provider_message_id }).toEqual(rest)
    const lead: Json = about(listener, number).find(({ type }) => type === 'lead.created')!.data.lead
    expect(lead).toMatchObject({ name: 'Ada Lovelace', email: 'ada@example.com', conversation_id: received.conversation_id })
    expect(lead).toEqual(await business.ok('GET', `/v1/leads/${lead.id}`))
    expect(elsewhere.events).toEqual([])
    await elsewhere.end()
  })

  it('what was missed while the line was broken, by the last event that was heard', async () => {
    const customer = newCustomer()
    await say(number, customer, 'When do you open?')
    await until(listener, number, 'message.received')
    const first = about(listener, number)[0]!
    await listener.end()
    await town.until("SELECT 1 FROM messages WHERE number_id = $1 AND status = 'read'", [number.id], (rows) => rows.length === 1)
    listener = await listen(business.key, `?last_event_id=${first.id}&types=message.*`)
    expect(listener.frames[0]).toMatchObject({ resumed: true })
    await until(listener, number, 'message.read')
    expect(types(listener, number)).toEqual(['message.sent', 'message.delivered', 'message.read'])
    expect(about(listener, number).map((event) => messageOf(event).status)).toEqual(['sent', 'delivered', 'read'])
  })
})

describe('every step of a message is told once', () => {
  it('also when several come in one webhook, or again', async () => {
    const number = await business.number({ sandbox: { statuses: false } })
    const listener = await listen(business.key, '?types=message.*')
    await say(number, newCustomer(), 'When do you open?')
    await until(listener, number, 'message.sent')
    const id: string = messageOf(about(listener, number).at(-1)!).provider_message_id
    await post(number, whatsappValue(number, { statuses: statuses(id, 'sent', 'delivered', 'read') }))
    await until(listener, number, 'message.read')
    await post(number, whatsappValue(number, { statuses: statuses(id, 'delivered', 'read') }))
    await say(number, newCustomer(), 'And on Sunday?')
    await until(listener, number, 'message.sent', 2)
    expect(types(listener, number)).toEqual(['message.received', 'message.sent', 'message.delivered', 'message.read', 'message.received', 'message.sent'])
    await listener.end()
  })

  it('that fails after it was sent: with the reason', async () => {
    const number = await business.number({ sandbox: { statuses: false } })
    const listener = await listen(business.key)
    await say(number, newCustomer(), 'When do you open?')
    await until(listener, number, 'message.sent')
    const id: string = messageOf(about(listener, number).at(-1)!).provider_message_id
    const [failed] = statuses(id, 'failed')
    await post(number, whatsappValue(number, { statuses: [{ ...failed, errors: [{ code: 131026, title: 'Message undeliverable' }] }] }))
    await until(listener, number, 'message.failed')
    expect(messageOf(about(listener, number).at(-1)!)).toMatchObject({ direction: 'outbound', status: 'failed', reason: '131026' })
    await listener.end()
  })

  it('that gets no answer: the customer’s message, with the reason', async () => {
    const poor = await town.business('Poor')
    const number = await poor.number()
    await poor.ok('POST', `/v1/phone-numbers/${number.id}/stop`)
    const listener = await listen(poor.key)
    await say(number, newCustomer(), 'When do you open?')
    await until(listener, number, 'message.failed')
    expect(about(listener, number).map((event) => [event.type, messageOf(event).direction, messageOf(event).status, messageOf(event).reason])).toEqual([
      ['message.received', 'inbound', 'received', null],
      ['message.failed', 'inbound', 'parked', 'number_stopped'],
    ])
    await listener.end()
  })
})

describe('hands', () => {
  it('a person writes: the conversation is theirs, and their message is sent', async () => {
    const number = await business.number()
    const listener = await listen(business.key, '?types=message.sent,conversation.*')
    await say(number, newCustomer(), 'When do you open?')
    await until(listener, number, 'message.sent')
    const conversation: string = messageOf(about(listener, number)[0]!).conversation_id
    await business.ok('POST', `/v1/conversations/${conversation}/messages`, { content: { kind: 'text', text: 'Anna here: at nine.' } })
    await until(listener, number, 'message.sent', 2)
    const [, hands, theirs] = about(listener, number)
    expect(hands).toMatchObject({ type: 'conversation.handler_changed', data: { handler: 'human', was: 'agent', conversation: { id: conversation, handler: 'human' } } })
    expect(messageOf(theirs!)).toMatchObject({ author: 'human', content: { text: 'Anna here: at nine.' } })
    await business.ok('POST', `/v1/conversations/${conversation}/messages`, { content: { kind: 'text', text: 'See you!' } })
    await until(listener, number, 'message.sent', 3)
    await business.ok('POST', `/v1/conversations/${conversation}/hand-back`)
    await until(listener, number, 'conversation.handler_changed', 2)
    expect(types(listener, number)).toEqual(['message.sent', 'conversation.handler_changed', 'message.sent', 'message.sent', 'conversation.handler_changed'])
    await listener.end()
  })

  it('the agent hands over, and a person writes from another app', async () => {
    const number = await business.number({ prompt: { tools: [{ type: 'builtin', name: 'handover_to_human' }] } })
    const other = await business.number({ type: 'instagram' })
    const listener = await listen(business.key, '?types=conversation.*,message.sent')
    await say(number, newCustomer(), 'I want to speak to a human agent please')
    await until(listener, number, 'conversation.handler_changed')
    expect(about(listener, number).at(-1)!.data).toMatchObject({ handler: 'human', was: 'agent' })

    const customer = newCustomer()
    await town.sandbox.instagram.customerWrites(customer, { ig_id: other.address, text: 'Hi' })
    await until(listener, other, 'message.sent')
    const message = { mid: `mid.foreign.${customer}`, text: 'This is Anna.', is_echo: true }
    await town.sandbox.instagram.deliver(other.address, { object: 'instagram', entry: [{ id: other.address, time: Date.now(), messaging: [{ sender: { id: other.address }, recipient: { id: customer }, timestamp: Date.now(), message }] }] })
    await until(listener, other, 'message.sent', 2)
    expect(types(listener, other)).toEqual(['message.sent', 'conversation.handler_changed', 'message.sent'])
    expect(messageOf(about(listener, other).at(-1)!)).toMatchObject({ author: 'human', content: { text: 'This is Anna.' } })
    await listener.end()
  })
})
