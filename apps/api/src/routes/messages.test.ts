import { newId } from '@trunkline/core'
import { recordSends, sealJson, takeDirectSends, type SendRecord } from '@trunkline/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openOffice, type Json, type Office, type Tenant } from '../../../../tests/harness/office.ts'

let office: Office
let ours: Tenant
let theirs: Tenant
let number: { id: string; agentId: string; promptId: string }

beforeAll(async () => {
  office = await openOffice()
  ;[ours, theirs] = [await office.tenant(), await office.tenant()]
  number = await office.number(ours)
})
afterAll(() => office.close())

const post = (url: string, body?: Json, key = ours.key) => office.call('POST', url, { key, body })
const get = (url: string, key = ours.key) => office.call('GET', url, { key })
const run = (sql: string, values: unknown[]) => office.db.tenant(ours.tenantId, (tx) => tx.query(sql, values))

/** A person's message whose sending ended in `outcome`, by the code that the worker's direct lane runs. */
async function sent(outcome: Pick<SendRecord, 'state'> & Partial<SendRecord>, where?: { id: string }) {
  const conversation = where ?? (await office.conversation(ours, number))
  const { body } = await post(`/v1/conversations/${conversation.id}/messages`, { content: { kind: 'text', text: 'We open at nine.' } })
  await deliver(body.id, outcome)
  return { id: body.id as string, conversationId: conversation.id }
}

/** Takes everything that waits; only the attempts of this message get an outcome. Answers how many there were. */
async function deliver(messageId: string, outcome: Pick<SendRecord, 'state'> & Partial<SendRecord>): Promise<number> {
  const sends = await office.db.system('queue', (tx) => takeDirectSends(tx, 1_000))
  const mine = sends.filter((send) => send.messageId === messageId)
  await office.db.system('queue', (tx) => recordSends(tx, mine.map((send) => ({ outboxId: send.id, ...outcome }))))
  return mine.length
}

describe('messages: what they are for', () => {
  it('are found by contact, number, prompt, status, direction and time', async () => {
    const own = await office.number(ours)
    const { id, contactId, messageId } = await office.conversation(ours, own)
    await run('UPDATE messages SET prompt_id = $2, prompt_version = 1 WHERE id = $1', [messageId, own.promptId])
    const reply = await sent({ state: 'failed', policy: 'final', errorCode: '131026' }, { id })
    const ids = async (query: string) => (await get(`/v1/messages?${query}`)).body.data.map((row: Json) => row.id)
    expect(await ids(`contact_id=${contactId}`)).toEqual([reply.id, messageId])
    expect(await ids(`number_id=${own.id}&direction=inbound`)).toEqual([messageId])
    expect(await ids(`number_id=${own.id}&status=failed`)).toEqual([reply.id])
    expect(await ids(`prompt_id=${own.promptId}`)).toEqual([messageId])
    expect(await ids(`number_id=${own.id}&until=${new Date(Date.now() - 60_000).toISOString()}`)).toEqual([])
    expect(await ids(`number_id=${own.id}&since=${new Date(Date.now() - 60_000).toISOString()}`)).toHaveLength(2)
    const first = await get(`/v1/messages?number_id=${own.id}&limit=1`)
    expect(await ids(`number_id=${own.id}&limit=1&cursor=${first.body.next_cursor}`)).toEqual([messageId])
  })

  it('tell all that happened to them: attempts, receipts, reactions, revisions', async () => {
    const message = await sent({ state: 'accepted', providerMessageId: 'wamid.out-1' })
    const seal = (value: unknown) => sealJson(office.keyring, value, ours.tenantId)
    const receipt = { kind: 'receipt', to: '1', atMs: 1_763_700_000_000, providerMessageId: 'wamid.out-1', status: 'delivered', pricing: { category: 'service' } }
    await run("INSERT INTO effects (tenant_id, number_id, kind, dedupe_key, provider_message_id, payload_sealed, outcome) VALUES ($1, $2, 'receipt', 'r1', 'wamid.out-1', $3, 'applied')", [ours.tenantId, number.id, seal(receipt)])
    await run("INSERT INTO message_reactions (tenant_id, message_id, actor, emoji, at) VALUES ($1, $2, 'phone:+49', '👍', now())", [ours.tenantId, message.id])
    await run("INSERT INTO message_revisions (id, tenant_id, message_id, change, content_sealed, at) VALUES ($1, $2, $3, 'edited', $4, now())", [newId(), ours.tenantId, message.id, seal({ kind: 'text', text: 'We open at ten.' })])
    const { body } = await get(`/v1/messages/${message.id}`)
    expect(body).toMatchObject({
      status: 'sent',
      provider_message_id: 'wamid.out-1',
      attempts: [{ part: 0, state: 'accepted', attempt: 1, provider_message_id: 'wamid.out-1' }],
      receipts: [{ status: 'delivered', at: '2025-11-21T04:40:00.000Z', outcome: 'applied', pricing: { category: 'service' } }],
      reactions: [{ actor: 'phone:+49', emoji: '👍' }],
      revisions: [{ change: 'edited', content: { kind: 'text', text: 'We open at ten.' } }],
    })
  })

  it("keep the supplier's own keys in form data", async () => {
    const { messageId } = await office.conversation(ours, number)
    const choice = { kind: 'choice', via: 'form', id: 'f', title: 'Form', data: { firstName: 'Ada', screen_0: 1 } }
    await run('UPDATE messages SET kind = $2, content_sealed = $3 WHERE id = $1', [messageId, 'choice', sealJson(office.keyring, choice, ours.tenantId)])
    expect((await get(`/v1/messages/${messageId}`)).body.content).toEqual(choice)
  })
})

