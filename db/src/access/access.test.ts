import { AppError, newId, silentLogger, systemClock } from '@trunkline/core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../../tests/harness/database.ts'
import { startFaultProxy, type FaultProxy } from '../../../tests/harness/fault-proxy.ts'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { API_KEY_PURPOSE, connectDb, connectRedis, createAccess, createKeyring, insertKey, insertProject, insertTenant, mintKey, redisReady, retireKey, revokeKey, setTenantStatus, type Access, type Db, type MintedKey, type Redis } from '../index.ts'

const keyring = createKeyring([TEST_SECRET])
const [tenantId, projectId] = [newId(), newId()]

let database: FreshDatabase
let proxy: FaultProxy
let db: Db
let lookUps = 0
/** Two processes of one installation. */
let one: Process
let two: Process

type Process = { access: Access; redis: Redis; subscriber: Redis }

async function startProcess(url: string, prefix: string): Promise<Process> {
  const [redis, subscriber] = [connectRedis({ url, prefix }), connectRedis({ url, prefix })]
  await Promise.all([redisReady(redis, 2_000), redisReady(subscriber, 2_000)])
  return { redis, subscriber, access: createAccess({ db, redis, subscriber, keyring, clock: systemClock, log: silentLogger }) }
}

async function stop({ access, redis, subscriber }: Process): Promise<void> {
  await access.close()
  redis.disconnect()
  subscriber.disconnect()
}

beforeAll(async () => {
  database = await freshDatabase()
  db = connectDb({ url: database.url, secret: TEST_SECRET, onSystem: (reason) => void (reason === 'auth' && lookUps++) })
  await db.system('test', async (tx) => {
    await insertTenant(tx, { id: tenantId, name: 'Ours' })
    await insertProject(tx, { id: projectId, tenantId, name: 'Production', environment: 'production' })
  })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})
beforeEach(async () => {
  const { url, prefix } = freshRedis()
  const target = new URL(url)
  proxy = await startFaultProxy({ host: target.hostname, port: Number(target.port) })
  target.host = `127.0.0.1:${proxy.port}`
  one = await startProcess(target.href, prefix)
  two = await startProcess(url, prefix)
  lookUps = 0
})
afterEach(async () => {
  await Promise.all([stop(one), stop(two)])
  await proxy.close()
})

async function newKey(change: { expiresAt?: Date } = {}): Promise<MintedKey & { id: string; name: string }> {
  const { text, ...minted } = mintKey(keyring.derive(API_KEY_PURPOSE), 'production')
  const key = { id: newId(), tenantId, projectId, name: 'Test', environment: 'production', secretHash: 'unused here', scopes: ['numbers:read' as const], expiresAt: change.expiresAt ?? null, createdBy: null }
  await db.tenant(tenantId, (tx) => insertKey(tx, { ...key, ...minted }))
  return { ...minted, text, id: key.id, name: minted.digest.toString('hex') }
}

/** A verdict is told to the others while whoever asked goes on. */
async function shared(digest: Buffer): Promise<void> {
  await expect.poll(() => two.redis.exists(`verdict:key:${digest.toString('hex')}`)).toBe(1)
}
const outcome = (process: Process, text: string): Promise<string> => process.access.keys.check(text).then(() => 'ok', (error: unknown) => (error instanceof AppError ? error.code : String(error)))

