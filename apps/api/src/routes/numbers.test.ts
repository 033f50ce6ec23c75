import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSandbox, type Sandbox } from '../../../sandbox/src/index.ts'
import { openOffice, type Json, type Office, type Tenant } from '../../../../tests/harness/office.ts'

let sandbox: Sandbox
let office: Office
let ours: Tenant
let theirs: Tenant
const address = '106540352242922'
const secrets = { access_token: 'sandbox-access-token', app_secret: 'sandbox-app-secret' }

beforeAll(async () => {
  sandbox = await startSandbox({ numbers: [{ phone_number_id: address }, { phone_number_id: '2065' }, { phone_number_id: '3065' }] })
  office = await openOffice({ graphUrl: sandbox.url })
  ;[ours, theirs] = [await office.tenant(), await office.tenant()]
})
afterAll(async () => {
  await office.close()
  await sandbox.close()
})

const create = (body: Json, key = ours.key) => office.call('POST', '/v1/phone-numbers', { key, body: { type: 'whatsapp', name: 'Front desk', credentials: secrets, ...body } })
const rows = <Row extends object>(sql: string, values: unknown[] = [], tenant = ours) => office.db.tenant(tenant.tenantId, async (tx) => (await tx.query<Row & Record<string, unknown>>(sql, values)).rows)

