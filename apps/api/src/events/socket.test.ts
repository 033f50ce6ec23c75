import { newId } from '@trunkline/core'
import { insertProject, type Scope } from '@trunkline/db'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { makeConversation } from '../../../../tests/harness/office.ts'
import { openEventWorld, type Client, type EventWorld } from './testing.ts'
import { EventView } from './view.ts'

let world: EventWorld
let key: string
const clients: Client[] = []
beforeAll(async () => {
  world = await openEventWorld({ recheckMs: 50, sweepMs: 100, heartbeatMs: 200, socketsPerTenant: 6 })
  key = world.tenant.key
})
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.end()))
})
afterAll(() => world.close())

const listen: EventWorld['listen'] = async (credential, query) => {
  const client = await world.listen(credential, query)
  clients.push(client)
  return client
}
const numbered = (count: number, from = 0) => Array.from({ length: count }, (_, index) => `words ${from + index}`)
const sayAll = (texts: string[], tenant = world.tenant) => texts.forEach((text) => world.say(tenant, text))
/** When this has been heard, everything before it would have been. */
async function lastWord(client: Client, tenant = world.tenant): Promise<void> {
  const text = `that was all ${newId()}`
  world.say(tenant, text)
  await client.until(() => client.texts.includes(text))
}

describe('the door', () => {
  it('lets in an API key and a person, by header, query and a browser’s sub-protocol, and answers with no secret', async () => {
    const { as } = world.tenant
    for (const credential of [key, as.owner]) {
      await (await listen(credential)).end()
      await (await listen({ headers: { 'x-api-key': credential } })).end()
      await (await listen({ query: { access_token: credential } })).end()
      const browser = await listen({ protocols: ['trunkline-events', `trunkline-token.${credential}`] })
      expect(browser.socket.protocol).toBe('trunkline-events')
      await browser.end()
    }
  })

  it('refuses over HTTP who has no credentials, wrong ones, or none of the scopes', async () => {
    expect(await world.refusal({})).toMatchObject({ status: 401, code: 'missing_credentials' })
    expect(await world.refusal('nonsense')).toMatchObject({ status: 401, code: 'invalid_token' })
    expect(await world.refusal(`${key.slice(0, -1)}x`)).toMatchObject({ status: 401, code: 'invalid_api_key' })
    expect(await world.refusal({ protocols: ['trunkline-events', 'trunkline-token.nonsense'] })).toMatchObject({ status: 401 })
    expect(await world.refusal(await world.tenant.keyWith(['numbers:read', 'messages:write']))).toMatchObject({ status: 403, code: 'permission_denied' })
  })

  it.each([
    ['a type that does not exist', { types: 'message.seen' }, 400, 'invalid_request', 'query.types'],
    ['a kind that does not exist', { types: 'message.sent,x.*' }, 400, 'invalid_request', 'query.types'],
    ['a conversation that is no id', { conversation_id: '1' }, 400, 'invalid_request', 'query.conversation_id'],
    ['a place that is none', { last_event_id: "1' OR 1=1" }, 400, 'invalid_request', 'query.last_event_id'],
    ['another project', { project_id: newId() }, 403, 'permission_denied', 'query.project_id'],
  ])('refuses %s over HTTP, and says what and where', async (_, query, status, code, param) => {
    expect(await world.refusal(key, query)).toEqual({ status, code, param })
  })

  it('refuses types that the credentials may not hear, by name', async () => {
    const reader = await world.tenant.keyWith(['leads:read'])
    expect(await world.refusal(reader, { types: 'lead.*,message.sent' })).toEqual({ status: 403, code: 'permission_denied', param: 'query.types' })
    await listen(reader, { types: 'lead.*' })
  })

  it('is no page to be read', async () => {
    const answer = await world.call('GET', '/v1/events', { as: key })
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid_request', param: 'headers.upgrade' } } })
  })

  it('holds a tenant to so many sockets, and gives a place back', async () => {
    const tenant = await world.newTenant('Crowded')
    const all = await Promise.all(Array.from({ length: 6 }, () => listen(tenant.key)))
    const extra = new WebSocket(`${world.url.replace('http', 'ws')}/v1/events`, { headers: { authorization: `Bearer ${tenant.key}` } })
    expect(await new Promise((resolve) => extra.once('close', resolve))).toBe(4429)
    await all[0]!.end()
    await expect.poll(() => listen(tenant.key).then(() => 'in', () => 'out')).toBe('in')
  })
})

