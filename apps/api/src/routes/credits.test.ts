import { newId, silentLogger, systemClock, type Id } from '@trunkline/core'
import { connectDb, connectRedis, createCache, createKeyring, ledger, redisReady, SCOPES, type Db, type Principal, type Redis, type Scope } from '@trunkline/db'
import fastify from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../../../tests/harness/database.ts'
import { freshRedis } from '../../../../tests/harness/redis.ts'
import { registerAuth } from '../auth.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { registerErrors } from '../plugins/errors.ts'
import { registerIdempotency } from '../plugins/idempotency.ts'
import { registerCredits } from './credits.ts'
import { registerUsage } from './usage.ts'

let database: FreshDatabase
let db: Db
let redis: Redis
let app: ApiApp
const [tenantId, otherTenant, projectId, otherProject] = [newId(), newId(), newId(), newId()]

const principal = (over: Partial<Principal>): Principal => ({
  tenantId, projectId, actor: { kind: 'api_key', id: newId() }, scopes: new Set(SCOPES), role: null, platformAdmin: false, sessionId: null, projectRateLimitPerMinute: null, ...over,
})
// Who the bearer of each credential is; how credentials are checked is tested with access.
const PEOPLE: Record<string, Principal> = {
  tl_full: principal({}),
  tl_reader: principal({ scopes: new Set<Scope>(['credits:read', 'usage:read']) }),
  tl_none: principal({ scopes: new Set() }),
  tl_other_tenant: principal({ tenantId: otherTenant, projectId: newId() }),
  tl_whole_tenant: principal({ projectId: null }),
  tl_operator: principal({ projectId: null, platformAdmin: true }),
}

beforeAll(async () => {
  database = await freshDatabase()
  db = connectDb({ url: database.url, secret: TEST_SECRET })
  const place = freshRedis()
  redis = connectRedis({ url: place.url, prefix: place.prefix })
  await redisReady(redis, 5_000)
  await db.system('test', async (tx) => {
    await tx.query("INSERT INTO tenants (id, name) VALUES ($1, 'T'), ($2, 'Other')", [tenantId, otherTenant])
    await tx.query("INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $3, 'a', 'production'), ($2, $3, 'b', 'staging')", [projectId, otherProject, tenantId])
    await ledger.openAccounts(tx, tenantId)
    await ledger.openAccounts(tx, otherTenant)
  })
  const access = { keys: { check: async (key: string) => PEOPLE[key]! } }
  const keyring = createKeyring([TEST_SECRET])
  const deps = { db, redis, cache: createCache(redis), clock: systemClock, log: silentLogger, access, keyring } as unknown as ApiDeps
  app = fastify({ logger: false }).withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  registerErrors(app, deps.log)
  registerAuth(app, deps)
  registerIdempotency(app, deps)
  registerCredits(app, deps)
  registerUsage(app, deps)
  await app.ready()
})
afterAll(async () => {
  await app.close()
  redis.disconnect()
  await db.close()
  await database.drop()
})

const call = async (method: 'GET' | 'POST' | 'PATCH', url: string, { key = 'tl_full', body, idempotencyKey }: { key?: string; body?: object; idempotencyKey?: string } = {}) => {
  const headers = { authorization: `Bearer ${key}`, ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }) }
  const answer = await app.inject({ method, url, headers, ...(body === undefined ? {} : { payload: body }) })
  return { status: answer.statusCode, body: answer.json(), replayed: answer.headers['idempotency-replayed'] }
}
const topUp = (amountMicros: unknown, idempotencyKey: string | undefined, key?: string) => call('POST', '/v1/credits/topups', { key, body: { amount_micros: amountMicros }, idempotencyKey })