describe('numbers: what they are for', () => {
  it('connects a number after the supplier accepted its credentials, with a lane and an audit entry', async () => {
    const { status, body } = await create({ address })
    expect(status).toBe(201)
    expect(body).toMatchObject({ type: 'whatsapp', address, project_id: ours.projectId, status: 'active', order_mode: 'number', settings: { graph_version: 'v23.0' } })
    expect(await rows('SELECT number_id FROM lanes WHERE number_id = $1', [body.id])).toHaveLength(1)
    expect(await rows("SELECT action FROM audit_entries WHERE target_id = $1 AND action = 'number.created'", [body.id])).toHaveLength(1)
  })

  it('invents a verify token and shows where webhooks go', async () => {
    const { body } = await create({ address: '2065' })
    expect(body.webhook).toEqual({ url: `http://api.test/webhooks/whatsapp/${body.id}`, verify_token: expect.stringMatching(/^[\w-]{32}$/) })
    const again = await office.call('GET', `/v1/phone-numbers/${body.id}`, { key: ours.key })
    expect(again.body.webhook.verify_token).toBe(body.webhook.verify_token)
  })

  it('routes it with opened credentials, and hears of changes at once', async () => {
    const number = await office.number(ours)
    expect(await office.routing.numberForRouting(number.id)).toMatchObject({ status: 'active', credentials: { access_token: 'sandbox-access-token' }, agent: { id: number.agentId, promptVersion: 1, content: { instructions: 'Be kind.' } } })
    await office.call('POST', `/v1/phone-numbers/${number.id}/stop`, { key: ours.key, body: { reason: 'holiday' } })
    expect(await office.routing.numberForRouting(number.id)).toMatchObject({ status: 'stopped' })
    const resumed = await office.call('POST', `/v1/phone-numbers/${number.id}/resume`, { key: ours.key })
    expect(resumed.body).toMatchObject({ status: 'active', stop_reason: null })
    expect(await office.routing.numberForRouting(number.id)).toMatchObject({ status: 'active' })
  })

  it('rotates one secret, keeps the others and goes on accepting the old signature', async () => {
    const { body } = await create({ address: '3065' })
    const answer = await office.call('POST', `/v1/phone-numbers/${body.id}/credentials`, { key: ours.key, body: { credentials: { app_secret: 'another-app-secret-9876' }, verify: false } })
    expect(answer.status).toBe(200)
    expect((await office.routing.numberForRouting(body.id))?.credentials).toMatchObject({ access_token: secrets.access_token, app_secret: 'another-app-secret-9876', previous_app_secret: secrets.app_secret })
  })

  it('makes a web chat without credentials, whose address is its id', async () => {
    const { status, body } = await create({ type: 'webchat', credentials: {}, settings: { allowed_origins: ['https://shop.example.com'] } })
    expect(status).toBe(201)
    expect(body.address).toBe(body.id)
    expect(body.credentials_set).toEqual([])
  })

  it('changes order and window, and lists by type with a cursor', async () => {
    const { id } = await office.number(ours, 'instagram')
    await office.number(ours, 'instagram')
    const changed = await office.call('PATCH', `/v1/phone-numbers/${id}`, { key: ours.key, body: { order_mode: 'conversation', window_size: 4 } })
    expect(changed.body).toMatchObject({ order_mode: 'conversation', window_size: 4, coalesce_ms: 1000 })
    const first = await office.call('GET', '/v1/phone-numbers?type=instagram&limit=1', { key: ours.key })
    const second = await office.call('GET', `/v1/phone-numbers?type=instagram&limit=1&cursor=${first.body.next_cursor}`, { key: ours.key })
    expect([first.body.has_more, second.body.has_more, second.body.next_cursor]).toEqual([true, false, null])
    expect(second.body.data[0].id).toBe(id)
  })

  it('archives the conversations of a deleted number and ends its agent, in one go', async () => {
    const number = await office.number(ours)
    const conversation = await office.conversation(ours, number)
    const { status, body } = await office.call('DELETE', `/v1/phone-numbers/${number.id}`, { key: ours.key })
    expect(status).toBe(200)
    expect(body).toMatchObject({ deleted: true, archived_conversations: 1 })
    const [row] = await rows<{ status: string; archive_id: string }>('SELECT status, archive_id FROM conversations WHERE id = $1', [conversation.id])
    expect(row).toEqual({ status: 'archived', archive_id: body.archive_id })
    expect((await office.call('GET', `/v1/agents/${number.agentId}`, { key: ours.key })).body.ended_at).not.toBeNull()
    expect((await office.call('GET', `/v1/phone-numbers/${number.id}`, { key: ours.key })).status).toBe(404)
    expect(await office.routing.numberForRouting(number.id)).toMatchObject({ status: 'deleted', agent: null })
  })

  it('may use the address of a deleted number again', async () => {
    const first = await create({ address: '777', verify: false })
    expect((await create({ address: '777', verify: false })).body.error).toMatchObject({ code: 'conflict', param: 'body.address' })
    await office.call('DELETE', `/v1/phone-numbers/${first.body.id}`, { key: ours.key })
    expect((await create({ address: '777', verify: false })).status).toBe(201)
  })

  it('shows notices and takes the first acknowledgement', async () => {
    const { id } = await office.number(ours)
    const notice = '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b'
    await rows("INSERT INTO number_notices (id, tenant_id, number_id, topic, severity, data) VALUES ($1, $2, $3, 'quality', 'warning', $4)", [notice, ours.tenantId, id, JSON.stringify({ newQuality: 'RED' })])
    const listed = await office.call('GET', `/v1/phone-numbers/${id}/notices?acknowledged=false`, { key: ours.key })
    expect(listed.body.data).toMatchObject([{ topic: 'quality', data: { newQuality: 'RED' }, acknowledged_at: null }])
    const path = `/v1/phone-numbers/${id}/notices/${notice}/acknowledge`
    const once = await office.call('POST', path, { key: ours.key })
    const twice = await office.call('POST', path, { key: ours.key })
    expect(once.body.acknowledged_at).toBe(twice.body.acknowledged_at)
    expect((await office.call('GET', `/v1/phone-numbers/${id}/notices?acknowledged=false`, { key: ours.key })).body.data).toEqual([])
  })
})

