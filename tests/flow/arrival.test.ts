import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisCommand } from '../harness/probe.ts'
import type { Business, Json, OurNumber } from './business.ts'
import { newCustomer, newWamid, post, recorded, whatsappBody, whatsappValue } from './post.ts'
import { openTown, type Town } from './town.ts'

let town: Town
let business: Business
beforeAll(async () => {
  town = await openTown()
  business = await town.business()
})
afterAll(() => town?.close())

type Row = Record<string, Json>
const inbound = (number: OurNumber) => town.rows<Row>("SELECT * FROM messages WHERE number_id = $1 AND direction = 'inbound' ORDER BY seq", [number.id])
const turnsOf = (number: OurNumber, count: number) => town.until<Row>('SELECT * FROM turns WHERE number_id = $1 ORDER BY first_seq', [number.id], (rows) => rows.length === count && rows.every((row) => row['state'] === 'retired'))
const sends = (number: OurNumber) => town.sandbox.journal.sends({ number: number.address })
const effectsOf = (number: OurNumber, kind: string, count: number) => town.until<Row>('SELECT kind, outcome FROM effects WHERE number_id = $1 AND kind = $2 ORDER BY id', [number.id, kind], (rows) => rows.length === count && rows.every((row) => row['outcome'] !== null))

describe('batches and repeats', () => {
  it('keeps 2 entries × 3 changes × 2 messages of one body as 12 messages, in order', async () => {
    const number = await business.number()
    const body = recorded('whatsapp', 'batch', number)
    expect((await post(number, body)).status).toBe(200)
    await turnsOf(number, 1)
    const sent = body.entry.flatMap((entry: Row) => (entry['changes'] as { value: { messages: { id: string }[] } }[]).flatMap((change) => change.value.messages.map((message) => message.id)))
    expect(sent).toHaveLength(12)
    expect((await inbound(number)).map((row) => row['provider_message_id'])).toEqual(sent)
    expect(sends(number)).toHaveLength(1)
  })

  it('answers the same wamid once: a thousand times in parallel, and again after eight days', async () => {
    const number = await business.number()
    const body = whatsappBody(number, newCustomer(), ['Do you repair e-bikes?'])
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => post(number, body)))
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]))
    await turnsOf(number, 1)

    // Meta repeats for seven days: what is remembered must be older than that. Redis has forgotten it after seconds.
    await town.rows("UPDATE inbox SET received_at = received_at - interval '8 days' WHERE number_id = $1", [number.id])
    const nowSlice = Math.floor(Date.now() / 5_000)
    await redisCommand(town.redis.url, 'DEL', ...[-2, -1, 0].map((back) => `${town.redis.prefix}{queue}:seen:${nowSlice + back}`))
    expect((await post(number, body)).status).toBe(200)
    // A later message of the same number proves that everything before it has been looked at.
    expect((await post(number, whatsappBody(number, newCustomer(), ['And scooters?']))).status).toBe(200)
    await turnsOf(number, 2)
    expect(await inbound(number)).toHaveLength(2)
    expect(sends(number)).toHaveLength(2)
  })

  it('answers an album of ten images that arrive within its window once, in the right order, and stores the files', async () => {
    const number = await business.number({ number: { coalesce_ms: 3_000 } })
    const customer = newCustomer()
    const files = Array.from({ length: 10 }, (_, index) => ({ base64: Buffer.from(`picture ${index}`).toString('base64'), mime_type: 'image/jpeg' }))
    const ids: string[] = []
    // As Meta does it: one webhook for each picture, one right after the other.
    for (const file of files) ids.push(...(await town.sandbox.whatsapp.customerWrites(customer, { phone_number_id: number.address, file })).ids)
    await turnsOf(number, 1)
    expect(sends(number)).toHaveLength(1)
    const rows = await inbound(number)
    expect(rows.map((row) => row['provider_message_id'])).toEqual(ids)
    expect(new Set(rows.map((row) => row['conversation_id'])).size).toBe(1)
    const media = await town.until<Row>('SELECT m.state, m.size_bytes::int, m.mime_type FROM media m JOIN messages s ON s.id = m.message_id WHERE m.number_id = $1 ORDER BY s.seq', [number.id], (found) => found.every((row) => row['state'] === 'stored'))
    expect(media).toEqual(files.map((_, index) => ({ state: 'stored', size_bytes: `picture ${index}`.length, mime_type: 'image/jpeg' })))
  })
})

