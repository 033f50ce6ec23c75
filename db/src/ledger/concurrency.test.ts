import { newId, type Id } from '@trunkline/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../../tests/harness/database.ts'
import { connectDb, type Db } from '../tenancy.ts'
import { holdOf, settleOf, tenantsWith, voidOf } from './fixture.ts'
import { balance, expireHolds, holdMany, lockWallets, settleMany, topUp, verifyLedger, voidMany, type HoldRow } from './index.ts'

const CLIENTS = 64
let database: FreshDatabase
let db: Db

beforeAll(async () => {
  database = await freshDatabase()
  db = connectDb({ url: database.url, secret: TEST_SECRET, maxConnections: CLIENTS })
  await openAllConnections()
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

/** A pool that still connects lets one client finish before the next begins, and then nothing races. */
async function openAllConnections(): Promise<void> {
  const { promise: everybodyIsHere, resolve } = Promise.withResolvers<void>()
  let present = 0
  await Promise.all(Array.from({ length: CLIENTS }, () => db.system('test', async (tx) => {
    await tx.query('SELECT 1')
    if (++present === CLIENTS) resolve()
    await everybodyIsHere
  })))
}

const balanceOf = (tenantId: Id) => db.tenant(tenantId, (tx) => balance(tx, tenantId))
const differences = async () => (await db.system('ledger', (tx) => verifyLedger(tx))).differences

/** Runs `jobs` on as many clients at once as there are connections. */
async function crowd(jobs: (() => Promise<void>)[]): Promise<void> {
  const queue = jobs.values()
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    for (const job of queue) await job()
  }))
}

/** Deterministic, so that a failure can be repeated. */
const rank = (index: number) => Math.imul(index + 1, 2_654_435_761) >>> 0
function shuffled<T>(items: readonly T[]): T[] {
  return items.map((item, index) => ({ item, rank: rank(index) })).toSorted((a, b) => a.rank - b.rank).map(({ item }) => item)
}

const done = (results: Map<Id, { outcome: string }>): number => [...results.values()].filter((each) => each.outcome === 'done').length

const chunks = <T>(items: readonly T[], size: number): T[][] => Array.from({ length: Math.ceil(items.length / size) }, (_, n) => items.slice(n * size, (n + 1) * size))