describe('credits', () => {
  it('a top-up is in the balance at once, also when the balance was cached a moment ago', async () => {
    expect((await call('GET', '/v1/credits')).body.available).toEqual({ micros: '0', credits: '0' })
    const added = await topUp('2500000', 'first')
    expect(added).toMatchObject({ status: 201, body: { added: { micros: '2500000', credits: '2.5' }, available: { credits: '2.5' } } })
    expect((await call('GET', '/v1/credits')).body).toMatchObject({ available: { micros: '2500000', credits: '2.5' }, held: { micros: '0' }, funded: { credits: '2.5' }, low: false, low_balance: null })
    expect((await call('GET', '/v1/credits', { key: 'tl_other_tenant' })).body.available.micros).toBe('0')
  })

  it('the same Idempotency-Key adds once, also after the API has forgotten the key; another amount under it is refused', async () => {
    const first = await topUp('1000', 'once')
    expect(await topUp('1000', 'once')).toMatchObject({ status: 201, body: first.body, replayed: 'true' })
    await db.system('test', (tx) => tx.query('DELETE FROM idempotency_keys'))
    expect((await topUp('1000', 'once')).body.transfer_id).toBe(first.body.transfer_id)
    await db.system('test', (tx) => tx.query('DELETE FROM idempotency_keys'))
    expect(await topUp('1001', 'once')).toMatchObject({ status: 409, body: { error: { code: 'idempotency_mismatch' } } })
    expect((await call('GET', '/v1/credits')).body.funded.micros).toBe('2501000')
    const { rows } = await db.system('test', (tx) => tx.query<{ n: string }>("SELECT count(*) AS n FROM audit_entries WHERE action = 'credits.topped_up' AND target_id = $1", [first.body.transfer_id]))
    expect(rows[0]?.n).toBe('1')
  })

  it.each<[string, unknown]>([['a number', 5], ['zero', '0'], ['a fraction', '1.5'], ['a negative', '-1'], ['too long', '1'.repeat(16)], ['nothing', undefined]])('refuses %s as an amount and names the field', async (_, amount) => {
    expect(await topUp(amount, 'bad')).toMatchObject({ status: 400, body: { error: { code: 'invalid_request', param: 'body.amount_micros' } } })
  })

  it('refuses a top-up without Idempotency-Key, and unknown fields', async () => {
    expect(await topUp('5', undefined)).toMatchObject({ status: 400, body: { error: { param: 'headers.idempotency-key' } } })
    expect(await call('POST', '/v1/credits/topups', { body: { amount_micros: '5', tenant_id: otherTenant }, idempotencyKey: 'x' })).toMatchObject({ status: 400 })
  })

  it('lets only credits:write add and only credits:read look', async () => {
    expect((await topUp('5', 'x', 'tl_reader')).status).toBe(403)
    expect((await call('PATCH', '/v1/credits', { key: 'tl_reader', body: { low_balance_micros: null } })).status).toBe(403)
    for (const url of ['/v1/credits', '/v1/credits/transfers', '/v1/credits/holds', '/v1/usage']) expect((await call('GET', url, { key: 'tl_none' })).status).toBe(403)
    expect((await call('GET', '/v1/credits', { key: 'tl_reader' })).status).toBe(200)
  })

  it('says when the balance is low', async () => {
    expect((await call('PATCH', '/v1/credits', { body: { low_balance_micros: '999999999' } })).body).toMatchObject({ low: true, low_balance: { micros: '999999999' } })
    expect((await call('PATCH', '/v1/credits', { body: { low_balance_micros: null } })).body).toMatchObject({ low: false, low_balance: null })
  })

  it('shows transfers with entries that sum to zero, page by page, and holds by state', async () => {
    const [holdId, turnId] = [newId(), newId()]
    await db.system('ledger', async (tx) => {
      await ledger.holdMany(tx, [{ tenantId, holdId, turnId, amountMicros: 400n, idempotencyKey: 'h', expiresAtMs: Date.now() + 60_000 }])
    })
    expect((await call('GET', '/v1/credits/holds?state=held')).body.data).toMatchObject([{ id: holdId, amount: { micros: '400', credits: '0.0004' }, state: 'held', turn_id: turnId, closed_at: null }])
    await db.system('ledger', (tx) => ledger.settleMany(tx, [{ tenantId, holdId, turnId, amountMicros: 150n, memo: 'turn', details: { lines: [{ unit_micros: '5' }] }, idempotencyKey: 's' }]))
    const { body } = await call('GET', `/v1/credits/transfers?turn_id=${turnId}`)
    // Ids of one millisecond have no order among themselves, and this test is that quick.
    expect(body.data.map((each: { kind: string }) => each.kind).toSorted()).toEqual(['hold', 'settle'])
    expect(body.data.find((each: { kind: string }) => each.kind === 'settle')).toMatchObject({ amount: { micros: '150' }, memo: 'turn', details: { lines: [{ unit_micros: '5' }] } })
    for (const transfer of body.data) expect(transfer.entries.reduce((sum: bigint, entry: { amount: { micros: string } }) => sum + BigInt(entry.amount.micros), 0n)).toBe(0n)
    const first = (await call('GET', `/v1/credits/transfers?turn_id=${turnId}&limit=1`)).body
    expect(first).toMatchObject({ has_more: true, data: [body.data[0]] })
    expect((await call('GET', `/v1/credits/transfers?turn_id=${turnId}&limit=1&cursor=${first.next_cursor}`)).body).toEqual({ data: [body.data[1]], has_more: false, next_cursor: null })
    expect((await call('GET', `/v1/credits/transfers?turn_id=${turnId}`, { key: 'tl_other_tenant' })).body.data).toEqual([])
    expect((await call('GET', '/v1/credits/transfers?kind=gift')).body.error.param).toBe('query.kind')
    expect((await call('GET', '/v1/credits/transfers?cursor=nonsense')).status).toBe(400)
    expect((await call('GET', `/v1/credits/transfers?from=${new Date(Date.now() + 60_000).toISOString()}`)).body.data).toEqual([])
  })
})

