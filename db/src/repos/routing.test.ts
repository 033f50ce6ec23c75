import { newId } from '@trunkline/core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../../tests/harness/database.ts'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { connectDb, connectRedis, createCache, createKeyring, createNumberRouting, redisReady, sealJson, type Db, type NumberRouting, type Redis } from '../index.ts'

let database: FreshDatabase
let db: Db
let redis: Redis
let nowMs = 0
const keyring = createKeyring([TEST_SECRET])
const tenantId = newId()
const projectId = newId()

beforeAll(async () => {
  database = await freshDatabase()
  db = connectDb({ url: database.url, secret: TEST_SECRET })
  redis = connectRedis(freshRedis())
  await redisReady(redis, 5_000)
  await db.system('test', async (tx) => {
    await tx.query("INSERT INTO tenants (id, name) VALUES ($1, 'T')", [tenantId])
    await tx.query("INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $2, 'P', 'production')", [projectId, tenantId])
  })
})
beforeEach(() => {
  nowMs = 0
})
afterAll(async () => {
  redis.disconnect()
  await db.close()
  await database.drop()
})

/** A process of its own, with its own copies. */
const process = (through: Db = db, server: Redis = redis): NumberRouting => createNumberRouting({ db: through, redis: server, cache: createCache(server), keyring, clock: { nowMs: () => nowMs } })

async function number(): Promise<string> {
  const id = newId()
  const sealed = sealJson(keyring, { access_token: 'secret' }, tenantId)
  await db.tenant(tenantId, (tx) =>
    tx.query("INSERT INTO phone_numbers (id, tenant_id, project_id, channel, address, name, credentials_sealed) VALUES ($1, $2, $3, 'whatsapp', $4, 'N', $5)", [id, tenantId, projectId, id, sealed]),
  )
  return id
}
const rename = (id: string, name: string) => db.tenant(tenantId, (tx) => tx.query('UPDATE phone_numbers SET name = $2 WHERE id = $1', [id, name]))
const nameOf = async (routing: NumberRouting, id: string) => (await routing.numberForRouting(id))?.name

/** A database that counts its questions, and may hold one answer back. */
function watched(): { db: Db; asked: () => number; hold: () => { reached: Promise<void>; release: () => void } } {
  let asked = 0
  let gate: { reached: () => void; open: Promise<void> } | null = null
  return {
    asked: () => asked,
    hold() {
      const [reached, open] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      gate = { reached: reached.resolve, open: open.promise }
      return { reached: reached.promise, release: open.resolve }
    },
    db: {
      ...db,
      async system(reason, work) {
        asked++
        const answer = await db.system(reason, work)
        const held = gate
        gate = null
        held?.reached()
        await held?.open
        return answer
      },
    },
  }
}

describe('routing of numbers', () => {
  it('asks Postgres once, whatever the number of processes and callers', async () => {
    const [id, postgres] = [await number(), watched()]
    const one = process(postgres.db)
    await Promise.all(Array.from({ length: 50 }, () => one.numberForRouting(id)))
    expect(await process(postgres.db).numberForRouting(id)).toMatchObject({ id, tenantStatus: 'active', credentials: { access_token: 'secret' }, agent: null })
    expect(postgres.asked()).toBe(1)
  })

  it('tells another process of a change as soon as its own copy is old', async () => {
    const id = await number()
    const [here, there] = [process(), process()]
    await Promise.all([nameOf(here, id), nameOf(there, id)])
    await rename(id, 'Changed')
    await here.invalidateNumber(id)
    expect(await nameOf(here, id)).toBe('Changed')
    expect(await nameOf(there, id)).toBe('N')
    nowMs += 1_501
    expect(await nameOf(there, id)).toBe('Changed')
  })

  it('does not let a reader that began before a change put the old state back after it', async () => {
    const [id, postgres] = [await number(), watched()]
    const { reached, release } = postgres.hold()
    const slow = process(postgres.db).numberForRouting(id)
    await reached
    await rename(id, 'Changed')
    await process().invalidateNumber(id)
    release()
    expect((await slow)?.name).toBe('N')
    expect(await nameOf(process(), id)).toBe('Changed')
  })

  it('sees a suspension of the tenant in all its numbers', async () => {
    const ids = [await number(), await number()]
    const routing = process()
    for (const id of ids) await routing.numberForRouting(id)
    await db.system('test', (tx) => tx.query("UPDATE tenants SET status = 'suspended' WHERE id = $1", [tenantId]))
    await routing.invalidateTenant(tenantId)
    for (const id of ids) expect(await routing.numberForRouting(id)).toMatchObject({ tenantStatus: 'suspended' })
    await db.system('test', (tx) => tx.query("UPDATE tenants SET status = 'active' WHERE id = $1", [tenantId]))
  })

  it('answers null for a number nobody has', async () => {
    const routing = process()
    expect(await routing.numberForRouting(newId())).toBeNull()
  })

  it('goes on without Redis', async () => {
    const id = await number()
    const away = connectRedis({ url: 'redis://127.0.0.1:1', prefix: 'x:' })
    const routing = process(db, away)
    expect(await nameOf(routing, id)).toBe('N')
    await rename(id, 'Changed')
    await routing.invalidateNumber(id)
    expect(await nameOf(routing, id)).toBe('Changed')
    away.disconnect()
  })

  it('does not keep an answer that failed', async () => {
    const id = await number()
    let away = true
    const routing = process({ ...db, system: (reason, work) => (away ? Promise.reject(new Error('connection lost')) : db.system(reason, work)) })
    await expect(routing.numberForRouting(id)).rejects.toThrow('connection lost')
    away = false
    expect(await nameOf(routing, id)).toBe('N')
  })
})