describe('what is heard', () => {
  it('everything in order, each event once, in the shape that the documents show', async () => {
    const listeners = await Promise.all([listen(key), listen(key), listen(world.tenant.as.viewer)])
    sayAll(numbered(500))
    for (const listener of listeners) {
      await listener.heard(500)
      expect(listener.texts).toEqual(numbered(500))
      expect(new Set(listener.events.map(({ id }) => id)).size).toBe(500)
      expect(listener.events[0]).toMatchObject({ tenant_id: world.tenant.id, project_id: world.tenant.projectId })
      expect(listener.frames.slice(0, 1)).toMatchObject([{ type: 'ready', resumed: false }])
    }
  })

  it('only what belongs to the tenant, whatever is asked for', async () => {
    const stranger = await world.newTenant('Stranger')
    const [ours, theirs] = [await listen(key), await listen(stranger.key, { last_event_id: '1-0', types: 'call.*' })]
    sayAll(['ours'])
    sayAll(['theirs'], stranger)
    await lastWord(ours)
    await lastWord(theirs, stranger)
    expect(ours.texts).not.toContain('theirs')
    expect(theirs.texts.slice(0, 2)).toEqual(['events.gap', 'theirs'])
    // Our place is no key to our events.
    const thief = await listen(stranger.key, { last_event_id: ours.events[0]!.id! })
    await lastWord(thief, stranger)
    expect(JSON.stringify(thief.frames)).not.toContain(world.tenant.id)
  })

  it('an API key: its project’s; a person: every project’s, or one that they choose', async () => {
    const other = newId()
    await world.db.tenant(world.tenant.id, (tx) => insertProject(tx, { id: other, tenantId: world.tenant.id, name: 'Staging', environment: 'staging' }))
    const [program, person, chooser] = [await listen(key), await listen(world.tenant.as.agent), await listen(world.tenant.as.agent, { project_id: other })]
    world.say(world.tenant, 'here')
    world.say(world.tenant, 'there', { projectId: other })
    world.say(world.tenant, 'here again')
    world.say(world.tenant, 'there again', { projectId: other })
    await person.heard(4)
    await Promise.all([program.heard(2), chooser.heard(2)])
    expect(program.texts).toEqual(['here', 'here again'])
    expect(chooser.texts).toEqual(['there', 'there again'])
  })

  it('each type by its scope', async () => {
    const conversation = await ourConversation()
    const only = async (scope: Scope) => listen(await world.tenant.keyWith([scope]))
    const [calls, messages, conversations, leads] = [await only('calls:read'), await only('messages:read'), await only('conversations:read'), await only('leads:read')]
    const leadId = await ourLead(conversation)
    const { projectId } = world.tenant
    world.deps.events.publish(world.tenant.id, [
      { type: 'message.received', projectId: null, data: { message_id: conversation.messageId, status: 'received', reason: null } },
      { type: 'lead.created', projectId, data: { lead_id: leadId } },
      { type: 'conversation.handler_changed', projectId, data: { conversation_id: conversation.id, handler: 'human', was: 'agent' } },
    ])
    world.say(world.tenant, 'words')
    await Promise.all([calls.heard(1), messages.heard(1), conversations.heard(1), leads.heard(1)])
    await world.told()
    expect([calls, messages, conversations, leads].map((listener) => listener.events.map(({ type }) => type))).toEqual([['call.transcript'], ['message.received'], ['conversation.handler_changed'], ['lead.created']])
    for (const { events } of [calls, messages, conversations, leads]) expect(EventView.safeParse(events[0]).error).toBeUndefined()
  })

  it('messages, leads and conversations as REST shows them', async () => {
    const conversation = await ourConversation()
    const leadId = await ourLead(conversation)
    const listener = await listen(key)
    await world.call('POST', `/v1/conversations/${conversation.id}/take-over`, { as: key, body: {} })
    await world.call('PATCH', `/v1/leads/${leadId}`, { as: key, body: { status: 'won' } })
    world.deps.events.publish(world.tenant.id, [{ type: 'message.received', projectId: null, data: { message_id: conversation.messageId, status: 'received', reason: null } }])
    await listener.heard(3)
    const rest = async (path: string) => JSON.parse((await world.call('GET', path, { as: key })).text) as Record<string, unknown>
    const [hands, lead, message] = listener.events
    const { contact: _, ...shown } = await rest(`/v1/conversations/${conversation.id}`)
    expect(hands).toMatchObject({ type: 'conversation.handler_changed', data: { handler: 'human', was: 'agent', conversation: shown } })
    expect(lead).toMatchObject({ type: 'lead.updated', data: { lead: await rest(`/v1/leads/${leadId}`) } })
    const list = await rest(`/v1/messages?conversation_id=${conversation.id}`)
    expect(message!.data.message).toEqual({ ...(list['data'] as Record<string, unknown>[])[0], status: 'received' })
    expect(message!.data.message).toMatchObject({ content: { kind: 'text', text: 'When do you open?' } })
  })

  it('nothing for a change that changed nothing, or that was not committed', async () => {
    const conversation = await ourConversation()
    const listener = await listen(key)
    await world.call('POST', `/v1/conversations/${conversation.id}/hand-back`, { as: key, body: {} })
    await world.call('PATCH', `/v1/conversations/${newId()}`, { as: key, body: { handler: 'human' } })
    await lastWord(listener)
    expect(listener.events).toHaveLength(1)
  })
})

