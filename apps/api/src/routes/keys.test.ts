import { verify } from '@node-rs/argon2'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWorld, type Answer, type TestTenant, type World } from '../../../../tests/isolation/world.ts'

let world: World
let tenant: TestTenant
beforeAll(async () => {
  world = await createWorld()
  tenant = await world.newTenant('Ours')
})
afterAll(() => world.close())

const create = (body: object, as = tenant.key) => world.call('POST', '/v1/admin/keys', { as, body: { name: 'Website', scopes: ['projects:read'], ...body } })
const use = (key: unknown) => world.call('GET', '/v1/admin/projects', { as: String(key) })
const code = (answer: Answer) => answer.body.error?.code as unknown as string | undefined
const rotate = (id: unknown, body: object = {}) => world.call('POST', `/v1/admin/keys/${String(id)}/rotate`, { as: tenant.key, body })

describe('API keys', () => {
  it('show their text once and never again', async () => {
    const made = await create({})
    expect(made.status).toBe(201)
    const key = String(made.body.key)
    expect(key).toMatch(/^tl_live_/)
    expect((await use(key)).status).toBe(200)
    const [one, list] = [await world.call('GET', `/v1/admin/keys/${String(made.body.id)}`, { as: tenant.key }), await world.call('GET', '/v1/admin/keys', { as: tenant.key })]
    for (const answer of [one, list]) expect(answer.text).not.toContain(key.slice(25, 45))
    expect(one.body).toMatchObject({ last_four: key.slice(-4), name: 'Website', scopes: ['projects:read'] })
  })

  it('are kept as an Argon2id hash that fits and a digest that tells nothing', async () => {
    const made = await create({})
    const { rows } = await world.db.tenant(tenant.id, (tx) => tx.query<{ secret_hash: string }>('SELECT * FROM api_keys WHERE id = $1', [made.body.id]))
    expect(rows[0]!.secret_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(await verify(rows[0]!.secret_hash, String(made.body.key))).toBe(true)
    expect(JSON.stringify(rows)).not.toContain(String(made.body.key).slice(25, 45))
  })

  it('go by Bearer or X-API-Key, and not by the query', async () => {
    const key = String((await create({})).body.key)
    const bare = (headers: Record<string, string>, query = '') => world.call('GET', `/v1/admin/projects${query}`, { headers })
    expect((await bare({ 'x-api-key': key })).status).toBe(200)
    expect((await bare({ authorization: `bearer ${key}` })).status).toBe(200)
    expect(code(await bare({}, `?access_token=${key}`))).toBe('missing_credentials')
  })

  it('do only what their scopes say', async () => {
    const key = String((await create({})).body.key)
    const answer = await world.call('POST', '/v1/admin/projects', { as: key, body: { name: 'x', environment: 'staging' } })
    expect(answer).toMatchObject({ status: 403, body: { error: { code: 'permission_denied', details: { needs: 'projects:write' } } } })
  })

  it('cannot give more than their maker has', async () => {
    const weak = await tenant.keyWith(['keys:write', 'projects:read'])
    expect((await create({}, weak)).status).toBe(201)
    const greedy = await create({ scopes: ['projects:read', 'members:write'] }, weak)
    expect(greedy).toMatchObject({ status: 403, body: { error: { param: 'body.scopes', details: { scopes: ['members:write'] } } } })
    const developer = await create({ scopes: ['audit:read'] }, tenant.as.developer)
    expect(developer.status).toBe(403)
  })

  it('of one project neither see nor make those of another', async () => {
    const other = await world.call('POST', '/v1/admin/projects', { as: tenant.key, body: { name: 'Elsewhere', environment: 'development' } })
    const there = await create({ project_id: other.body.id, scopes: ['keys:read', 'keys:write'] }, tenant.as.owner)
    expect(String(there.body.key)).toMatch(/^tl_dev_/)
    const listed = await world.call('GET', '/v1/admin/keys', { as: String(there.body.key) })
    expect((listed.body.data as unknown as { id: string }[]).map((key) => key.id)).toEqual([there.body.id])
    const mine = await create({})
    expect((await world.call('DELETE', `/v1/admin/keys/${String(mine.body.id)}`, { as: String(there.body.key) })).status).toBe(404)
    expect(await create({ project_id: tenant.projectId, scopes: ['keys:read'] }, String(there.body.key))).toMatchObject({ status: 404, body: { error: { param: 'body.project_id' } } })
  })

  it('are refused at once when revoked, and revoking twice is one audit entry', async () => {
    const made = await create({})
    expect((await use(made.body.key)).status).toBe(200)
    for (let i = 0; i < 2; i++) expect((await world.call('DELETE', `/v1/admin/keys/${String(made.body.id)}`, { as: tenant.key })).status).toBe(200)
    expect(code(await use(made.body.key))).toBe('invalid_api_key')
    const audit = await world.call('GET', `/v1/audit?target_id=${String(made.body.id)}&action=key.revoked`, { as: tenant.key })
    expect(audit.body.data).toHaveLength(1)
  })

  it('both work in the grace of a rotation, and only the new one after it', async () => {
    const made = await create({})
    const rotated = await rotate(made.body.id)
    expect(rotated.status).toBe(201)
    for (const key of [made.body.key, rotated.body.key]) expect((await use(key)).status).toBe(200)
    const old = (await world.call('GET', `/v1/admin/keys/${String(made.body.id)}`, { as: tenant.key })).body
    expect(old.rotated_to).toBe(rotated.body.id)
    const graceMs = Date.parse(String(old.grace_until)) - Date.now()
    expect(graceMs).toBeGreaterThan(86_300_000)
    expect(graceMs).toBeLessThanOrEqual(86_400_000)
    const atOnce = await rotate(rotated.body.id, { grace_seconds: 0 })
    expect(code(await use(rotated.body.key))).toBe('invalid_api_key')
    expect((await use(atOnce.body.key)).status).toBe(200)
  })

  it('are rotated once, also by two at the same moment', async () => {
    const made = await create({})
    const both = await Promise.all([rotate(made.body.id), rotate(made.body.id)])
    expect(both.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([201, 409])
    const { rows } = await world.db.tenant(tenant.id, (tx) => tx.query('SELECT rotated_to FROM api_keys WHERE id = $1', [made.body.id]))
    expect(rows).toEqual([{ rotated_to: both.find((answer) => answer.status === 201)!.body.id }])
  })

  it.each([
    [{ grace_seconds: 7 * 86_400 + 1 }, 'body.grace_seconds'],
    [{ grace_seconds: -1 }, 'body.grace_seconds'],
    [{ expires_at: '2020-01-01T00:00:00Z' }, 'body.expires_at'],
  ])('refuse a rotation with %j', async (body, param) => {
    const made = await create({})
    expect((await rotate(made.body.id, body)).body.error).toMatchObject({ param })
  })

  it('stop with their project, and with their tenant at once', async () => {
    const place = await world.newTenant('Stops')
    const project = await world.call('POST', '/v1/admin/projects', { as: place.key, body: { name: 'Short', environment: 'staging' } })
    const made = await create({ project_id: project.body.id }, place.as.owner)
    expect((await use(made.body.key)).status).toBe(200)
    await world.call('DELETE', `/v1/admin/projects/${String(project.body.id)}`, { as: place.as.owner })
    expect(code(await use(made.body.key))).toBe('invalid_api_key')
    expect((await use(place.key)).status).toBe(200)
    await world.db.system('test', (tx) => tx.query("UPDATE users SET platform_admin = true WHERE id = $1", [tenant.userIds.owner]))
    await world.deps.access.dropTenant(tenant.id)
    const suspended = await world.call('POST', `/v1/admin/tenants/${place.id}/suspend`, { as: tenant.as.owner })
    expect(suspended.body).toMatchObject({ status: 'suspended' })
    expect(code(await use(place.key))).toBe('tenant_suspended')
    expect(code(await world.call('GET', '/v1/auth/me', { as: place.as.owner }))).toBe('tenant_suspended')
    await world.call('POST', `/v1/admin/tenants/${place.id}/resume`, { as: tenant.as.owner })
    expect((await use(place.key)).status).toBe(200)
  })
})

describe('secrets lent by a tenant', () => {
  it('are stored sealed, replaced, listed without their value, and deleted', async () => {
    const secret = 'sk-canary-0123456789abcdef'
    for (const key of ['sk-first-0123456789', secret]) expect((await world.call('PUT', '/v1/admin/vendor-keys/openai', { as: tenant.key, body: { key } })).status).toBe(200)
    await world.call('PUT', '/v1/admin/tool-secrets/CRM', { as: tenant.key, body: { value: secret } })
    const answers = [await world.call('GET', '/v1/admin/vendor-keys', { as: tenant.key }), await world.call('GET', '/v1/admin/tool-secrets', { as: tenant.key }), await world.call('GET', '/v1/audit', { as: tenant.key })]
    expect(answers[0]!.body.data).toMatchObject([{ vendor: 'openai', last_four: 'cdef' }])
    for (const answer of answers) expect(answer.text).not.toContain('canary')
    const { rows } = await world.db.tenant(tenant.id, (tx) => tx.query<{ sealed: Buffer }>('SELECT key_sealed AS sealed FROM vendor_keys UNION ALL SELECT value_sealed FROM tool_secrets'))
    expect(rows).toHaveLength(2)
    for (const { sealed } of rows) expect(sealed.includes('canary')).toBe(false)
    expect((await world.call('DELETE', '/v1/admin/vendor-keys/openai', { as: tenant.key })).status).toBe(200)
    expect((await world.call('DELETE', '/v1/admin/vendor-keys/openai', { as: tenant.key })).status).toBe(404)
  })
})
