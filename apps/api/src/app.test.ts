import { AppError } from '@trunkline/core'
import { connectDb, isDatabaseAway } from '@trunkline/db'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startFaultProxy } from '../../../tests/harness/fault-proxy.ts'
import { createWorld, TEST_CONFIG, type TestTenant, type World } from '../../../tests/isolation/world.ts'
import { buildApp } from './app.ts'

let world: World
let tenant: TestTenant
beforeAll(async () => {
  world = await createWorld()
  tenant = await world.newTenant('Ours')
})
afterAll(() => world.close())

const project = (name: unknown = `p${Math.random()}`) => ({ name, environment: 'staging' })
const create = (body: unknown, headers: Record<string, string> = {}) => world.call('POST', '/v1/admin/projects', { as: tenant.key, body, headers })
const raw = (payload: string | Buffer, type = 'application/json') =>
  world.app.inject({ method: 'POST', url: '/v1/admin/projects', headers: { authorization: `Bearer ${tenant.key}`, 'content-type': type }, payload }).then((response) => ({ status: response.statusCode, ...response.json<{ error: { code: string; param: string | null; request_id: string } }>(), headers: response.headers }))

describe('errors', () => {
  it('name the field and keep the one shape', async () => {
    const answer = await create({ name: '', environment: 'moon', extra: 1 })
    expect(answer.status).toBe(400)
    expect(answer.body.error).toMatchObject({ type: 'invalid_request_error', code: 'invalid_request', param: 'body.name', request_id: answer.headers['x-request-id'] })
    const params = (answer.body.error!.details!.issues as unknown as { param: string }[]).map((issue) => issue.param)
    expect(params).toEqual(['body.name', 'body.environment', 'body.extra'])
  })

  it.each([
    ['no JSON', '{"name":', 'application/json', 400, 'invalid_json'],
    ['nothing', '', 'application/json', 400, 'invalid_json'],
    ['a poisoned prototype', '{"__proto__":{"x":1},"name":"x"}', 'application/json', 400, 'invalid_json'],
    ['another content type', 'name=x', 'application/x-www-form-urlencoded', 415, 'unsupported_media_type'],
    ['two megabytes', JSON.stringify({ name: 'x'.repeat(2_000_000) }), 'application/json', 413, 'payload_too_large'],
    ['a tower of brackets', '['.repeat(100_000) + ']'.repeat(100_000), 'application/json', 400, 'invalid_request'],
    ['a list', '[]', 'application/json', 400, 'invalid_request'],
    ['null', 'null', 'application/json', 400, 'invalid_request'],
  ])('answer %s with a 4xx of its own', async (_name, payload, type, status, code) => {
    const answer = await raw(payload, type)
    expect([answer.status, answer.error.code]).toEqual([status, code])
  })

  it('tell an unknown route from a wrong method', async () => {
    expect((await world.call('GET', '/v1/nothing')).body.error).toMatchObject({ code: 'not_found' })
    const wrong = await world.call('PUT', `/v1/admin/projects/${tenant.projectId}`, { as: tenant.key })
    expect(wrong.status).toBe(405)
    expect(String(wrong.headers['allow']).split(', ').toSorted()).toEqual(['DELETE', 'GET', 'PATCH'])
  })

  it('tell nothing of what went wrong inside', async () => {
    const broken = await createWorld({ provision: () => Promise.reject(new Error('relation "secret_table" does not exist')) })
    const answer = await broken.call('POST', '/v1/auth/signup', { body: { email: 'a@example.com', password: 'correct horse battery', name: 'A', tenant_name: 'T' } })
    expect([answer.status, answer.body.error!.code]).toEqual([500, 'internal'])
    expect(answer.text).not.toContain('secret_table')
    await broken.close()
  })

  it('are 503 when the connections to Postgres are cut, and all is well once it is back', async () => {
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(world.database.url).port) })
    const url = new URL(world.database.url)
    url.port = String(proxy.port)
    const db = connectDb({ url: url.href, secret: world.database.secret })
    const app = await buildApp({ ...world.deps, db, metrics: new Registry() })
    const list = async () => {
      const response = await app.inject({ url: '/v1/admin/projects', headers: { authorization: `Bearer ${tenant.key}` } })
      return [response.statusCode, response.json<{ error?: { code: string } }>().error?.code]
    }
    expect(await list()).toEqual([200, undefined])
    proxy.set({ refuse: true })
    proxy.cutAll()
    for (let i = 0; i < 3; i++) expect(await list()).toEqual([503, 'unavailable'])
    proxy.set({})
    await expect.poll(list).toEqual([200, undefined])
    await app.close()
    await db.close()
    await proxy.close()
  })

  it('are 503 with Retry-After while Postgres is away', async () => {
    const away = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    expect(isDatabaseAway(new Error('wrapped', { cause: away }))).toBe(true)
    const refusing = () => Promise.reject(away)
    const down = await createWorld()
    down.deps.db.tenant = refusing
    const answer = await down.call('GET', '/v1/admin/projects', { as: (await down.newTenant('Down')).key })
    expect(answer).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } }, headers: { 'retry-after': '1' } })
    await down.close()
  })

  it('refuse a cursor that is not ours, and a page size out of range', async () => {
    const list = (query: string) => world.call('GET', `/v1/admin/projects?${query}`, { as: tenant.key })
    expect((await list('cursor=abc')).body.error).toMatchObject({ param: 'query.cursor' })
    expect((await list('limit=101')).body.error).toMatchObject({ param: 'query.limit' })
  })
})