describe('checking an API key', () => {
  it('asks Postgres once for a thousand checks at once, and then Redis for the other process', async () => {
    const key = await newKey()
    const principals = await Promise.all(Array.from({ length: 1_000 }, () => one.access.keys.check(key.text)))
    expect(principals[0]).toMatchObject({ tenantId, projectId, actor: { kind: 'api_key', id: key.id }, scopes: new Set(['numbers:read']) })
    expect(lookUps).toBe(1)
    await shared(key.digest)
    expect(await outcome(two, key.text)).toBe('ok')
    expect(lookUps).toBe(1)
  })

  it('asks for different keys that come at once together', async () => {
    const keys = await Promise.all(Array.from({ length: 20 }, () => newKey()))
    const unknown = mintKey(keyring.derive(API_KEY_PURPOSE), 'production').text
    lookUps = 0
    expect(await Promise.all([...keys.map(({ text }) => text), unknown].map((text) => outcome(one, text)))).toEqual([...keys.map(() => 'ok'), 'invalid_api_key'])
    expect(lookUps).toBeLessThanOrEqual(3)
  })

  it('refuses 10,000 forged keys without asking anybody', async () => {
    const forged = Array.from({ length: 10_000 }, (_, i) => `tl_live_${String(i).padStart(12, '0')}_${'A'.repeat(32)}${'0'.repeat(16)}`)
    const outcomes = new Set(await Promise.all(forged.map((text) => outcome(one, text))))
    expect(outcomes).toEqual(new Set(['invalid_api_key']))
    expect(lookUps).toBe(0)
  })

  it('remembers that a well-made key is unknown', async () => {
    const unknown = mintKey(keyring.derive(API_KEY_PURPOSE), 'production')
    expect(await outcome(one, unknown.text)).toBe('invalid_api_key')
    await shared(unknown.digest)
    for (const process of [two, one]) expect(await outcome(process, unknown.text)).toBe('invalid_api_key')
    expect(lookUps).toBe(1)
  })

  it('refuses a revoked key in every process at once', async () => {
    const key = await newKey()
    for (const process of [one, two]) expect(await outcome(process, key.text)).toBe('ok')
    await db.tenant(tenantId, (tx) => revokeKey(tx, key.id))
    await one.access.dropKeys([key.name])
    expect(await outcome(one, key.text)).toBe('invalid_api_key')
    await expect.poll(() => outcome(two, key.text), { timeout: 1_000, interval: 10 }).toBe('invalid_api_key')
  })

  it('refuses a suspended tenant in every process at once, and lets it in again', async () => {
    const key = await newKey()
    for (const process of [one, two]) expect(await outcome(process, key.text)).toBe('ok')
    for (const [status, expected] of [['suspended', 'tenant_suspended'], ['active', 'ok']] as const) {
      await db.system('test', (tx) => setTenantStatus(tx, tenantId, status))
      await one.access.dropTenant(tenantId)
      for (const process of [one, two]) await expect.poll(() => outcome(process, key.text), { timeout: 1_000, interval: 10 }).toBe(expected)
    }
  })

  it('accepts both keys of a rotation until the grace ends, by the clock and not by a cache', async () => {
    const [old, next] = [await newKey(), await newKey()]
    await db.tenant(tenantId, (tx) => retireKey(tx, old.id, next.id, new Date(Date.now() + 300)))
    for (const key of [old, next]) expect(await outcome(one, key.text)).toBe('ok')
    await expect.poll(() => outcome(one, old.text), { timeout: 1_000, interval: 20 }).toBe('invalid_api_key')
    expect(await outcome(one, next.text)).toBe('ok')
  })

  it('refuses an expired key', async () => {
    expect(await outcome(one, (await newKey({ expiresAt: new Date(Date.now() - 1_000) })).text)).toBe('invalid_api_key')
  })

  it('goes on without Redis, and a revocation of that time holds when Redis is back', async () => {
    const key = await newKey()
    for (const process of [one, two]) expect(await outcome(process, key.text)).toBe('ok')
    proxy.set({ refuse: true })
    proxy.cutAll()
    await expect.poll(() => one.redis.status).not.toBe('ready')
    expect(await outcome(one, key.text)).toBe('ok')
    await db.tenant(tenantId, (tx) => revokeKey(tx, key.id))
    await one.access.dropKeys([key.name])
    expect(await outcome(one, key.text)).toBe('invalid_api_key')
    proxy.set({})
    // The other process could not be told. Once this one is back, what it kept in Redis no longer counts.
    await expect.poll(() => outcome(two, key.text), { timeout: 10_000, interval: 50 }).toBe('invalid_api_key')
  })

  it('does not let a slow look-up put back what was revoked meanwhile', async () => {
    const key = await newKey()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const { promise: goOn, resolve: release } = Promise.withResolvers<void>()
    const slowDb: Db = {
      ...db,
      async single(reason, work) {
        const result = await db.single(reason, work)
        begin()
        await goOn
        return result
      },
    }
    const slow = createAccess({ db: slowDb, redis: one.redis, subscriber: one.subscriber, keyring, clock: systemClock, log: silentLogger })
    const check = slow.keys.check(key.text)
    await begun
    await db.tenant(tenantId, (tx) => revokeKey(tx, key.id))
    await two.access.dropKeys([key.name])
    release()
    await check
    expect(await outcome(two, key.text)).toBe('invalid_api_key')
    await slow.close()
  })

  it('writes when keys were last used in one batch', async () => {
    const keys = [await newKey(), await newKey()]
    for (const key of keys) for (let i = 0; i < 3; i++) await one.access.keys.check(key.text)
    lookUps = 0
    await one.access.keys.flush()
    expect(lookUps).toBe(1)
    const { rows } = await db.tenant(tenantId, (tx) => tx.query<{ used: boolean }>('SELECT last_used_at IS NOT NULL AS used FROM api_keys WHERE id = ANY($1)', [keys.map((key) => key.id)]))
    expect(rows).toEqual([{ used: true }, { used: true }])
  })
})