describe('the ledger under concurrency', () => {
  it('10,000 holds and settlements, each submitted twice at the same time in different batches, charge exactly once', async () => {
    const tenants = await tenantsWith(db, 40, 1_000_000n)
    const holds = Array.from({ length: 10_000 }, (_, n) => holdOf(tenants[n % tenants.length]!, 50n))
    const twice = shuffled([...holds, ...shuffled(holds)])
    const held = { held: 0, replayed: 0 }
    await crowd(chunks(twice, 37).map((batch) => async () => {
      for (const outcome of (await db.system('ledger', (tx) => holdMany(tx, batch))).values()) if (outcome === 'held' || outcome === 'replayed') held[outcome]++
    }))
    expect(held.held).toBe(10_000)
    const settled = { done: 0, replayed: 0 }
    await crowd(chunks(shuffled(twice), 41).map((batch) => async () => {
      const results = await db.system('ledger', (tx) => settleMany(tx, batch.map((row) => settleOf(row, 30n))))
      for (const { outcome } of results.values()) if (outcome === 'done' || outcome === 'replayed') settled[outcome]++
    }))
    expect(settled.done).toBe(10_000)
    for (const tenantId of tenants) expect(await balanceOf(tenantId)).toEqual({ fundedMicros: 1_000_000n, availableMicros: 992_500n, heldMicros: 0n, spentMicros: 7_500n })
    expect(await differences()).toEqual([])
  })

  it('one key submitted by 500 transactions at once is one hold and one charge', async () => {
    const [tenantId] = await tenantsWith(db, 1, 1_000n)
    const row = holdOf(tenantId!, 10n)
    const outcomes: string[] = []
    await crowd(Array.from({ length: 500 }, () => async () => {
      await db.system('ledger', async (tx) => {
        outcomes.push((await holdMany(tx, [row])).get(row.holdId)!, (await settleMany(tx, [settleOf(row, 7n)])).get(row.holdId)!.outcome)
      })
    }))
    expect(outcomes.filter((each) => each === 'held' || each === 'done')).toHaveLength(2)
    expect(outcomes.filter((each) => each === 'closed' || each === 'replayed')).toHaveLength(998)
    expect(await balanceOf(tenantId!)).toMatchObject({ availableMicros: 993n, heldMicros: 0n, spentMicros: 7n })
  })

  it('hot wallet: 64 clients with more debits than the balance covers; exactly the affordable number succeeds, never below zero', async () => {
    const [tenantId] = await tenantsWith(db, 1, 1_000n * 7n + 6n)
    let succeeded = 0
    let lowest = 0n
    const debit = async (rows: HoldRow[]) => {
      await db.system('ledger', async (tx) => {
        const outcomes = await holdMany(tx, rows)
        const won = rows.filter((row) => outcomes.get(row.holdId) === 'held')
        succeeded += won.length
        for (const result of (await settleMany(tx, won.map((row) => settleOf(row, 7n)))).values()) if (result.availableMicros < lowest) lowest = result.availableMicros
      })
    }
    const debits = Array.from({ length: 2_000 }, () => holdOf(tenantId!, 7n))
    await crowd([...chunks(debits.slice(0, 1_000), 1), ...chunks(debits.slice(1_000), 20)].map((rows) => () => debit(rows)))
    expect(succeeded).toBe(1_000)
    expect(lowest).toBe(0n)
    expect(await balanceOf(tenantId!)).toMatchObject({ availableMicros: 6n, heldMicros: 0n, spentMicros: 7_000n })
    expect(await differences()).toEqual([])
  })

  it('settle, void and expiry racing for the same holds close each exactly once', async () => {
    const [tenantId] = await tenantsWith(db, 1, 100_000n)
    const rows = Array.from({ length: 600 }, () => holdOf(tenantId!, 100n, { expiresAtMs: 1_000 }))
    await db.system('ledger', (tx) => holdMany(tx, rows))
    const closed = { settle: 0, void: 0, expire: 0 }
    await crowd(shuffled(chunks(rows, 5).flatMap((batch) => [
      async () => {
        const results = await db.system('ledger', (tx) => voidMany(tx, batch.map((row) => voidOf(row))))
        closed.void += done(results)
      },
      async () => {
        const results = await db.system('ledger', (tx) => settleMany(tx, batch.map((row) => settleOf(row, 60n))))
        closed.settle += done(results)
      },
      async () => {
        const expired = await db.system('ledger', (tx) => expireHolds(tx, 2_000, 5))
        closed.expire += expired.length
      },
    ])))
    // A settlement after expiry charges too: so a hold may expire and be settled, and nothing else may happen twice.
    const { rows: kinds } = await db.system('test', (tx) => tx.query<{ kind: string; n: string }>("SELECT kind, count(*) AS n FROM transfers WHERE tenant_id = $1 AND kind IN ('settle', 'void') GROUP BY kind", [tenantId]))
    expect(Object.fromEntries(kinds.map((row) => [row.kind, Number(row.n)]))).toEqual({ settle: closed.settle, void: closed.void + closed.expire })
    const { rows: states } = await db.system('test', (tx) => tx.query<{ state: string; n: string }>('SELECT state, count(*) AS n FROM holds WHERE tenant_id = $1 GROUP BY state', [tenantId]))
    expect(states.reduce((total, row) => total + Number(row.n), 0)).toBe(600)
    expect(states.find((row) => row.state === 'settled')?.n).toBe(String(closed.settle))
    expect(await balanceOf(tenantId!)).toEqual({ fundedMicros: 100_000n, availableMicros: 100_000n - 60n * BigInt(closed.settle), heldMicros: 0n, spentMicros: 60n * BigInt(closed.settle) })
    expect(await differences()).toEqual([])
  })

  it('batches that share tenants in opposite orders do not deadlock, also with several calls in one transaction', async () => {
    const tenants = await tenantsWith(db, 12, 1_000_000n)
    await crowd(Array.from({ length: 200 }, (_, n) => async () => {
      const order = n % 2 === 0 ? tenants : tenants.toReversed()
      const rows = order.map((tenantId) => holdOf(tenantId, 1n))
      await db.system('ledger', async (tx) => {
        lockWallets(tx, tenants)
        await holdMany(tx, rows.slice(0, 6))
        await settleMany(tx, rows.slice(0, 6).toReversed().map((row) => settleOf(row, 1n)))
        await holdMany(tx, rows.slice(6))
      })
    }))
    expect(await differences()).toEqual([])
    for (const tenantId of tenants) expect((await balanceOf(tenantId)).availableMicros).toBe(1_000_000n - 200n)
  })

  it('a top-up takes effect at once: a hold that was refused succeeds right after it', async () => {
    const [tenantId] = await tenantsWith(db, 1, 0n)
    for (let round = 0; round < 20; round++) {
      const row = holdOf(tenantId!, 5n)
      const attempt = async () => (await db.system('queue', (tx) => holdMany(tx, [row]))).get(row.holdId)
      expect(await attempt()).toBe('insufficient')
      await db.tenant(tenantId!, (tx) => topUp(tx, { tenantId: tenantId!, amountMicros: 5n, idempotencyKey: newId(), memo: '', actor: { kind: 'user', id: 'u' } }))
      expect(await attempt()).toBe('held')
    }
  })
})