describe('numbers: what is refused', () => {
  it.each([
    [{ type: 'fax', address: '1' }, 'invalid_request', 'body.type'],
    [{ address: '1', credentials: { app_secret: secrets.app_secret } }, 'invalid_request', 'body.credentials.access_token'],
    [{ address: '1', credentials: { ...secrets, acess_token: 'x' } }, 'invalid_request', 'body.credentials.acess_token'],
    [{ address: '1', settings: { graph_version: 'latest' } }, 'invalid_request', 'body.settings.graph_version'],
    [{ address: '1', window_size: 0 }, 'invalid_request', 'body.window_size'],
    [{ address: '1', colour: 'red' }, 'invalid_request', 'body.colour'],
    [{}, 'invalid_request', 'body.address'],
    [{ type: 'webchat', credentials: {}, address: '1' }, 'invalid_request', 'body.address'],
    [{ address, credentials: { ...secrets, access_token: 'wrong' } }, 'invalid_credentials', 'body.credentials.access_token'],
    [{ address: '404404' }, 'invalid_credentials', 'body.address'],
  ])('names the field: %j -> %s %s', async (body, code, param) => {
    const before = await rows('SELECT id FROM phone_numbers')
    const answer = await create(body)
    expect(answer.body.error).toMatchObject({ code, param })
    expect(answer.status).toBeLessThan(500)
    expect(await rows('SELECT id FROM phone_numbers')).toHaveLength(before.length)
  })

  it('refuses unknown projects and projects of others', async () => {
    const key = ours.key
    expect((await create({ address: '9', verify: false, project_id: theirs.projectId }, key)).body.error).toMatchObject({ code: 'permission_denied', param: 'body.project_id' })
  })
})

describe('numbers: what stays secret', () => {
  it('never shows a secret, only which are set and how they end', async () => {
    const { body } = await create({ address: '888', verify: false, credentials: { ...secrets, access_token: 'EAAG-very-secret-token-x7Qz' } })
    const text = JSON.stringify([body, (await office.call('GET', `/v1/phone-numbers/${body.id}`, { key: ours.key })).body, await rows('SELECT changes FROM audit_entries')])
    expect(text).not.toContain('very-secret')
    expect(text).not.toContain(secrets.app_secret)
    expect(body.credentials_set).toContainEqual({ name: 'access_token', last_four: 'x7Qz' })
  })

  it('keeps secrets sealed in the database and in Redis', async () => {
    const { body } = await create({ address: '889', verify: false, credentials: { ...secrets, access_token: 'EAAG-another-secret-token' } })
    await office.routing.numberForRouting(body.id)
    const [row] = await rows<{ credentials_sealed: Buffer }>('SELECT credentials_sealed FROM phone_numbers WHERE id = $1', [body.id])
    expect(row!.credentials_sealed.includes('another-secret')).toBe(false)
    const prefix = office.redis.options.keyPrefix ?? ''
    const keys = (await office.redis.keys(`${prefix}*${body.id}*`)).map((key) => key.slice(prefix.length))
    const values = await Promise.all(keys.map((key) => office.redis.get(key)))
    expect(keys.length).toBeGreaterThan(0)
    expect(values.join()).not.toContain('another-secret')
  })

  it('shows the verify token to those who may write numbers only', async () => {
    const { body } = await create({ address: '890', verify: false })
    const reader = await ours.keyWith(['numbers:read'])
    expect((await office.call('GET', `/v1/phone-numbers/${body.id}`, { key: reader })).body.webhook.verify_token).toBeNull()
    expect((await office.call('POST', `/v1/phone-numbers/${body.id}/stop`, { key: reader })).body.error.code).toBe('permission_denied')
  })

  it('does not exist for another tenant, nor for a key of another project', async () => {
    const { id } = await office.number(ours)
    const stranger = await ours.keyWith(['numbers:read', 'numbers:write'], await ours.project('staging'))
    for (const key of [theirs.key, stranger]) {
      const probes = [
        office.call('GET', `/v1/phone-numbers/${id}`, { key }),
        office.call('PATCH', `/v1/phone-numbers/${id}`, { key, body: { name: 'x' } }),
        office.call('DELETE', `/v1/phone-numbers/${id}`, { key }),
        office.call('POST', `/v1/phone-numbers/${id}/stop`, { key }),
        office.call('POST', `/v1/phone-numbers/${id}/credentials`, { key, body: { credentials: {}, verify: false } }),
        office.call('GET', `/v1/phone-numbers/${id}/notices`, { key }),
      ]
      expect((await Promise.all(probes)).map((answer) => answer.status)).toEqual([404, 404, 404, 404, 404, 404])
      expect(JSON.stringify((await office.call('GET', '/v1/phone-numbers?limit=100', { key })).body)).not.toContain(id)
    }
  })
})
