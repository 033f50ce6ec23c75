import { newId } from '@trunkline/core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../../tests/harness/database.ts'
import { connectDb, type Db } from '../tenancy.ts'
import * as simulations from './simulations.ts'

let database: FreshDatabase
let db: Db
const [tenantId, projectId, numberId] = [newId(), newId(), newId()]
beforeAll(async () => {
  database = await freshDatabase()
  db = connectDb({ url: database.url, secret: TEST_SECRET })
  await db.system('test', async (tx) => {
    await tx.query("INSERT INTO tenants (id, name) VALUES ($1, 'Harbour Bikes')", [tenantId])
    await tx.query("INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $2, 'Production', 'production')", [projectId, tenantId])
    await tx.query("INSERT INTO phone_numbers (id, tenant_id, project_id, channel, address, name, credentials_sealed) VALUES ($1, $2, $3, 'voice', '+15005550000', 'Telephone', '')", [numberId, tenantId, projectId])
  })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

const made = () => db.tenant(tenantId, (tx) => simulations.insert(tx, { id: newId(), tenantId, projectId, numberId, agentId: newId(), spec: { name: 'Test' }, callsTotal: 2, createdBy: 'test' }))
const claim = (leaseMs = 60_000) => db.system('test', (tx) => simulations.claim(tx, 'a process', leaseMs, 10))
const read = (id: string) => db.tenant(tenantId, (tx) => simulations.get(tx, id))

it('is run by one process; when that is gone another one goes on after its last result, and the first writes nothing any more', async () => {
  const { id } = await made()
  const [first] = await claim(1)
  expect(first).toMatchObject({ id, epoch: 1, tenantId })
  expect(await db.system('test', (tx) => simulations.addResult(tx, first!, Buffer.from('one')))).toBe(true)
  await expect.poll(async () => (await claim()).map((held) => held.id)).toEqual([id])
  expect(await claim()).toEqual([])
  const second = { id, epoch: (await db.system('test', (tx) => tx.query<{ epoch: number }>('SELECT epoch FROM simulations WHERE id = $1', [id]))).rows[0]!.epoch }
  expect(await db.system('test', (tx) => simulations.addResult(tx, first!, Buffer.from('late')))).toBe(false)
  expect(await db.system('test', (tx) => simulations.keep(tx, [first!], 1_000))).toEqual(new Set())
  expect(await db.system('test', (tx) => simulations.addResult(tx, second, Buffer.from('two')))).toBe(true)
  expect(await db.system('test', (tx) => simulations.end(tx, second, { status: 'completed', passed: true }))).toBe(true)
  expect(await read(id)).toMatchObject({ status: 'completed', passed: true, callsTotal: 2, callsDone: 2 })
  expect((await db.tenant(tenantId, (tx) => simulations.results(tx, id))).map(String)).toEqual(['one', 'two'])
})

it('that was given back is taken at once; one that was cancelled is kept by nobody, and stays cancelled', async () => {
  const { id } = await made()
  const [held] = await claim()
  await db.system('test', (tx) => simulations.release(tx, held!))
  const [again] = await claim()
  expect(again).toMatchObject({ id, epoch: 2 })
  expect(await db.tenant(tenantId, (tx) => simulations.open(tx))).toBe(1)
  expect(await db.tenant(tenantId, (tx) => simulations.cancel(tx, id))).toBe(true)
  expect(await db.tenant(tenantId, (tx) => simulations.cancel(tx, id))).toBe(false)
  expect(await db.system('test', (tx) => simulations.keep(tx, [again!], 1_000))).toEqual(new Set())
  expect(await db.system('test', (tx) => simulations.end(tx, again!, { status: 'completed', passed: true }))).toBe(false)
  expect(await read(id)).toMatchObject({ status: 'cancelled', passed: null })
  expect(await db.tenant(tenantId, (tx) => simulations.open(tx))).toBe(0)
})
