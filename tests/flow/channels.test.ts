import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ledger } from '@trunkline/db'
import type { Business, Json } from './business.ts'
import { post, recorded } from './post.ts'
import { openTown, type Town } from './town.ts'

let town: Town
let business: Business
beforeAll(async () => {
  town = await openTown()
  business = await town.business()
})
afterAll(() => town?.close())

const TURN = `SELECT t.id, t.state, t.outcome, t.cost_micros::text AS cost, t.hold_id, h.state AS hold, count(o.*)::int AS parts
  FROM turns t LEFT JOIN holds h ON h.id = t.hold_id LEFT JOIN outbox o ON o.turn_id = t.id WHERE t.number_id = $1 GROUP BY t.id, h.state`
const MESSAGES = 'SELECT seq::int, direction, author, kind, status, provider_message_id FROM messages WHERE number_id = $1 ORDER BY seq'
const ENTRIES = `SELECT tr.kind, e.account, e.amount_micros::text AS amount FROM transfers tr JOIN entries e ON e.transfer_id = tr.id WHERE tr.turn_id = $1 ORDER BY e.id`

/** One charge for the turn: the hold is gone, what was held and not used is back, and all sums are zero. */
async function expectOneCharge(turn: { id: string; cost: string }): Promise<void> {
  const entries = await town.rows<{ kind: string; account: string; amount: string }>(ENTRIES, [turn.id])
  const sum = (account: string) => entries.filter((entry) => entry.account === account).reduce((total, entry) => total + BigInt(entry.amount), 0n)
  expect(entries.filter((entry) => entry.kind === 'settle').map((entry) => entry.account)).toEqual(expect.arrayContaining(['held', 'spent']))
  expect(sum('held')).toBe(0n)
  expect(sum('spent')).toBe(BigInt(turn.cost))
  expect(sum('available')).toBe(-BigInt(turn.cost))
  expect(BigInt(turn.cost)).toBeGreaterThan(0n)
  expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
}