describe('who writes', () => {
  it('answers a customer who has a user id and no phone number at that user id', async () => {
    const number = await business.number()
    await town.sandbox.whatsapp.customerWrites('0', { phone_number_id: number.address, user_id: 'DE.1000200030004000', hide_phone: true, text: 'Are you open?' })
    const sent = await town.sandbox.waitFor((entry) => entry.target === 'whatsapp.send' && entry.number === number.address)
    expect(sent.body).toMatchObject({ recipient: 'DE.1000200030004000' })
    expect(sent.body).not.toHaveProperty('to')
    await town.until("SELECT 1 FROM messages WHERE number_id = $1 AND status = 'read'", [number.id], (rows) => rows.length === 1)
  })

  it('keeps contact and conversation when the user id changes in mid-conversation', async () => {
    const number = await business.number()
    const phone = newCustomer()
    const [before, after] = [`US.${phone}1`, `US.${phone}2`]
    const say = (userId: string, text: string) => post(number, whatsappBody(number, phone, [{ type: 'text', text: { body: text }, from_user_id: userId }]))
    await say(before, 'Hello')
    await turnsOf(number, 1)
    await post(number, whatsappValue(number, { user_id_update: [{ wa_id: phone, detail: 'User ID changed', user_id: { previous: before, current: after }, timestamp: '1763640000' }] }, 'user_id_update'))
    await effectsOf(number, 'identity_change', 1)
    await say(after, 'Me again')
    const turns = await turnsOf(number, 2)
    expect(new Set(turns.map((turn) => turn['conversation_id'])).size).toBe(1)
    expect(sends(number).map((entry) => entry.to)).toEqual([before, after])
    const identities = await town.rows<Row>('SELECT value, ended_at IS NULL AS live FROM contact_identities WHERE contact_id = (SELECT contact_id FROM conversations WHERE id = $1) ORDER BY value', [turns[0]!['conversation_id']])
    expect(identities).toEqual([{ value: `+${phone}`, live: true }, { value: before, live: false }, { value: after, live: true }])
  })

  it('follows a customer to a new phone number, with all history', async () => {
    const number = await business.number()
    const [old, fresh] = [newCustomer(), newCustomer()]
    await post(number, whatsappBody(number, old, ['Hello']))
    await turnsOf(number, 1)
    const system = { type: 'system', system: { body: `User changed from ${old} to ${fresh}`, wa_id: fresh, type: 'user_changed_number' } }
    await post(number, whatsappValue(number, { messages: [{ from: old, id: newWamid(), timestamp: '1763640000', ...system }] }))
    await effectsOf(number, 'identity_change', 1)
    await post(number, whatsappBody(number, fresh, ['New phone']))
    const turns = await turnsOf(number, 2)
    expect(new Set(turns.map((turn) => turn['conversation_id'])).size).toBe(1)
    expect(sends(number).map((entry) => entry.to)).toEqual([old, fresh])
  })
})

