import { newId } from '@trunkline/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../tests/harness/database.ts'
import { startFaultProxy, type FaultProxy } from '../../tests/harness/fault-proxy.ts'
import { connectDb, isDatabaseAway, type Db } from './index.ts'

let database: FreshDatabase
let proxy: FaultProxy
let db: Db
beforeEach(async () => {
  database = await freshDatabase()
  const url = new URL(database.url)
  proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
  url.port = String(proxy.port)
  url.hostname = '127.0.0.1'
  db = connectDb({ url: url.href, secret: TEST_SECRET, maxConnections: 2, statementTimeoutMs: 300 })
})
afterEach(async () => {
  proxy.set({})
  proxy.cutAll()
  await db.close()
  await proxy.close()
  await database.drop()
})

const insert = (id: string) => db.system('test', (tx) => tx.query("INSERT INTO tenants (id, name) VALUES ($1, 'x')", [id]))
const failure = (work: Promise<unknown>): Promise<unknown> => work.then(() => 'no failure', (error: unknown) => error)

describe('Postgres away', () => {
  it('in the middle of a transaction fails that transaction and not the process, and the pool recovers', async () => {
    const id = newId()
    const outcome = await failure(
      db.system('test', async (tx) => {
        await tx.query("INSERT INTO tenants (id, name) VALUES ($1, 'x')", [id])
        proxy.cutAll()
        await tx.query('SELECT 1')
      }),
    )
    expect(isDatabaseAway(outcome)).toBe(true)
    await insert(newId())
    const found = await db.system('test', (tx) => tx.query('SELECT 1 FROM tenants WHERE id = $1', [id]))
    expect(found.rowCount).toBe(0)
  })

  it('while its connections idle costs nobody anything', async () => {
    await Promise.all([insert(newId()), insert(newId())])
    proxy.cutAll()
    await expect.poll(() => failure(insert(newId()))).toBe('no failure')
  })

  it('behind a network that swallows answers: a deadline, and no connection is poisoned', async () => {
    await insert(newId())
    proxy.set({ halfOpen: true })
    expect(isDatabaseAway(await failure(insert(newId())))).toBe(true)
    proxy.set({})
    proxy.cutAll()
    await expect.poll(() => failure(insert(newId()))).toBe('no failure')
  })
})
