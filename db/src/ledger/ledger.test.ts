import { newId, type Id } from '@trunkline/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../../tests/harness/database.ts'
import { connectDb, type Db } from '../tenancy.ts'
import { holdOf, settleOf, tenantsWith, voidOf } from './fixture.ts'
import { adjust, balance, expireHolds, holdMany, listHolds, listTransfers, settleMany, topUp, verifyLedger, voidMany } from './index.ts'

const ACTOR = { kind: 'user', id: 'u1' } as const
let database: FreshDatabase
let db: Db

beforeAll(async () => {
  database = await freshDatabase()
  db = connectDb({ url: database.url, secret: TEST_SECRET })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

const tenantWith = async (amountMicros: bigint): Promise<Id> => (await tenantsWith(db, 1, amountMicros))[0]!
const balanceOf = (tenantId: Id) => db.tenant(tenantId, (tx) => balance(tx, tenantId))
const hold = (...rows: Parameters<typeof holdMany>[1]) => db.system('ledger', (tx) => holdMany(tx, rows))
const settle = (...rows: Parameters<typeof settleMany>[1]) => db.system('ledger', (tx) => settleMany(tx, rows))
const release = (...rows: Parameters<typeof voidMany>[1]) => db.system('ledger', (tx) => voidMany(tx, rows))
const expire = (nowMs: number, limit: number) => db.system('ledger', (tx) => expireHolds(tx, nowMs, limit))
const fund = (tenantId: Id, amountMicros: bigint, idempotencyKey: string) => db.tenant(tenantId, (tx) => topUp(tx, { tenantId, amountMicros, idempotencyKey, memo: 'm', actor: ACTOR }))
const clean = async (tenantId: Id) => expect((await db.system('ledger', (tx) => verifyLedger(tx, tenantId))).differences).toEqual([])

describe('topUp and adjust', () => {
  it('adds to what is available, once per key, and a replay answers the first transfer', async () => {
    const tenantId = await tenantWith(0n)
    const first = await fund(tenantId, 500n, 'a')
    expect(first).toMatchObject({ replayed: false, availableMicros: 500n })
    expect(await fund(tenantId, 500n, 'a')).toEqual({ transferId: first.transferId, replayed: true, availableMicros: 500n })
    expect(await balanceOf(tenantId)).toEqual({ fundedMicros: 500n, availableMicros: 500n, heldMicros: 0n, spentMicros: 0n })
    await clean(tenantId)
  })

  it('refuses a key that was used with another amount or kind, and amounts that make no sense', async () => {
    const tenantId = await tenantWith(0n)
    await fund(tenantId, 500n, 'a')
    await expect(fund(tenantId, 501n, 'a')).rejects.toMatchObject({ code: 'idempotency_mismatch' })
    const correction = (amountMicros: bigint, idempotencyKey: string) => db.tenant(tenantId, (tx) => adjust(tx, { tenantId, amountMicros, idempotencyKey, memo: '', actor: ACTOR }))
    await expect(correction(500n, 'a')).rejects.toMatchObject({ code: 'idempotency_mismatch' })
    await expect(fund(tenantId, 0n, 'b')).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(correction(0n, 'b')).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(correction(-501n, 'b')).rejects.toMatchObject({ code: 'insufficient_credit' })
    expect(await correction(-500n, 'b')).toMatchObject({ availableMicros: 0n })
    await clean(tenantId)
  })

  it('opens the accounts of a tenant that has none', async () => {
    const tenantId = newId()
    await db.system('test', (tx) => tx.query("INSERT INTO tenants (id, name) VALUES ($1, 'T')", [tenantId]))
    expect(await balanceOf(tenantId)).toMatchObject({ availableMicros: 0n })
    expect(await hold(holdOf(tenantId, 0n))).toEqual(new Map([[expect.any(String), 'insufficient']]))
    await fund(tenantId, 7n, 'a')
    expect(await balanceOf(tenantId)).toMatchObject({ availableMicros: 7n })
  })
})

describe('holdMany', () => {
  it("grants a tenant's rows in order and passes over one that does not fit", async () => {
    const [a, b] = [await tenantWith(100n), await tenantWith(10n)]
    const rows = [holdOf(a, 60n), holdOf(b, 11n), holdOf(a, 50n), holdOf(a, 40n), holdOf(b, 10n), holdOf(a, 1n), holdOf(a, 0n)]
    const outcomes = await hold(...rows)
    expect(rows.map((row) => outcomes.get(row.holdId))).toEqual(['held', 'insufficient', 'insufficient', 'held', 'held', 'insufficient', 'held'])
    expect(await balanceOf(a)).toEqual({ fundedMicros: 100n, availableMicros: 0n, heldMicros: 100n, spentMicros: 0n })
    await clean(a)
    await clean(b)
  })

  it('a replay changes nothing; after the hold is closed it says so', async () => {
    const tenantId = await tenantWith(100n)
    const row = holdOf(tenantId, 60n)
    await hold(row)
    expect((await hold(row)).get(row.holdId)).toBe('replayed')
    expect(await balanceOf(tenantId)).toMatchObject({ availableMicros: 40n, heldMicros: 60n })
    await release(voidOf(row))
    expect((await hold(row)).get(row.holdId)).toBe('closed')
    expect(await balanceOf(tenantId)).toMatchObject({ availableMicros: 100n, heldMicros: 0n })
    await clean(tenantId)
  })

  it('an insufficient hold leaves nothing behind, so that the same key succeeds after a top-up', async () => {
    const tenantId = await tenantWith(10n)
    const row = holdOf(tenantId, 11n)
    expect((await hold(row)).get(row.holdId)).toBe('insufficient')
    await fund(tenantId, 1n, 'more')
    expect((await hold(row)).get(row.holdId)).toBe('held')
  })

  it('says mismatch for a key of another hold, a hold of another key, another amount, and twins in one batch', async () => {
    const tenantId = await tenantWith(100n)
    const row = holdOf(tenantId, 5n)
    const twin = holdOf(tenantId, 5n, { idempotencyKey: row.idempotencyKey })
    expect(await hold(row, row, twin)).toEqual(new Map([[row.holdId, 'held'], [twin.holdId, 'mismatch']]))
    for (const wrong of [twin, { ...row, amountMicros: 6n }, { ...row, idempotencyKey: 'other' }]) expect((await hold(wrong)).get(wrong.holdId)).toBe('mismatch')
    expect(await balanceOf(tenantId)).toMatchObject({ heldMicros: 5n })
    await clean(tenantId)
  })

  it('the same key means different things to two tenants', async () => {
    const tenants = await tenantsWith(db, 2, 10n)
    const rows = tenants.map((tenantId) => holdOf(tenantId, 10n, { idempotencyKey: 'same' }))
    expect([...(await hold(...rows)).values()]).toEqual(['held', 'held'])
  })

  it('works in the transaction of a tenant, which cannot reach the wallet of another', async () => {
    const [ours, theirs] = await tenantsWith(db, 2, 10n)
    const foreign = holdOf(theirs!, 1n)
    expect((await db.tenant(ours!, (tx) => holdMany(tx, [foreign]))).get(foreign.holdId)).toBe('insufficient')
    const own = holdOf(ours!, 1n)
    expect((await db.tenant(ours!, (tx) => holdMany(tx, [own]))).get(own.holdId)).toBe('held')
    expect(await balanceOf(theirs!)).toMatchObject({ heldMicros: 0n })
  })

  it('refuses a negative amount before anything is written', async () => {
    const tenantId = await tenantWith(10n)
    await expect(hold(holdOf(tenantId, 1n), holdOf(tenantId, -1n))).rejects.toMatchObject({ code: 'internal' })
    expect(await balanceOf(tenantId)).toMatchObject({ availableMicros: 10n })
  })
})

describe('settleMany and voidMany', () => {
  it('charges what was used and gives the rest back, for many tenants in one batch', async () => {
    const tenants = await tenantsWith(db, 3, 100n)
    const rows = tenants.flatMap((tenantId) => [holdOf(tenantId, 30n), holdOf(tenantId, 20n)])
    await hold(...rows)
    const results = await settle(...rows.map((row) => settleOf(row, 15n)))
    expect([...results.values()].every((each) => each.outcome === 'done' && each.state === 'settled' && each.availableMicros === 70n && each.overrunMicros === 0n)).toBe(true)
    for (const tenantId of tenants) {
      expect(await balanceOf(tenantId)).toEqual({ fundedMicros: 100n, availableMicros: 70n, heldMicros: 0n, spentMicros: 30n })
      await clean(tenantId)
    }
  })

  it('takes what the hold does not cover from available, below zero if need be, and flags it; then nothing more is held', async () => {
    const tenantId = await tenantWith(100n)
    const row = holdOf(tenantId, 90n)
    await hold(row)
    const charged = { outcome: 'done', state: 'settled', overrunMicros: 25n, availableMicros: -15n }
    expect((await settle(settleOf(row, 115n))).get(row.holdId)).toEqual(charged)
    expect((await settle(settleOf(row, 115n))).get(row.holdId)).toEqual({ ...charged, outcome: 'replayed' })
    expect([...(await hold(holdOf(tenantId, 0n))).values()]).toEqual(['insufficient'])
    const { items } = await db.tenant(tenantId, (tx) => listTransfers(tx, tenantId, { kind: 'settle' }, { limit: 10 }))
    expect(items[0]?.details).toEqual({ overrun_micros: '25' })
    await clean(tenantId)
  })

  it('settles a free turn', async () => {
    const tenantId = await tenantWith(5n)
    const row = holdOf(tenantId, 0n)
    await hold(row)
    expect((await settle(settleOf(row, 0n))).get(row.holdId)).toMatchObject({ outcome: 'done', state: 'settled' })
    await clean(tenantId)
  })

  it('a replay changes nothing and answers the same state; a key of another transfer is a mismatch', async () => {
    const tenantId = await tenantWith(100n)
    const [one, two] = [holdOf(tenantId, 30n), holdOf(tenantId, 30n)]
    await hold(one, two)
    await settle(settleOf(one, 10n))
    expect((await settle(settleOf(one, 10n))).get(one.holdId)).toMatchObject({ outcome: 'replayed', state: 'settled' })
    expect((await settle(settleOf(one, 11n))).get(one.holdId)).toMatchObject({ outcome: 'mismatch' })
    expect((await settle(settleOf(two, 10n, { idempotencyKey: `settle:${one.holdId}` }))).get(two.holdId)).toMatchObject({ outcome: 'mismatch', state: 'held' })
    expect((await release(voidOf(two, { idempotencyKey: `settle:${one.holdId}` }))).get(two.holdId)).toMatchObject({ outcome: 'mismatch' })
    expect(await balanceOf(tenantId)).toMatchObject({ spentMicros: 10n, heldMicros: 30n })
    await clean(tenantId)
  })

  it('a settlement after a void, a void after a settlement and a second settlement change nothing and say so', async () => {
    const tenantId = await tenantWith(100n)
    const [one, two] = [holdOf(tenantId, 30n), holdOf(tenantId, 30n)]
    await hold(one, two)
    await release(voidOf(one))
    await settle(settleOf(two, 10n))
    expect((await settle(settleOf(one, 5n))).get(one.holdId)).toMatchObject({ outcome: 'refused', state: 'voided' })
    expect((await release(voidOf(two))).get(two.holdId)).toMatchObject({ outcome: 'refused', state: 'settled' })
    expect((await settle(settleOf(two, 10n, { idempotencyKey: 'again' }))).get(two.holdId)).toMatchObject({ outcome: 'refused', state: 'settled' })
    expect((await release(voidOf(one))).get(one.holdId)).toMatchObject({ outcome: 'replayed', state: 'voided' })
    expect((await settle(settleOf(holdOf(tenantId, 1n), 1n))).values().next().value).toMatchObject({ outcome: 'refused', state: null })
    expect(await balanceOf(tenantId)).toMatchObject({ availableMicros: 90n, heldMicros: 0n, spentMicros: 10n })
    await clean(tenantId)
  })

  it('one hold that comes twice in a batch is closed once; one key for two holds counts for the first', async () => {
    const tenantId = await tenantWith(100n)
    const [one, two] = [holdOf(tenantId, 30n), holdOf(tenantId, 30n)]
    await hold(one, two)
    const results = await settle(settleOf(one, 1n), settleOf(one, 2n, { idempotencyKey: 'twice' }), settleOf(two, 3n, { idempotencyKey: `settle:${one.holdId}` }))
    expect([results.get(one.holdId)?.outcome, results.get(two.holdId)?.outcome]).toEqual(['done', 'mismatch'])
    expect(await balanceOf(tenantId)).toMatchObject({ spentMicros: 1n, heldMicros: 30n })
    await clean(tenantId)
  })
})

describe('expireHolds', () => {
  it('gives back what nobody closed in time; a late settlement still charges, a late void does not matter', async () => {
    const tenantId = await tenantWith(100n)
    const [late, dead, alive] = [holdOf(tenantId, 30n, { expiresAtMs: 1_000 }), holdOf(tenantId, 20n, { expiresAtMs: 2_000 }), holdOf(tenantId, 10n)]
    await hold(late, dead, alive)
    expect(await expire(2_000, 1)).toEqual([{ tenantId, holdId: late.holdId, turnId: late.turnId }])
    expect(await expire(2_000, 10)).toEqual([{ tenantId, holdId: dead.holdId, turnId: dead.turnId }])
    expect(await expire(2_000, 10)).toEqual([])
    expect(await balanceOf(tenantId)).toMatchObject({ availableMicros: 90n, heldMicros: 10n })
    expect((await settle(settleOf(late, 25n))).get(late.holdId)).toEqual({ outcome: 'done', state: 'settled', overrunMicros: 25n, availableMicros: 65n })
    expect((await release(voidOf(dead))).get(dead.holdId)).toMatchObject({ outcome: 'refused', state: 'expired' })
    expect(await balanceOf(tenantId)).toEqual({ fundedMicros: 100n, availableMicros: 65n, heldMicros: 10n, spentMicros: 25n })
    await clean(tenantId)
  })
})

describe('a batch that fails', () => {
  it('leaves nothing: the transaction is the unit', async () => {
    const tenantId = await tenantWith(100n)
    const row = holdOf(tenantId, 10n)
    const work = db.system('ledger', async (tx) => {
      await holdMany(tx, [row])
      await settleMany(tx, [settleOf(row, 4n)])
      throw new Error('the worker died')
    })
    await expect(work).rejects.toThrow('died')
    expect(await balanceOf(tenantId)).toEqual({ fundedMicros: 100n, availableMicros: 100n, heldMicros: 0n, spentMicros: 0n })
    expect((await hold(row)).get(row.holdId)).toBe('held')
  })
})

describe('the statement', () => {
  it('pages through transfers with their entries, and filters by kind, turn and time', async () => {
    const tenantId = await tenantWith(100n)
    const row = holdOf(tenantId, 10n)
    await hold(row)
    await settle(settleOf(row, 4n, { details: { lines: [] }, messageId: newId() }))
    const list = (filter: Parameters<typeof listTransfers>[2], limit = 10, after?: Id) => db.tenant(tenantId, (tx) => listTransfers(tx, tenantId, filter, { limit, before: after }))
    const all = await list({})
    // Newest first by id; ids of one millisecond have no order among themselves, and this test is that quick.
    expect(all.items.map((each) => each.id)).toEqual(all.items.map((each) => each.id).toSorted((a, b) => (a < b ? 1 : -1)))
    expect(all.items.map((each) => each.kind).toSorted()).toEqual(['hold', 'settle', 'topup'])
    expect(all.next).toBeNull()
    expect(all.items.find((each) => each.kind === 'settle')).toMatchObject({ amountMicros: 4n, turnId: row.turnId, details: { lines: [] }, entries: [{ account: 'held', amountMicros: -10n }, { account: 'spent', amountMicros: 4n }, { account: 'available', amountMicros: 6n }] })
    const first = await list({}, 2)
    const second = await list({}, 2, first.next!)
    expect([...first.items, ...second.items]).toEqual(all.items)
    expect(second.next).toBeNull()
    expect((await list({ turnId: row.turnId! })).items).toHaveLength(2)
    expect((await list({ to: new Date(0) })).items).toEqual([])
    expect((await list({ from: new Date(0), kind: 'topup' })).items).toHaveLength(1)
  })

  it('lists holds by state', async () => {
    const tenantId = await tenantWith(100n)
    const rows = [holdOf(tenantId, 1n), holdOf(tenantId, 2n)]
    await hold(...rows)
    await release(voidOf(rows[0]!))
    const list = (state?: 'held' | 'voided') => db.tenant(tenantId, (tx) => listHolds(tx, tenantId, { state }, { limit: 10 }))
    expect((await list('held')).items.map((each) => each.id)).toEqual([rows[1]!.holdId])
    expect((await list('voided')).items).toMatchObject([{ id: rows[0]!.holdId, amountMicros: 1n, state: 'voided' }])
    expect((await list()).items).toHaveLength(2)
  })
})

describe('verifyLedger', () => {
  it('reports a balance that was changed behind the back of the ledger, and a hold that is missing', async () => {
    const tenantId = await tenantWith(100n)
    await hold(holdOf(tenantId, 40n))
    await clean(tenantId)
    await db.system('test', (tx) => tx.query("UPDATE accounts SET balance_micros = 61 WHERE tenant_id = $1 AND kind = 'available'", [tenantId]))
    await db.system('test', (tx) => tx.query('DELETE FROM holds WHERE tenant_id = $1', [tenantId]))
    const found = await db.system('ledger', (tx) => verifyLedger(tx, tenantId))
    expect(found.differences).toEqual([
      { tenantId, what: 'account', of: 'available', storedMicros: 61n, expectedMicros: 60n },
      { tenantId, what: 'open_holds', of: 'held', storedMicros: 40n, expectedMicros: 0n },
    ])
  })
})
