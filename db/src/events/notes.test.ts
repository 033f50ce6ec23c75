import { newId } from '@trunkline/core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../../tests/harness/database.ts'
import { connectDb, type Db } from '../tenancy.ts'
import type { NewEvent } from './contract.ts'
import { happened, type Note } from './notes.ts'

let database: FreshDatabase
let db: Db
const told: Note[] = []
beforeAll(async () => {
  database = await freshDatabase()
  db = connectDb({ url: database.url, secret: TEST_SECRET, maxConnections: 2, onCommitted: (notes) => told.push(...notes) })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

const tenantId = newId()
const news = (): NewEvent => ({ type: 'lead.created', projectId: null, data: { lead_id: newId() } })

it('what a transaction says is told after its commit, in order, and not again with the next one', async () => {
  const [first, second] = [news(), news()]
  await db.system('test', async (tx) => {
    happened(tx, tenantId, first)
    await tx.query('SELECT 1')
    happened(tx, tenantId, second)
    expect(told).toEqual([])
  })
  await db.tenant(tenantId, (tx) => tx.query('SELECT 1'))
  expect(told.splice(0)).toEqual([first, second].map((event) => ({ tenantId, event })))
})

it('what a transaction says is not told when it is rolled back, or when its commit fails', async () => {
  const rolledBack = db.system('test', async (tx) => {
    happened(tx, tenantId, news())
    throw new Error('changed my mind')
  })
  await expect(rolledBack).rejects.toThrow('changed my mind')
  // A constraint that is looked at only by COMMIT.
  const refused = db.system('test', async (tx) => {
    await tx.query('CREATE TEMP TABLE parent (id int PRIMARY KEY) ON COMMIT DROP')
    await tx.query('CREATE TEMP TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP')
    await tx.query('INSERT INTO child VALUES (1)')
    happened(tx, tenantId, news())
  })
  await expect(refused).rejects.toThrow(/foreign key/)
  expect(told).toEqual([])
})