describe('usage', () => {
  const DAY = Date.UTC(2026, 10, 10)
  beforeAll(async () => {
    const rows: [Id, Id, number, string, string, number, number, number, string][] = [
      [tenantId, projectId, DAY, 'openai', 'gpt-5.4-mini', 100, 20, 30, 'ok'],
      [tenantId, projectId, DAY + 86_400_000, 'openai', 'gpt-5.4-mini', 10, 0, 3, 'ok'],
      [tenantId, otherProject, DAY, 'anthropic', 'claude-haiku-4-5', 1, 0, 700, 'failed'],
      [otherTenant, newId(), DAY, 'groq', 'llama', 5, 0, 50, 'ok'],
    ]
    await db.system('test', async (tx) => {
      for (const [tenant, project, atMs, vendor, model, input, cached, cost, outcome] of rows) {
        await tx.query(
          `INSERT INTO usage_records (id, tenant_id, project_id, vendor, model, purpose, input_tokens, cached_input_tokens, output_tokens, latency_ms, outcome, cost_micros, created_at)
           VALUES ($1, $2, $3, $4, $5, 'turn', $6, $7, 2, 10, $8, $9, to_timestamp($10::float8 / 1000))`,
          [newId(atMs + 1_000), tenant, project, vendor, model, input, cached, outcome, cost, atMs + 1_000],
        )
      }
    })
  })
  const range = `from=${new Date(DAY).toISOString()}&to=${new Date(DAY + 5 * 86_400_000).toISOString()}`

  it('groups by day and model, with totals, for all projects of a person', async () => {
    const { body } = await call('GET', `/v1/usage?${range}&group_by=day,model`, { key: 'tl_whole_tenant' })
    expect(body.totals).toEqual({ calls: 3, failed_calls: 1, input_tokens: 111, cached_input_tokens: 20, output_tokens: 6, audio_ms: 0, characters: 0, cost: { micros: '733', credits: '0.000733' } })
    expect(body.data.map((row: { day: string; model: string; calls: number }) => [row.day, row.model, row.calls])).toEqual([['2026-11-11', 'gpt-5.4-mini', 1], ['2026-11-10', 'claude-haiku-4-5', 1], ['2026-11-10', 'gpt-5.4-mini', 1]])
  })

  it('shows an API key its own project only, and never another tenant', async () => {
    expect((await call('GET', `/v1/usage?${range}&group_by=vendor`)).body.data).toMatchObject([{ vendor: 'openai', calls: 2, cost: { micros: '33' } }])
    expect((await call('GET', `/v1/usage?${range}&project_id=${otherProject}`)).status).toBe(403)
    expect((await call('GET', `/v1/usage?${range}&group_by=vendor`, { key: 'tl_whole_tenant' })).body.data.map((row: { vendor: string }) => row.vendor)).toEqual(['anthropic', 'openai'])
    expect((await call('GET', `/v1/admin/usage?${range}`, { key: 'tl_whole_tenant' })).status).toBe(403)
  })

  it('shows the operator every tenant', async () => {
    const { body } = await call('GET', `/v1/admin/usage?${range}&group_by=tenant`, { key: 'tl_operator' })
    expect(body.data).toMatchObject([{ tenant: tenantId, calls: 3 }, { tenant: otherTenant, calls: 1 }])
    expect((await call('GET', `/v1/admin/usage?${range}&tenant_id=${otherTenant}&group_by=`, { key: 'tl_operator' })).body).toMatchObject({ totals: { calls: 1 }, data: [] })
  })

  it('cuts off at the limit and says so', async () => {
    expect((await call('GET', `/v1/usage?${range}&group_by=day,vendor&limit=1`)).body).toMatchObject({ truncated: true, totals: { calls: 2 }, data: [{ day: '2026-11-11' }] })
  })

  it.each([
    ['group_by=colour', 'query.group_by.0'], ['group_by=day,day', 'query.group_by'], ['group_by=tenant', 'query.group_by.0'],
    ['from=yesterday', 'query.from'], [`from=${new Date(DAY).toISOString()}&to=${new Date(DAY).toISOString()}`, 'query.from'], ['from=2020-01-01T00:00:00Z', 'query.from'], ['limit=0', 'query.limit'],
  ])('refuses %s and names %s', async (query, param) => {
    expect(await call('GET', `/v1/usage?${query}`)).toMatchObject({ status: 400, body: { error: { code: 'invalid_request', param } } })
  })

  it('filters and groups by number', async () => {
    const { body } = await call('GET', `/v1/usage?${range}&group_by=number&number_id=${newId()}`)
    expect(body).toMatchObject({ totals: { calls: 0, cost: { micros: '0' } }, data: [] })
    expect((await call('GET', `/v1/usage?${range}&group_by=number`)).body.data).toMatchObject([{ number: null, calls: 2 }])
  })
})
