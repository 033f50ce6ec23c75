import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Business, Json, OurNumber } from './business.ts'
import { newCustomer, post, whatsappBody } from './post.ts'
import { openTown, type Town } from './town.ts'
import { OPEN_CHAT, openVisitor, type Visitor } from './visitor.ts'

// One person on two channels: two contacts that become one while both chats go on, and two again.

let town: Town
let business: Business
beforeAll(async () => {
  town = await openTown({ settings: { LEAD_QUIET_MS: '700', LEAD_LATEST_MS: '3000' } })
  business = await town.business()
})
afterAll(() => town?.close())

type Place = { number: OurNumber; contactId: string; conversationId: string }
let phone: Place & { say(text: string): Promise<void> }
let chat: Place & { visitor: Visitor; say(text: string): Promise<void> }
beforeEach(async () => {
  phone = await onWhatsApp('Hello, I am Ada Lovelace and I would like to buy an e-bike')
  chat = await onWebChat('Good morning, my address is ada@example.com')
})

/** Resolves when all that was written to the number has been answered and sent. */
const quiet = (number: OurNumber, inbound: number) =>
  town.until<{ done: boolean }>("SELECT count(*) = $2 AND bool_and(status = 'answered') AS done FROM messages WHERE number_id = $1 AND direction = 'inbound'", [number.id, inbound], ([row]) => row!.done)
const placeOf = async (number: OurNumber): Promise<Place> => {
  const [conversation] = (await business.ok('GET', `/v1/conversations?number_id=${number.id}`)).data
  return { number, contactId: conversation.contact_id, conversationId: conversation.id }
}

async function onWhatsApp(first: string): Promise<typeof phone> {
  const [number, customer] = [await business.number(), newCustomer()]
  let said = 0
  const say = async (text: string) => {
    expect((await post(number, whatsappBody(number, customer, [text]))).status).toBe(200)
    await quiet(number, ++said)
  }
  await say(first)
  return { ...(await placeOf(number)), say }
}

async function onWebChat(first: string): Promise<typeof chat> {
  const number = await business.number({ type: 'webchat', number: OPEN_CHAT })
  const visitor = await openVisitor(town.apiUrl, number)
  let said = 0
  const say = async (text: string) => {
    expect((await visitor.say(`c-${said}`, { text })).status).toBe(202)
    await quiet(number, ++said)
  }
  await say(first)
  return { ...(await placeOf(number)), visitor, say }
}

const leadOf = async (conversationId: string, extracted = 0): Promise<Json> => {
  await town.until('SELECT 1 FROM leads WHERE conversation_id = $1 AND extracted_seq > $2', [conversationId, extracted], (rows) => rows.length === 1)
  return (await business.ok('GET', `/v1/leads?conversation_id=${conversationId}`)).data[0]
}
/** What belongs to a contact, as the API tells it. */
async function belongingsOf(contactId: string) {
  const ids = async (noun: string) => ((await business.ok('GET', `/v1/${noun}?contact_id=${contactId}&limit=100`)).data.map((row: Json) => row.id) as string[]).toSorted()
  const contact = await business.ok('GET', `/v1/contacts/${contactId}`)
  return { kinds: (contact.identities.map((identity: Json) => identity.kind) as string[]).toSorted(), conversations: await ids('conversations'), leads: await ids('leads'), messages: (await ids('messages')).length }
}
const merge = (): Promise<Json> => business.ok('POST', `/v1/contacts/${phone.contactId}/merges`, { contact_id: chat.contactId })
const undo = (merged: Json) => business.ok('POST', `/v1/contacts/${phone.contactId}/merges/${merged.id}/undo`)

describe('a person on WhatsApp who is also a visitor of the web chat', () => {
  it('becomes one contact with both conversations and leads, each chat goes on where it is, and it comes apart again', { timeout: 40_000 }, async () => {
    const [phoneLead, chatLead] = [await leadOf(phone.conversationId), await leadOf(chat.conversationId)]
    const apart = [await belongingsOf(phone.contactId), await belongingsOf(chat.contactId)]
    expect(apart).toMatchObject([{ conversations: [phone.conversationId], leads: [phoneLead.id], messages: 2 }, { kinds: ['visitor'], conversations: [chat.conversationId], leads: [chatLead.id], messages: 2 }])

    const merged = await merge()
    expect(merged.moved).toEqual({ identities: 1, conversations: 1, leads: 1, calls: 0, closed: 0 })
    expect(await belongingsOf(chat.contactId)).toEqual({ kinds: [], conversations: [], leads: [], messages: 0 })
    await chat.say('Do you repair tandems?')
    await phone.say('And when do you open?')
    const together = await belongingsOf(phone.contactId)
    expect(together).toEqual({ kinds: [...apart[0]!.kinds, 'visitor'].toSorted(), conversations: [phone.conversationId, chat.conversationId].toSorted(), leads: [String(phoneLead.id), String(chatLead.id)].toSorted(), messages: 8 })
    // One person, two windows: nothing of the one is shown in the other.
    expect((await chat.visitor.messages()).map((message) => message.author)).toEqual(['visitor', 'agent', 'visitor', 'agent'])
    expect(town.sandbox.journal.sends({ number: phone.number.address })).toHaveLength(2)

    await undo(merged)
    expect([await belongingsOf(phone.contactId), await belongingsOf(chat.contactId)]).toEqual(apart.map((own) => ({ ...own, messages: 4 })))
    await chat.say('It is me again')
    expect((await belongingsOf(chat.contactId)).messages).toBe(6)
    expect((await belongingsOf(phone.contactId)).messages).toBe(4)
  })

  it('takes along what the visitor began since, with its lead, when it comes apart', { timeout: 40_000 }, async () => {
    await leadOf(chat.conversationId)
    const merged = await merge()
    await business.ok('POST', `/v1/conversations/${chat.conversationId}/close`)
    await chat.say('Hello, now I would like to buy a tandem')
    const { conversationId: begun, contactId } = await placeOf(chat.number)
    expect([begun === chat.conversationId, contactId]).toEqual([false, phone.contactId])
    const lead = await leadOf(begun)
    expect(lead.contact_id).toBe(phone.contactId)

    await undo(merged)
    expect(await belongingsOf(chat.contactId)).toMatchObject({ conversations: [chat.conversationId, begun].toSorted(), leads: expect.arrayContaining([lead.id]) })
    expect((await belongingsOf(phone.contactId)).conversations).toEqual([phone.conversationId])
  })

  it('has the lead that was being looked for while the two became one', { timeout: 40_000 }, async () => {
    const seen = (await leadOf(chat.conversationId)).id
    await town.rows('DELETE FROM leads WHERE id = $1', [seen])
    await chat.say('You can also call me, on +49 30 1234567')
    town.sandbox.faults.add({ target: 'openai.responses', match: { contains: '1234567' }, times: 1, action: { delayMs: 2_000 } })
    // Taken: the next look would be in minutes.
    await town.until("SELECT 1 FROM conversations WHERE id = $1 AND extraction_due_at > now() + interval '60 seconds'", [chat.conversationId], (rows) => rows.length === 1)
    await merge()
    expect((await leadOf(chat.conversationId)).contact_id).toBe(phone.contactId)
    expect((await belongingsOf(chat.contactId)).leads).toEqual([])
  })
})
