import { newId } from '@trunkline/core'
import { openJson, takeDirectSends } from '@trunkline/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openOffice, type Json, type Office, type Tenant } from '../../../../tests/harness/office.ts'

let office: Office
let ours: Tenant
let theirs: Tenant
let number: { id: string; agentId: string; promptId: string }
const DAY_MS = 86_400_000

beforeAll(async () => {
  office = await openOffice()
  ;[ours, theirs] = [await office.tenant(), await office.tenant()]
  number = await office.number(ours)
})
afterAll(() => office.close())

const post = (url: string, body?: Json, call: { key?: string; headers?: Record<string, string> } = {}) => office.call('POST', url, { key: ours.key, body, ...call })
const get = (url: string, key = ours.key) => office.call('GET', url, { key })
const rows = async <Row extends object>(sql: string, values: unknown[]) => (await office.db.tenant(ours.tenantId, (tx) => tx.query<Row & Record<string, unknown>>(sql, values))).rows
const text = (words: string) => ({ content: { kind: 'text', text: words } })

describe('conversations: what they are for', () => {
  it('shows the contact with its identities and when the window closes', async () => {
    const lastInboundAt = new Date(Date.now() - 3_600_000)
    const { id } = await office.conversation(ours, number, { lastInboundAt })
    const { body } = await get(`/v1/conversations/${id}`)
    expect(body).toMatchObject({ channel: 'whatsapp', handler: 'agent', contact_name: 'Ada', contact: { name: 'Ada', identities: [{ kind: 'phone', value: body.reply_to.value, ended_at: null }] } })
    expect(body.window_closes_at).toBe(new Date(lastInboundAt.getTime() + DAY_MS).toISOString())
  })

  it('filters by number, contact, status, handler, channel and time, and pages by id', async () => {
    const chat = await office.number(ours, 'webchat')
    const made = [await office.conversation(ours, chat), await office.conversation(ours, chat), await office.conversation(ours, chat)]
    await post(`/v1/conversations/${made[0]!.id}/close`)
    await post(`/v1/conversations/${made[1]!.id}/take-over`)
    const ids = async (query: string) => (await get(`/v1/conversations?number_id=${chat.id}&${query}`)).body.data.map((row: Json) => row.id)
    expect(await ids('status=closed')).toEqual([made[0]!.id])
    expect(await ids('handler=human')).toEqual([made[1]!.id])
    expect(await ids(`contact_id=${made[2]!.contactId}`)).toEqual([made[2]!.id])
    expect(await ids('channel=whatsapp')).toEqual([])
    expect(await ids(`since=${new Date(Date.now() + 60_000).toISOString()}`)).toEqual([])
    expect(await ids(`until=${new Date(Date.now() + 60_000).toISOString()}`)).toHaveLength(3)
    const first = await get(`/v1/conversations?number_id=${chat.id}&limit=2`)
    expect(await ids(`limit=2&cursor=${first.body.next_cursor}`)).toEqual([made[0]!.id])
  })

  it('reads messages by position, both ways', async () => {
    const { id } = await office.conversation(ours, number)
    for (const words of ['two', 'three', 'four']) await post(`/v1/conversations/${id}/messages`, text(words))
    const seqs = (answer: Json) => answer.body.data.map((row: Json) => row.seq)
    const first = await get(`/v1/conversations/${id}/messages?limit=3`)
    expect(seqs(first)).toEqual([1, 2, 3])
    expect(seqs(await get(`/v1/conversations/${id}/messages?limit=3&cursor=${first.body.next_cursor}`))).toEqual([4])
    const last = await get(`/v1/conversations/${id}/messages?limit=3&order=desc`)
    expect(seqs(last)).toEqual([4, 3, 2])
    expect(seqs(await get(`/v1/conversations/${id}/messages?limit=3&order=desc&cursor=${last.body.next_cursor}`))).toEqual([1])
  })

  it('changes hands once however often it is asked, and back', async () => {
    const { id } = await office.conversation(ours, number)
    const answers = await Promise.all(Array.from({ length: 5 }, () => post(`/v1/conversations/${id}/take-over`)))
    expect(answers.map((answer) => [answer.body.handler, answer.body.handler_epoch])).toEqual(Array.from({ length: 5 }, () => ['human', 1]))
    expect((await post(`/v1/conversations/${id}/hand-back`)).body).toMatchObject({ handler: 'agent', handler_epoch: 2 })
    expect(await rows("SELECT 1 FROM audit_entries WHERE target_id = $1 AND action LIKE 'conversation.%'", [id])).toHaveLength(6)
  })

  it('closes and opens again, unless the contact has begun another one', async () => {
    const { id, contactId } = await office.conversation(ours, number)
    await post(`/v1/conversations/${id}/close`)
    expect((await office.call('PATCH', `/v1/conversations/${id}`, { key: ours.key, body: { status: 'open' } })).body.status).toBe('open')
    await post(`/v1/conversations/${id}/close`)
    const other = newId()
    await rows(
      "INSERT INTO conversations (id, tenant_id, project_id, number_id, contact_id, reply_to) SELECT $2, tenant_id, project_id, number_id, contact_id, reply_to FROM conversations WHERE id = $1 AND contact_id = $3",
      [id, other, contactId],
    )
    const refused = await office.call('PATCH', `/v1/conversations/${id}`, { key: ours.key, body: { status: 'open' } })
    expect(refused.body.error).toMatchObject({ code: 'conflict', details: { conversation_id: other } })
  })
})

