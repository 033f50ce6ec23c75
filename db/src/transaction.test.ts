import { newId } from '@trunkline/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../tests/harness/database.ts'
import { connectDb, type Db } from './index.ts'
import type { Tx } from './transaction.ts'

let database: FreshDatabase
let db: Db
const tenant = newId()
beforeAll(async () => {
  database = await freshDatabase()
  // One connection: what a transaction leaves behind is met by the next.
  db = connectDb({ url: database.url, secret: TEST_SECRET, maxConnections: 1 })
  await db.system('test', (tx) => tx.query("INSERT INTO tenants (id, name) VALUES ($1, 'Ours')", [tenant]))
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

const INSERT = "INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1::uuid, $2, 'of ' || $1::uuid, 'production')"
const system = <T>(work: (tx: Tx) => Promise<T>) => db.system('test', work)
const stored = async (id: string) => (await system((tx) => tx.query('SELECT 1 FROM projects WHERE id = $1', [id]))).rowCount === 1

describe('what is sent and not waited for', () => {
  it('is there when the transaction is', async () => {
    const id = newId()
    await system(async (tx) => tx.send(INSERT, [id, tenant]))
    expect(await stored(id)).toBe(true)
  })

  it('is done in the order in which it is asked', async () => {
    const id = newId()
    const seen = await system((tx) => {
      tx.send(INSERT, [id, tenant])
      return tx.query('SELECT 1 FROM projects WHERE id = $1', [id])
    })
    expect(seen.rowCount).toBe(1)
  })

  it('takes everything back when it fails, with its own error, though nobody waited for it', async () => {
    const id = newId()
    const twice = system(async (tx) => {
      tx.send(INSERT, [id, tenant])
      tx.send(INSERT, [id, tenant])
    })
    await expect(twice).rejects.toMatchObject({ code: '23505' })
    expect(await stored(id)).toBe(false)
  })

  it('is what is told, and not the statement behind it that PostgreSQL passed over', async () => {
    const id = newId()
    const asked = system(async (tx) => {
      tx.send(INSERT, [id, tenant])
      tx.send(INSERT, [id, tenant])
      await tx.query('SELECT 1')
    })
    await expect(asked).rejects.toMatchObject({ code: '23505' })
  })

  it('does not live on when the work fails by itself', async () => {
    const id = newId()
    const failing = system(async (tx) => {
      tx.send(INSERT, [id, tenant])
      throw new Error('changed its mind')
    })
    await expect(failing).rejects.toThrow('changed its mind')
    expect(await stored(id)).toBe(false)
  })

  it('and a failure that the work swallows is no commit', async () => {
    const id = newId()
    const swallowing = system(async (tx) => {
      await tx.query(INSERT, [id, tenant])
      await tx.query('SELECT 1 / 0').catch(() => {})
    })
    await expect(swallowing).rejects.toMatchObject({ code: '22012' })
    expect(await stored(id)).toBe(false)
  })
})

describe('a commit that goes out with the last statement', () => {
  it('commits, and the answer is there', async () => {
    const id = newId()
    const made = await system((tx) => {
      const asked = tx.query<{ id: string }>(`${INSERT} RETURNING id`, [id, tenant])
      tx.commit()
      return asked
    })
    expect(made.rows).toEqual([{ id }])
    expect(await stored(id)).toBe(true)
  })

  it('commits nothing when that statement fails', async () => {
    const id = newId()
    const failing = system(async (tx) => {
      tx.send(INSERT, [id, tenant])
      const asked = tx.query(INSERT, [id, tenant])
      tx.commit()
      await asked
    })
    await expect(failing).rejects.toMatchObject({ code: '23505' })
    expect(await stored(id)).toBe(false)
  })

  it('is the last that can be asked', async () => {
    const id = newId()
    await expect(system(async (tx) => {
      tx.commit()
      tx.send(INSERT, [id, tenant])
    })).rejects.toThrow('COMMIT has been sent')
    expect(await stored(id)).toBe(false)
  })
})

describe('a single statement', () => {
  it('needs no transaction around it', async () => {
    const id = newId()
    await db.single('test', (one) => one.query(INSERT, [id, tenant]))
    expect(await stored(id)).toBe(true)
  })

  it('and has no second, which would be in another', async () => {
    const two = db.single('test', async (one) => {
      await one.query('SELECT 1')
      await one.query('SELECT 2')
    })
    await expect(two).rejects.toThrow('A second statement needs a transaction.')
  })
})

it('a connection that is cut in the middle fails whoever waits and is not used again', async () => {
  const cut = system(async (tx) => {
    tx.send(INSERT, [newId(), tenant])
    tx.send('SELECT pg_terminate_backend(pg_backend_pid())')
    await tx.query('SELECT pg_sleep(10)')
  })
  await expect(cut).rejects.toThrow()
  expect(await stored(newId())).toBe(false)
})