describe('subscribing', () => {
  it('replaces what the address said, and is answered', async () => {
    const listener = await listen(key, { types: 'lead.*' })
    const place = newId()
    world.say(world.tenant, 'not wanted', { conversationId: place })
    listener.send({ type: 'subscribe', types: ['call.*'], conversation_id: place })
    expect(await listener.frame('subscribed')).toMatchObject({ types: ['call.initiated', 'call.ringing', 'call.connected', 'call.transcript', 'call.ended'], conversation_id: place })
    world.say(world.tenant, 'elsewhere', { conversationId: newId() })
    world.say(world.tenant, 'wanted', { conversationId: place })
    await listener.until(() => listener.texts.includes('wanted'))
    expect(listener.texts).not.toContain('elsewhere')
    listener.send({ type: 'subscribe' })
    await listener.until((frames) => frames.filter(({ type }) => type === 'subscribed').length === 2)
    await lastWord(listener)
  })

  it.each([
    ['no JSON', '{', 'invalid_json', 'frame'],
    ['a list', '[]', 'invalid_request', 'frame'],
    ['an unknown type of frame', '{"type":"listen"}', 'invalid_request', 'frame.type'],
    ['an unknown field', '{"type":"ping","x":1}', 'invalid_request', 'frame'],
    ['no types at all', '{"type":"subscribe","types":[]}', 'invalid_request', 'frame.types'],
    ['a type that does not exist', '{"type":"subscribe","types":["call.over"]}', 'invalid_request', 'frame.types'],
    ['too many types', JSON.stringify({ type: 'subscribe', types: Array.from({ length: 33 }, () => 'call.*') }), 'invalid_request', 'frame.types'],
    ['a conversation that is no id', '{"type":"subscribe","conversation_id":"1"}', 'invalid_request', 'frame.conversation_id'],
    ['another project', `{"type":"subscribe","project_id":"${newId()}"}`, 'permission_denied', 'frame.project_id'],
  ])('answers %s with an error, keeps the filter and stays', async (_, text, code, param) => {
    const listener = await listen(key)
    listener.send(text)
    expect((await listener.frame('error')).error).toMatchObject({ code, param })
    listener.send({ type: 'ping' })
    expect(await listener.frame('pong')).toMatchObject({ last_event_id: expect.stringMatching(/^\d+-\d+$/) as string })
    await lastWord(listener)
  })

  it('closes on frames that are not text, too large, too many or wrong all the time', async () => {
    const binary = await listen(key)
    binary.socket.send(Buffer.from([1, 2, 3]))
    expect(await binary.closed).toBe(1003)
    const large = await listen(key)
    large.send('x'.repeat(5_000))
    expect(await large.closed).toBe(1009)
    const flood = await listen(key)
    for (let count = 0; count < 30; count++) flood.send({ type: 'ping' })
    expect(await flood.closed).toBe(1008)
  })
})

describe('who may not listen any more', () => {
  it('is sent away when the key is revoked, and others stay', async () => {
    const made = await world.call('POST', '/v1/admin/keys', { as: world.tenant.as.owner, body: { name: 'wallboard', scopes: ['calls:read'], project_id: world.tenant.projectId } })
    const [listener, bystander] = [await listen(String(made.body['key'])), await listen(key)]
    await world.call('DELETE', `/v1/admin/keys/${String(made.body['id'])}`, { as: world.tenant.as.owner })
    expect(await listener.closed).toBe(4401)
    await lastWord(bystander)
  })

  it('is sent away when the session ends', async () => {
    const tenant = await world.newTenant('Leavers')
    const listener = await listen(tenant.as.admin)
    await world.call('POST', '/v1/auth/logout-all', { as: tenant.as.admin, body: {} })
    expect(await listener.closed).toBe(4401)
  })

  it('is sent away when the tenant is suspended', async () => {
    const tenant = await world.newTenant('Debtors')
    const [program, person] = [await listen(tenant.key), await listen(tenant.as.owner)]
    await world.db.system('test', (tx) => tx.query("UPDATE tenants SET status = 'suspended' WHERE id = $1", [tenant.id]))
    await world.deps.access.dropTenant(tenant.id)
    expect(await Promise.all([program.closed, person.closed])).toEqual([4403, 4403])
    expect(await world.refusal(tenant.key)).toMatchObject({ status: 403, code: 'tenant_suspended' })
  })
})

async function ourConversation() {
  const line = await world.call('POST', '/v1/phone-numbers', { as: key, body: { type: 'webchat', name: 'Chat', settings: { allowed_origins: ['https://shop.example.com'] } } })
  const numberId = String(line.body['id'])
  const place = { tenantId: world.tenant.id, projectId: world.tenant.projectId }
  const made = await world.db.tenant(world.tenant.id, (tx) => makeConversation(tx, world.deps.keyring, place, { id: numberId, agentId: null }))
  return { ...made, numberId }
}

async function ourLead({ id, numberId, contactId }: { id: string; numberId: string; contactId: string }): Promise<string> {
  const leadId = newId()
  const values = [leadId, world.tenant.id, world.tenant.projectId, id, numberId, contactId]
  await world.db.tenant(world.tenant.id, (tx) => tx.query("INSERT INTO leads (id, tenant_id, project_id, conversation_id, number_id, contact_id, name, extracted_seq, extracted_by) VALUES ($1, $2, $3, $4, $5, $6, 'Ada', 1, 'rules')", values))
  return leadId
}