describe('what is not a message', () => {
  it('reactions, edits and take-backs stand beside the message, in whatever order they come', async () => {
    const number = await business.number()
    const customer = newCustomer()
    const id = newWamid()
    const about = (draft: Row) => post(number, whatsappBody(number, customer, [draft]))
    // The reaction overtakes its message: it waits for it.
    await about({ type: 'reaction', reaction: { message_id: id, emoji: '👍' } })
    await about({ id, type: 'text', text: { body: 'A table for two' } })
    await turnsOf(number, 1)
    await about({ type: 'edit', edit: { original_message_id: id, message: { context: { id: 'M0' }, type: 'text', text: { body: 'A table for three' } } } })
    await about({ type: 'revoke', revoke: { original_message_id: id } })
    await town.until('SELECT 1 FROM effects WHERE number_id = $1 AND outcome = $2 AND kind <> $3', [number.id, 'applied', 'receipt'], (rows) => rows.length === 3)
    const [message] = await inbound(number)
    const detail = await business.ok('GET', `/v1/messages/${message!['id']}`)
    expect(detail.content).toMatchObject({ kind: 'text', text: 'A table for two' })
    expect(detail.reactions).toMatchObject([{ emoji: '👍' }])
    expect(detail.revisions).toMatchObject([{ change: 'edited', content: { text: 'A table for three' } }, { change: 'deleted', content: null }])
    expect(sends(number)).toHaveLength(1)
  })

  it('what another app of the business writes on Instagram makes the conversation a person’s', async () => {
    const number = await business.number({ type: 'instagram' })
    const customer = newCustomer()
    await town.sandbox.instagram.customerWrites(customer, { ig_id: number.address, text: 'Hi' })
    await turnsOf(number, 1)
    await town.sandbox.instagram.deliver(number.address, { object: 'instagram', entry: [{ id: number.address, time: Date.now(), messaging: [{ sender: { id: number.address }, recipient: { id: customer }, timestamp: Date.now(), message: { mid: `mid.foreign.${customer}`, text: 'This is Anna, I will help you.', is_echo: true } }] }] })
    await town.until('SELECT 1 FROM conversations WHERE number_id = $1 AND handler = $2', [number.id, 'human'], (rows) => rows.length === 1)
    await town.sandbox.instagram.customerWrites(customer, { ig_id: number.address, text: 'Thank you Anna' })
    const turns = await turnsOf(number, 2)
    expect(turns[1]).toMatchObject({ outcome: 'silent', reason: 'human_handles' })
    expect(sends(number)).toHaveLength(1)
    const archive = await business.ok('GET', `/v1/conversations/${turns[0]!['conversation_id']}/messages`)
    expect(archive.data.map((row: Row) => row['author'])).toEqual(['customer', 'agent', 'human', 'customer'])
  })

  it('an opt-out is a notice, holds for the contact, and ends with an opt-in', async () => {
    const number = await business.number()
    await post(number, recorded('whatsapp', 'text', number))
    const [turn] = await turnsOf(number, 1)
    const contact = () => town.rows<Row>('SELECT opted_out_at IS NOT NULL AS out FROM contacts WHERE id = (SELECT contact_id FROM conversations WHERE id = $1)', [turn!['conversation_id']])
    await post(number, recorded('whatsapp', 'user-preferences-stop', number))
    await effectsOf(number, 'notice', 1)
    expect(await contact()).toEqual([{ out: true }])
    const refused = await business.call('POST', `/v1/conversations/${turn!['conversation_id']}/messages`, { content: { kind: 'text', text: 'Our winter sale' } }, { idempotencyKey: 'sale' })
    expect(refused).toMatchObject({ status: 409, body: { error: { code: 'invalid_state', details: { reason: 'opted_out' } } } })
    await post(number, recorded('whatsapp', 'user-preferences-resume', number))
    await effectsOf(number, 'notice', 2)
    expect(await contact()).toEqual([{ out: false }])
    const notices = await business.ok('GET', `/v1/phone-numbers/${number.id}/notices`)
    expect(notices.data.map((row: Row) => row['topic']).sort()).toEqual(['opt_in', 'opt_out'])
  })

  it('a type that nobody knows yet is kept as it came and still answered', async () => {
    const number = await business.number()
    await post(number, recorded('whatsapp', 'future-type', number))
    await turnsOf(number, 1)
    const [row] = await inbound(number)
    expect(row!['kind']).toBe('unsupported')
    const detail = await business.ok('GET', `/v1/messages/${row!['id']}`)
    expect(JSON.stringify(detail.details)).toContain('provider_data')
    expect(sends(number)).toHaveLength(1)
  })
})