describe('pages', () => {
  it('walk through everything once, newest first', async () => {
    const { as: { owner } } = await world.newTenant('Pages')
    for (let i = 0; i < 5; i++) await world.call('POST', '/v1/admin/projects', { as: owner, body: project(`page ${i}`) })
    const names: string[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await world.call('GET', `/v1/admin/projects?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`, { as: owner })
      names.push(...(page.body.data as unknown as { name: string }[]).map((item) => item.name))
      cursor = page.body.next_cursor as unknown as string | null
      expect(page.body.has_more).toBe(cursor !== null)
    }
    expect(names).toEqual(['page 4', 'page 3', 'page 2', 'page 1', 'page 0', 'Production'])
  })
})

describe('Idempotency-Key', () => {
  const key = () => `key-${Math.random()}`
  const count = async (name: string) => (await world.db.tenant(tenant.id, (tx) => tx.query('SELECT 1 FROM projects WHERE name = $1', [name]))).rowCount

  it('gives the first answer again, byte for byte, and does the work once', async () => {
    const headers = { 'idempotency-key': key() }
    const body = project('once')
    const first = await create(body, headers)
    const second = await create(body, headers)
    expect([first.status, second.status]).toEqual([201, 201])
    expect(second.text).toBe(first.text)
    expect([first.headers['idempotency-replayed'], second.headers['idempotency-replayed']]).toEqual([undefined, 'true'])
    expect(await count('once')).toBe(1)
  })

  it('keeps refusals too, but not validation failures', async () => {
    await create(project('taken'))
    const headers = { 'idempotency-key': key() }
    expect((await create(project(''), headers)).status).toBe(400)
    expect((await create(project('taken'), headers)).status).toBe(409)
    expect((await create(project('taken'), headers)).headers['idempotency-replayed']).toBe('true')
  })

  it('refuses the same key with another body', async () => {
    const headers = { 'idempotency-key': key() }
    await create(project('first'), headers)
    expect((await create(project('second'), headers)).body.error).toMatchObject({ code: 'idempotency_mismatch', param: 'headers.idempotency-key' })
    expect(await count('second')).toBe(0)
  })

  it('lets one of fifty concurrent twins through', async () => {
    const headers = { 'idempotency-key': key() }
    const answers = await Promise.all(Array.from({ length: 50 }, () => create(project('twins'), headers)))
    const codes = answers.filter((answer) => answer.status !== 201).map((answer) => answer.body.error!.code as unknown as string)
    expect(codes.filter((code) => code !== 'idempotency_in_progress')).toEqual([])
    expect(await count('twins')).toBe(1)
  })

  it('does not keep a 5xx: the next try runs', async () => {
    const own = await createWorld()
    const { key: apiKey } = await own.newTenant('Fails once')
    const tenantTx = own.deps.db.tenant
    let calls = 0
    // Call 1 claims the key, call 2 is the handler's.
    own.deps.db.tenant = (id, work) => (++calls === 2 ? Promise.reject(new AppError('unavailable')) : tenantTx(id, work))
    const attempt = () => own.call('POST', '/v1/admin/projects', { as: apiKey, body: project('again'), headers: { 'idempotency-key': 'same' } })
    expect((await attempt()).status).toBe(503)
    expect((await attempt()).status).toBe(201)
    await own.close()
  })

  it('never runs a request again whose first run was interrupted', async () => {
    const headers = { 'idempotency-key': key() }
    await create(project('interrupted'), headers)
    await world.db.tenant(tenant.id, (tx) => tx.query("UPDATE idempotency_keys SET status = NULL, response = NULL, created_at = now() - interval '5 minutes' WHERE key LIKE $1", [`%${headers['idempotency-key']}`]))
    expect((await create(project('interrupted'), headers)).body.error).toMatchObject({ code: 'conflict' })
  })

  it('frees a key after 24 hours', async () => {
    const headers = { 'idempotency-key': key() }
    await create(project('yesterday'), headers)
    await world.db.tenant(tenant.id, (tx) => tx.query("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key LIKE $1", [`%${headers['idempotency-key']}`]))
    expect((await create(project('today'), headers)).status).toBe(201)
  })

  it('keeps the answer sealed: the text of an API key is nowhere in the table', async () => {
    const headers = { 'idempotency-key': key() }
    const made = await world.call('POST', '/v1/admin/keys', { as: tenant.key, body: { name: 'x', scopes: ['numbers:read'] }, headers })
    const again = await world.call('POST', '/v1/admin/keys', { as: tenant.key, body: { name: 'x', scopes: ['numbers:read'] }, headers })
    expect(again.body.key).toBe(made.body.key)
    const { rows } = await world.db.tenant(tenant.id, (tx) => tx.query('SELECT * FROM idempotency_keys'))
    expect(JSON.stringify(rows)).not.toContain(String(made.body.key).slice(-20))
  })

  it.each(['x'.repeat(256), 'with space', ''])('refuses the key %j', async (bad) => {
    expect((await create(project(), { 'idempotency-key': bad })).body.error).toMatchObject({ param: 'headers.idempotency-key' })
  })

  it('tells projects apart that use the same key', async () => {
    const headers = { 'idempotency-key': key() }
    expect((await create(project('by key'), headers)).status).toBe(201)
    expect((await world.call('POST', '/v1/admin/projects', { as: tenant.as.owner, body: project('by owner'), headers })).status).toBe(201)
  })
})