describe('a recorded message in, the exact request out', () => {
  it('WhatsApp: text, answer, three receipts, one charge', async () => {
    const number = await business.number()
    expect((await post(number, recorded('whatsapp', 'text', number))).status).toBe(200)

    const sent = await town.sandbox.waitFor((entry) => entry.target === 'whatsapp.send' && entry.number === number.address)
    const rows = await town.until(MESSAGES, [number.id], (found) => found[1]?.['status'] === 'read')
    expect(rows).toEqual([
      { seq: 1, direction: 'inbound', author: 'customer', kind: 'text', status: 'answered', provider_message_id: 'wamid.HBgLMTUwMDU1NTAxMjMVAgASGBQz0001AA==' },
      { seq: 2, direction: 'outbound', author: 'agent', kind: 'text', status: 'read', provider_message_id: sent.id },
    ])
    const [turn] = await town.rows<{ id: string; cost: string }>(TURN, [number.id])
    expect(turn).toMatchObject({ state: 'retired', outcome: 'sent', hold: 'settled', parts: 1 })
    const [part] = await town.rows<{ id: string }>('SELECT id FROM outbox WHERE turn_id = $1', [turn!.id])
    // The strongest identity is the user id: the recorded customer has one beside the phone number.
    expect(sent.body).toEqual({ messaging_product: 'whatsapp', recipient_type: 'individual', recipient: 'US.90000000000000000001', type: 'text', text: { body: sent.text }, biz_opaque_callback_data: part!.id })
    await expectOneCharge(turn!)

    const [contact] = await town.rows('SELECT c.name, array_agg(i.kind || i.value ORDER BY i.kind) AS ids FROM contacts c JOIN contact_identities i ON i.contact_id = c.id WHERE i.value = $1 OR i.value = $2 GROUP BY c.id', ['US.90000000000000000001', '+15005550123'])
    expect(contact).toEqual({ name: 'Nora Winter', ids: ['phone+15005550123', 'wa_user_idUS.90000000000000000001'] })
  })

  it('Instagram: text, answer, its own echo is known, seen, one charge', async () => {
    const number = await business.number({ type: 'instagram' })
    expect((await post(number, recorded('instagram', 'text', number))).status).toBe(200)

    const sent = await town.sandbox.waitFor((entry) => entry.target === 'instagram.send' && entry.number === number.address)
    const rows = await town.until(MESSAGES, [number.id], (found) => found[1]?.['status'] === 'read')
    expect(rows).toEqual([
      { seq: 1, direction: 'inbound', author: 'customer', kind: 'text', status: 'answered', provider_message_id: 'aWdfbWlkX3Rlc3Q0001ZD' },
      { seq: 2, direction: 'outbound', author: 'agent', kind: 'text', status: 'read', provider_message_id: sent.id },
    ])
    const [turn] = await town.rows<{ id: string; cost: string }>(TURN, [number.id])
    const [part] = await town.rows<{ id: string }>('SELECT id FROM outbox WHERE turn_id = $1', [turn!.id])
    expect(sent.body).toEqual({ recipient: { id: '900000000000001' }, messaging_type: 'RESPONSE', message: { text: sent.text, metadata: part!.id } })
    const echoes = await town.until('SELECT outcome FROM effects WHERE number_id = $1 AND kind = $2', [number.id, 'echo'], (found) => found[0]?.['outcome'] != null)
    expect(echoes).toEqual([{ outcome: 'applied' }])
    expect(await town.rows('SELECT handler FROM conversations WHERE number_id = $1', [number.id])).toEqual([{ handler: 'agent' }])
    await expectOneCharge(turn!)
  })

  it('web chat: a visitor’s words, the answer in their window, read, one charge', async () => {
    const number = await business.number({ type: 'webchat', number: { settings: { allowed_origins: ['https://shop.example.com'] } } })
    const visit = async (method: string, path: string, body?: unknown, token?: string) => {
      const headers = { origin: 'https://shop.example.com', ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
      const response = await fetch(`${town.apiUrl}/v1/webchat/${number.id}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
      return { status: response.status, body: (await response.json()) as Json }
    }
    const session = (await visit('POST', '/sessions', {})).body
    const said = await visit('POST', '/messages', { client_message_id: 'c-1', text: 'Hello, when do you open?' }, session.session_token)
    expect(said).toMatchObject({ status: 202, body: { client_message_id: 'c-1', duplicate: false } })
    expect(await visit('POST', '/messages', { client_message_id: 'c-1', text: 'Hello, when do you open?' }, session.session_token)).toMatchObject({ status: 202, body: { duplicate: true } })

    const rows = await town.until(MESSAGES, [number.id], (found) => found[1]?.['status'] === 'sent' && found[0]?.['status'] === 'answered')
    expect(rows).toMatchObject([{ direction: 'inbound', author: 'customer', kind: 'text' }, { direction: 'outbound', author: 'agent', kind: 'text' }])
    const shown = (await visit('GET', '/messages', undefined, session.session_token)).body
    expect(shown.data.map((message: Json) => message.content.text)).toEqual(['Hello, when do you open?', expect.stringContaining('nine')])
    const [turn] = await town.rows<{ id: string; cost: string }>(TURN, [number.id])
    expect(turn).toMatchObject({ state: 'retired', outcome: 'sent', hold: 'settled', parts: 1 })
    await expectOneCharge(turn!)
  })

  it('web chat: what a visitor filled in before the chat is on the contact, and does not overwrite what is known', async () => {
    const fields = [{ name: 'name', label: 'Name', type: 'text', required: true }, { name: 'email', label: 'E-mail', type: 'email', required: true }]
    const number = await business.number({ type: 'webchat', prompt: null, number: { settings: { allowed_origins: ['https://shop.example.com'], pre_chat_fields: fields } } })
    const url = `${town.apiUrl}/v1/webchat/${number.id}`
    const headers = { origin: 'https://shop.example.com', 'content-type': 'application/json' }
    const { session_token: token } = (await (await fetch(`${url}/sessions`, { method: 'POST', headers, body: '{}' })).json()) as Json
    const say = (id: string, email: string) =>
      fetch(`${url}/messages`, { method: 'POST', headers: { ...headers, authorization: `Bearer ${token}` }, body: JSON.stringify({ client_message_id: id, text: 'Hello', pre_chat: { name: 'Ada', email } }) })
    const contact = 'SELECT DISTINCT c.name, c.fields FROM contacts c JOIN conversations v ON v.contact_id = c.id WHERE v.number_id = $1'
    const handled = (count: number) => town.until<{ count: number }>("SELECT count(*)::int FROM messages WHERE number_id = $1 AND direction = 'inbound'", [number.id], ([row]) => row!.count === count)
    expect((await say('c-1', 'ada@example.com')).status).toBe(202)
    await handled(1)
    expect(await town.rows(contact, [number.id])).toEqual([{ name: 'Ada', fields: { name: 'Ada', email: 'ada@example.com' } }])
    expect((await say('c-2', 'other@example.com')).status).toBe(202)
    await handled(2)
    expect(await town.rows(contact, [number.id])).toEqual([{ name: 'Ada', fields: { name: 'Ada', email: 'ada@example.com' } }])
  })
})