describe('messages: sent again by a person', () => {
  it('makes a new attempt, shows the old one with who asked, and really sends', async () => {
    const message = await sent({ state: 'failed', policy: 'final', errorCode: '131026', errorMessage: 'Undeliverable' })
    const { status, body } = await post(`/v1/messages/${message.id}/retry`)
    expect(status).toBe(202)
    expect(body).toMatchObject({ status: 'queued', reason: null, retries: [{ by: expect.stringMatching(/^api_key:/), was: 'failed', reason: 'final:131026', attempts: [{ part: 0, state: 'failed', attempt: 1, error_code: '131026' }] }] })
    expect(await deliver(message.id, { state: 'accepted', providerMessageId: 'wamid.again' })).toBe(1)
    expect((await get(`/v1/messages/${message.id}`)).body).toMatchObject({ status: 'sent', attempts: [{ state: 'accepted', attempt: 2 }], retries: [{ was: 'failed' }] })
  })

  it('makes one new attempt when two people ask at once', async () => {
    const message = await sent({ state: 'failed' })
    const answers = await Promise.all([post(`/v1/messages/${message.id}/retry`), post(`/v1/messages/${message.id}/retry`, {}, ours.owner)])
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([202, 409])
    expect(answers.find((answer) => answer.status === 409)!.body.error).toMatchObject({ code: 'invalid_state', details: { status: 'queued' } })
    expect(await deliver(message.id, { state: 'accepted', providerMessageId: `wamid.${message.id}` })).toBe(1)
    expect((await get(`/v1/messages/${message.id}`)).body.retries).toHaveLength(1)
  })

  it('sends again what the supplier accepted and refused afterwards, and only that part', async () => {
    const { id: conversationId } = await office.conversation(ours, number)
    const { body } = await post(`/v1/conversations/${conversationId}/messages`, { content: { kind: 'text', text: `${'long '.repeat(1_000)}end` } })
    const wamids: string[] = []
    for (let part = 0; part < 2; part++) {
      wamids.push(`wamid.${newId()}`)
      expect(await deliver(body.id, { state: 'accepted', providerMessageId: wamids[part]! })).toBe(1)
    }
    const receipt = { kind: 'receipt', to: '1', atMs: Date.now(), providerMessageId: wamids[1], status: 'failed', error: { code: '131026', title: 'Undeliverable' } }
    await run("INSERT INTO effects (tenant_id, number_id, kind, dedupe_key, provider_message_id, payload_sealed, outcome) VALUES ($1, $2, 'receipt', $3, $3, $4, 'applied')", [ours.tenantId, number.id, wamids[1], sealJson(office.keyring, receipt, ours.tenantId)])
    await run("UPDATE messages SET status = 'failed', reason = '131026' WHERE id = $1", [body.id])

    expect((await post(`/v1/messages/${body.id}/retry`)).status).toBe(202)
    expect(await deliver(body.id, { state: 'accepted', providerMessageId: 'wamid.second-part-again' })).toBe(1)
    const after = (await get(`/v1/messages/${body.id}`)).body
    expect(after).toMatchObject({ status: 'sent', attempts: [{ part: 0, attempt: 1, provider_message_id: wamids[0] }, { part: 1, attempt: 2, provider_message_id: 'wamid.second-part-again' }] })
    expect(after.receipts).toMatchObject([{ status: 'failed', error: { code: '131026' } }])
  })

  it('sends the parts of a message in order, however many there are and however their ids had fallen', async () => {
    const { id: conversationId } = await office.conversation(ours, number)
    const { body } = await post(`/v1/conversations/${conversationId}/messages`, { content: { kind: 'text', text: `${'long '.repeat(4_000)}end` } })
    const outboxIds = async () => (await run('SELECT id FROM outbox WHERE message_id = $1 ORDER BY part', [body.id])).rows.map((row) => (row as { id: string }).id)
    const parts = (await outboxIds()).length
    expect(parts).toBeGreaterThan(3)
    expect(await outboxIds()).toEqual((await outboxIds()).toSorted())
    // As the worker names the parts of an agent's answer: in no order.
    await run("UPDATE outbox SET id = gen_random_uuid(), state = 'failed' WHERE message_id = $1", [body.id])
    await run("UPDATE messages SET status = 'failed' WHERE id = $1", [body.id])
    await post(`/v1/messages/${body.id}/retry`)
    for (let part = 0; part < parts; part++) expect(await deliver(body.id, { state: 'accepted', providerMessageId: `wamid.${body.id}.${part}` })).toBe(1)
    expect((await get(`/v1/messages/${body.id}`)).body.status).toBe('sent')
  })

  it('asks for confirmation when the message may have arrived', async () => {
    const message = await sent({ state: 'unknown', errorMessage: 'timeout' })
    expect((await post(`/v1/messages/${message.id}/retry`)).body.error).toMatchObject({ code: 'invalid_state', param: 'body.confirm' })
    expect((await post(`/v1/messages/${message.id}/retry`, { confirm: true })).status).toBe(202)
  })

  it.each([['accepted'], ['pending']] as const)('refuses what is not lost: %s', async (state) => {
    const message = await sent({ state, providerMessageId: `wamid.${newId()}`, ...(state === 'pending' ? { retryAt: new Date(Date.now() + 60_000) } : {}) })
    expect((await post(`/v1/messages/${message.id}/retry`)).body.error.code).toBe('invalid_state')
  })

  it("refuses a customer's message, an archived conversation and a closed window", async () => {
    const { messageId } = await office.conversation(ours, number)
    expect((await post(`/v1/messages/${messageId}/retry`)).body.error.code).toBe('invalid_state')

    const late = await sent({ state: 'parked', policy: 'window_closed' })
    await run("UPDATE conversations SET last_inbound_at = now() - interval '25 hours' WHERE id = $1", [late.conversationId])
    expect((await post(`/v1/messages/${late.id}/retry`)).body.error.details.reason).toBe('window_closed')

    const other = await office.number(ours)
    const archived = await sent({ state: 'failed' }, await office.conversation(ours, other))
    await office.call('DELETE', `/v1/phone-numbers/${other.id}`, { key: ours.key })
    expect((await post(`/v1/messages/${archived.id}/retry`)).body.error.code).toBe('invalid_state')
  })

  it('waits for the end of the turn that a message belongs to', async () => {
    const message = await sent({ state: 'failed' })
    const turnId = newId()
    await run("INSERT INTO turns (id, tenant_id, number_id, conversation_id, first_seq, seqs, state) VALUES ($1, $2, $3, $4, 1, '{1}', 'answered')", [turnId, ours.tenantId, number.id, message.conversationId])
    await run('UPDATE messages SET turn_id = $2 WHERE id = $1', [message.id, turnId])
    expect((await post(`/v1/messages/${message.id}/retry`)).body.error.code).toBe('invalid_state')
    await run("UPDATE turns SET state = 'retired' WHERE id = $1", [turnId])
    expect((await post(`/v1/messages/${message.id}/retry`)).status).toBe(202)
  })
})

describe('messages: whose they are', () => {
  it('do not exist for another tenant, nor for a key of another project', async () => {
    const message = await sent({ state: 'failed' })
    const stranger = await ours.keyWith(['messages:read', 'messages:write'], await ours.project('staging'))
    for (const key of [theirs.key, stranger]) {
      expect((await get(`/v1/messages/${message.id}`, key)).status).toBe(404)
      expect((await post(`/v1/messages/${message.id}/retry`, {}, key)).status).toBe(404)
      expect((await get('/v1/messages', key)).body.data).toEqual([])
      expect((await get(`/v1/messages?number_id=${number.id}`, key)).body.data).toEqual([])
    }
  })

  it('are sealed in the database', async () => {
    const { messageId } = await office.conversation(ours, number, { text: 'a very private question' })
    const { rows } = await run('SELECT content_sealed FROM messages WHERE id = $1', [messageId])
    expect((rows[0] as { content_sealed: Buffer }).content_sealed.includes('private')).toBe(false)
    expect((await get(`/v1/messages/${messageId}`)).body.content.text).toBe('a very private question')
  })
})