describe('rate limits', () => {
  it('say what is left, and refuse with the time to wait', async () => {
    const limited = await createWorld({ config: { ...TEST_CONFIG, rateLimits: { global: 100, tenant: 50, project: 3, publicPerIp: 2 } } })
    const { key } = await limited.newTenant('Limited')
    const ask = () => limited.call('GET', '/v1/auth/me', { as: key })
    const answers = [await ask(), await ask(), await ask(), await ask()]
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 429])
    expect(answers.map((answer) => answer.headers['x-ratelimit-remaining'])).toEqual(['2', '1', '0', '0'])
    const refused = answers[3]!
    expect(refused.body.error).toMatchObject({ code: 'rate_limited', details: { level: 'project' } })
    expect(Number(refused.body.error!.retry_after_ms)).toBeGreaterThan(50_000)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(50)
    const open = () => limited.call('POST', '/v1/auth/forgot-password', { body: { email: 'a@example.com' } })
    expect([(await open()).status, (await open()).status, (await open()).status]).toEqual([202, 202, 429])
    await limited.close()
  })
})

describe('browsers of other origins', () => {
  it('are let in by the list only', async () => {
    const open = await createWorld({ config: { ...TEST_CONFIG, corsOrigins: ['https://app.example'] } })
    const preflight = (origin: string) => open.call('OPTIONS', '/v1/admin/keys', { headers: { origin, 'access-control-request-method': 'POST' } })
    expect(await preflight('https://app.example')).toMatchObject({ status: 204, headers: { 'access-control-allow-origin': 'https://app.example' } })
    expect((await preflight('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined()
    const refused = await open.call('GET', '/v1/admin/keys', { headers: { origin: 'https://app.example' } })
    expect(refused).toMatchObject({ status: 401, headers: { 'access-control-allow-origin': 'https://app.example' } })
    await open.close()
  })
})

describe('health', () => {
  it('is alive, ready, and measured', async () => {
    expect((await world.call('GET', '/health')).body).toEqual({ status: 'ok' })
    expect((await world.call('GET', '/ready')).body).toEqual({ status: 'ok', postgres: 'ok', redis: 'ok' })
    const metrics = await world.call('GET', '/metrics')
    expect(metrics.text).toMatch(/trunkline_http_request_duration_seconds_count\{method="GET",route="\/ready",status="2xx"\} 1/)
  })

  it('shows metrics only for the token, where one is set', async () => {
    const guarded = await createWorld({ config: { ...TEST_CONFIG, metricsToken: 'a-token-of-the-scraper' } })
    for (const [as, status] of [[undefined, 401], ['another-token', 401], ['a-token-of-the-scraper', 200]] as const) expect((await guarded.call('GET', '/metrics', { as })).status).toBe(status)
    await guarded.close()
  })

  it('says which part is away', async () => {
    const lame = await createWorld()
    lame.redis.disconnect()
    expect(await lame.call('GET', '/ready')).toMatchObject({ status: 200, body: { postgres: 'ok', redis: 'away' } })
    lame.deps.db.ping = () => new Promise(() => {})
    expect(await lame.call('GET', '/ready')).toMatchObject({ status: 503, body: { postgres: 'away' } })
    await lame.close()
  })
})