describe('messages of people', () => {
  it('take the conversation over, are stored and wait in the outbox as they will leave', async () => {
    const { id } = await office.conversation(ours, number)
    const { status, body } = await post(`/v1/conversations/${id}/messages`, text('We open at *nine*.'))
    expect(status).toBe(202)
    expect(body).toMatchObject({ seq: 2, direction: 'outbound', author: 'human', status: 'queued', content: { kind: 'text', text: 'We open at *nine*.' } })
    expect((await get(`/v1/conversations/${id}`)).body).toMatchObject({ handler: 'human', handler_epoch: 1, last_seq: 2 })
    expect(office.woken.at(-1)).toBe(number.id)
    const sends = await office.db.system('queue', (tx) => takeDirectSends(tx, 100))
    const mine = sends.filter((send) => send.messageId === body.id)
    expect(mine).toHaveLength(1)
    expect(openJson(office.keyring, mine[0]!.requestSealed, ours.tenantId)).toMatchObject({ request: { kind: 'text', body: { type: 'text' } }, to: expect.stringMatching(/^\+/) })
  })

  it('open a closed conversation again, so that the answer comes back to it', async () => {
    const { id } = await office.conversation(ours, number)
    await post(`/v1/conversations/${id}/close`)
    expect((await post(`/v1/conversations/${id}/messages`, text('One more thing.'))).status).toBe(202)
    expect((await get(`/v1/conversations/${id}`)).body).toMatchObject({ status: 'open', handler: 'human' })
  })

  it('say who wrote when a person did', async () => {
    const { id } = await office.conversation(ours, number)
    const { body } = await post(`/v1/conversations/${id}/messages`, text('Hello, this is Eva.'), { key: ours.owner })
    expect(body.author_user_id).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('say what the channel cannot show', async () => {
    const { id } = await office.conversation(ours, number)
    const buttons = Array.from({ length: 12 }, (_, index) => ({ id: `b${index}`, title: `Choice number ${index} that is far too long for a button` }))
    const { body } = await post(`/v1/conversations/${id}/messages`, { content: { kind: 'buttons', text: 'Which one?', buttons } })
    expect(body.degradations).toEqual([expect.objectContaining({ from: 'buttons' })])
  })

  it('quote a message of the same conversation only', async () => {
    const [one, other] = [await office.conversation(ours, number), await office.conversation(ours, number)]
    const quoted = await post(`/v1/conversations/${one.id}/messages`, { ...text('This one'), reply_to_message_id: one.messageId })
    expect(quoted.body.reply_to).toBe(`wamid.${one.messageId}`)
    const stray = await post(`/v1/conversations/${one.id}/messages`, { ...text('That one'), reply_to_message_id: other.messageId })
    expect(stray.body.error).toMatchObject({ code: 'not_found', param: 'body.reply_to_message_id' })
  })

  it('are sent once for one Idempotency-Key', async () => {
    const { id } = await office.conversation(ours, number)
    const send = () => post(`/v1/conversations/${id}/messages`, text('Once.'), { headers: { 'idempotency-key': `send-${id}` } })
    const first = await send()
    expect((await send()).body).toEqual(first.body)
    expect(await rows('SELECT 1 FROM messages WHERE conversation_id = $1', [id])).toHaveLength(2)
  })

  it('get places of their own when many write at once', async () => {
    const { id } = await office.conversation(ours, number)
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => post(`/v1/conversations/${id}/messages`, text(`number ${index}`))))
    expect(answers.map((answer) => answer.body.seq).toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  })

  it('are refused outside the window, where a template is not', async () => {
    const { id } = await office.conversation(ours, number, { lastInboundAt: new Date(Date.now() - DAY_MS - 1_000) })
    const refused = await post(`/v1/conversations/${id}/messages`, text('Too late'))
    expect([refused.status, refused.body.error.code, refused.body.error.details.reason, refused.body.error.details.allowed_kinds]).toEqual([409, 'invalid_state', 'window_closed', ['template']])
    expect((await get(`/v1/conversations/${id}`)).body).toMatchObject({ handler: 'agent', last_seq: 1 })
    const template = { kind: 'template', name: 'appointment_reminder', language: 'en', parameters: ['Monday'] }
    expect((await post(`/v1/conversations/${id}/messages`, { content: template })).body.content).toEqual(template)
  })

  it('are refused to a person who opted out, and from a stopped number', async () => {
    const stopped = await office.number(ours)
    const [quiet, halted] = [await office.conversation(ours, number), await office.conversation(ours, stopped)]
    await office.call('PATCH', `/v1/contacts/${quiet.contactId}`, { key: ours.key, body: { opted_out: true } })
    await post(`/v1/phone-numbers/${stopped.id}/stop`)
    expect((await post(`/v1/conversations/${quiet.id}/messages`, text('Hello'))).body.error.details.reason).toBe('opted_out')
    expect((await post(`/v1/conversations/${halted.id}/messages`, text('Hello'))).body.error.details.reason).toBe('number_stopped')
  })

  it.each([
    [{ kind: 'text' }, 'body.content.text'],
    [{ kind: 'text', text: '   ' }, 'body.content.text'],
    [{ kind: 'text', text: 'x', colour: 'red' }, 'body.content.colour'],
    [{ kind: 'choice', via: 'button', id: '1', title: 'x' }, 'body.content.kind'],
    [{ kind: 'image', media: {} }, 'body.content.media'],
    [{ kind: 'image', media: { media_id: newId() } }, 'body.content.media.media_id'],
  ])('name what is wrong: %j -> %s', async (content, param) => {
    const { id } = await office.conversation(ours, number)
    const { status, body } = await post(`/v1/conversations/${id}/messages`, { content })
    expect(body.error.param).toBe(param)
    expect(status).toBeLessThan(500)
    expect(await rows('SELECT 1 FROM messages WHERE conversation_id = $1', [id])).toHaveLength(1)
  })
})

describe('conversations: whose they are', () => {
  it('do not exist for another tenant, nor for a key of another project', async () => {
    const { id } = await office.conversation(ours, number)
    const stranger = await ours.keyWith(['conversations:read', 'conversations:write', 'messages:read', 'messages:write'], await ours.project('staging'))
    for (const key of [theirs.key, stranger]) {
      const probes = [
        get(`/v1/conversations/${id}`, key), get(`/v1/conversations/${id}/messages`, key), post(`/v1/conversations/${id}/take-over`, undefined, { key }),
        post(`/v1/conversations/${id}/close`, undefined, { key }), post(`/v1/conversations/${id}/messages`, text('Hi'), { key }),
      ]
      expect(new Set((await Promise.all(probes)).map((answer) => answer.status))).toEqual(new Set([404]))
      expect((await get('/v1/conversations?limit=100', key)).body.data).toEqual([])
    }
  })

  it('keep what was said from callers without messages:read', async () => {
    const { id } = await office.conversation(ours, number, { text: 'my card number is 4111' })
    const reader = await ours.keyWith(['conversations:read'])
    const { body } = await get(`/v1/conversations/${id}/messages`, reader)
    expect(body.data).toMatchObject([{ kind: 'text', content: null }])
    expect(JSON.stringify(body)).not.toContain('4111')
    expect((await post(`/v1/conversations/${id}/messages`, text('Hi'), { key: reader })).status).toBe(403)
  })
})
