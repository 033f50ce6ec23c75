import { accountsOf, audit, decide, emptyBook, post, type Book, type Command, type Outcome } from '@trunkline/billing'
import { newId, type Id } from '@trunkline/core'
import { connectDb, ledger, type Db, type Tx } from '@trunkline/db'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../harness/database.ts'

// The same random batches run against Postgres and against the pure rules of billing/, row by row. Some transactions are rolled
// back at their end, as by a crash; keys and holds come from small sets, so that most of it is replays, rivals and mistakes.

const TENANTS = 3
const HOLDS = 6
const RUNS = 500

type Plan =
  | { kind: 'fund'; tenant: number; key: number; amount: number; down: boolean }
  | { kind: 'hold'; rows: { hold: number; key: number; amount: number; expiresAtMs: number }[] }
  | { kind: 'close'; as: 'settle' | 'void'; rows: { hold: number; key: number; amount: number; foreign: boolean }[] }
  | { kind: 'expire'; tenant: number; nowMs: number }

const hold = fc.nat(TENANTS * HOLDS - 1)
const key = fc.nat(TENANTS * HOLDS - 1)
const amount = fc.nat(40)
/** A batch in which a hold or a key comes twice is a case of its own, tested beside the ledger. */
const unique = <Row extends { hold: number; key: number }>(rows: Row[]): Row[] =>
  rows.filter((row, n) => !rows.slice(0, n).some((other) => other.hold === row.hold || other.key === row.key))
/** Half of the rows use the key that belongs to the hold, so that real replays are frequent. */
const withOwnKey = <Row extends { hold: number; key: number; own: boolean }>({ own, ...row }: Row) => ({ ...row, key: own ? row.hold : row.key })

const anyPlan: fc.Arbitrary<Plan> = fc.oneof(
  fc.record({ kind: fc.constant('fund' as const), tenant: fc.nat(TENANTS - 1), key: fc.nat(4), amount: fc.integer({ min: 1, max: 90 }), down: fc.boolean() }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('hold' as const), rows: fc.array(fc.record({ hold, key, own: fc.boolean(), amount, expiresAtMs: fc.nat(100) }).map(withOwnKey), { maxLength: 12 }).map(unique) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('close' as const), as: fc.constantFrom('settle' as const, 'void' as const), rows: fc.array(fc.record({ hold, key, own: fc.boolean(), amount, foreign: fc.boolean() }).map(withOwnKey), { maxLength: 12 }).map(unique) }) },
  fc.record({ kind: fc.constant('expire' as const), tenant: fc.nat(TENANTS - 1), nowMs: fc.nat(100) }),
)

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

type Ids = { tenants: Id[]; holds: Id[] }
const tenantOf = (ids: Ids, holdIndex: number): Id => ids.tenants[holdIndex % TENANTS]!

/** The plan as commands of the model, in the order the ledger takes the rows. */
function commandsOf(plan: Plan, ids: Ids, book: Book): Command[] {
  switch (plan.kind) {
    case 'fund': return [{ kind: plan.down ? 'adjust' : 'topup', tenant: ids.tenants[plan.tenant]!, key: `fund${plan.key}`, amountMicros: BigInt(plan.down ? -plan.amount : plan.amount) }]
    case 'hold': return plan.rows.map((row) => ({ kind: 'hold', tenant: tenantOf(ids, row.hold), hold: ids.holds[row.hold]!, key: `hold${row.key}`, amountMicros: BigInt(row.amount), expiresAtMs: row.expiresAtMs }))
    case 'close': return plan.rows.map((row) => {
      const closing = { tenant: row.foreign ? tenantOf(ids, row.hold + 1) : tenantOf(ids, row.hold), hold: ids.holds[row.hold]!, key: `close${row.key}` }
      return plan.as === 'void' ? { kind: 'void', ...closing } : { kind: 'settle', ...closing, amountMicros: BigInt(row.amount) }
    })
    case 'expire': return [...book.holds].filter(([, record]) => record.tenant === ids.tenants[plan.tenant] && record.state === 'held' && record.expiresAtMs <= plan.nowMs)
      .map(([holdId, record]) => ({ kind: 'expire', tenant: record.tenant, hold: holdId, nowMs: plan.nowMs }))
  }
}

/** The same on Postgres, as one transaction. Answers outcomes in the model's words, by hold (by key for funding). */
async function run(tx: Tx, plan: Plan, commands: Command[], ids: Ids): Promise<Map<string, Outcome>> {
  switch (plan.kind) {
    case 'fund': return fund(tx, commands[0]!)
    case 'hold': {
      const rows = commands.flatMap((each) => (each.kind === 'hold' ? [{ tenantId: each.tenant, holdId: each.hold, turnId: null, amountMicros: each.amountMicros, idempotencyKey: each.key, expiresAtMs: each.expiresAtMs }] : []))
      return new Map([...(await ledger.holdMany(tx, rows))].map(([holdId, outcome]) => [holdId, outcome === 'held' ? 'done' : outcome]))
    }
    case 'close': {
      const rows = commands.flatMap((each) => (each.kind === 'settle' || each.kind === 'void' ? [{ tenantId: each.tenant, holdId: each.hold, turnId: null, amountMicros: each.kind === 'settle' ? each.amountMicros : 0n, memo: '', details: null, idempotencyKey: each.key }] : []))
      const results = plan.as === 'settle' ? await ledger.settleMany(tx, rows) : await ledger.voidMany(tx, rows)
      return new Map([...results].map(([holdId, result]) => [holdId, result.outcome]))
    }
    case 'expire': {
      const expired = await ledger.expireHolds(tx, plan.nowMs, 1_000)
      return new Map(expired.filter((each) => ids.tenants.includes(each.tenantId)).map((each) => [each.holdId, 'done']))
    }
  }
}

async function fund(tx: Tx, command: Command): Promise<Map<string, Outcome>> {
  if (command.kind !== 'topup' && command.kind !== 'adjust') throw new Error('not a funding')
  const row = { tenantId: command.tenant, amountMicros: command.amountMicros, idempotencyKey: command.key, memo: '', actor: { kind: 'system', id: 'model' } } as const
  const outcome = await (command.kind === 'topup' ? ledger.topUp : ledger.adjust)(tx, row).then(
    (funded): Outcome => (funded.replayed ? 'replayed' : 'done'),
    (error: { code?: string }): Outcome => {
      if (error.code === 'insufficient_credit') return 'insufficient'
      if (error.code === 'idempotency_mismatch') return 'mismatch'
      throw error
    },
  )
  return new Map([[command.key, outcome]])
}

const CRASH = new Error('crash before the commit')

async function step(plan: Plan, crash: boolean, ids: Ids, book: Book): Promise<void> {
  const commands = commandsOf(plan, ids, book)
  const trial = crash ? copy(book) : book
  const expected = new Map(commands.map((command): [string, Outcome] => ['hold' in command ? command.hold : command.key, post(trial, decide(trial, command))]))
  let actual = new Map<string, Outcome>()
  const work = async (tx: Tx) => {
    actual = await run(tx, plan, commands, ids)
    if (crash) throw CRASH
  }
  // Expiry looks at every tenant it can see: as the tenant, that is its own.
  const transaction = plan.kind === 'expire' ? db.tenant(ids.tenants[plan.tenant]!, work) : db.system('ledger', work)
  await transaction.catch((error: unknown) => {
    if (error !== CRASH) throw error
  })
  expect(actual).toEqual(expected)
}

const flat = (entries: { account: string; amountMicros: bigint }[]) => entries.map((entry) => `${entry.account} ${entry.amountMicros}`).toSorted().join()

const copy = (book: Book): Book => ({ accounts: new Map(book.accounts), holds: new Map(book.holds), transfers: new Map(book.transfers) })

async function compare(ids: Ids, book: Book): Promise<void> {
  expect(audit(book)).toEqual([])
  for (const tenantId of ids.tenants) {
    const { funding, available, held, spent } = accountsOf(book, tenantId)
    await db.tenant(tenantId, async (tx) => {
      expect(await ledger.balance(tx, tenantId)).toEqual({ fundedMicros: -funding, availableMicros: available, heldMicros: held, spentMicros: spent })
      expect((await ledger.verifyLedger(tx, tenantId)).differences).toEqual([])
      const { items: holds } = await ledger.listHolds(tx, tenantId, {}, { limit: 1_000 })
      const expectedHolds = [...book.holds].filter(([, record]) => record.tenant === tenantId)
      expect(new Map(holds.map((each) => [each.id, each.state]))).toEqual(new Map(expectedHolds.map(([id, record]) => [id, record.state])))
      const { items: transfers } = await ledger.listTransfers(tx, tenantId, {}, { limit: 1_000 })
      const ours = [...book.transfers.values()].filter((each) => each.tenant === tenantId)
      expect(transfers.map((each) => `${each.kind} ${each.amountMicros} ${each.holdId} ${flat(each.entries)}`).toSorted())
        .toEqual(ours.map((each) => `${each.kind} ${each.amountMicros} ${each.hold} ${flat(each.entries)}`).toSorted())
    })
  }
}

it(`the ledger on Postgres and its pure model agree on every outcome and every entry (${RUNS} random histories)`, async () => {
  expect.hasAssertions()
  await fc.assert(fc.asyncProperty(fc.array(fc.record({ plan: anyPlan, crash: fc.nat(9).map((n) => n === 0) }), { minLength: 6, maxLength: 25 }), async (steps) => {
    const ids: Ids = { tenants: Array.from({ length: TENANTS }, () => newId()), holds: Array.from({ length: TENANTS * HOLDS }, () => newId()) }
    const book = emptyBook()
    await db.system('test', (tx) => tx.query("INSERT INTO tenants (id, name) SELECT id, 'T' FROM unnest($1::uuid[]) AS id", [ids.tenants]))
    // Something to spend, or most histories would be refusals.
    for (const tenant of ids.tenants.keys()) await step({ kind: 'fund', tenant, key: 9, amount: 100, down: false }, false, ids, book)
    for (const { plan, crash } of steps) await step(plan, crash, ids, book)
    await compare(ids, book)
  }), { numRuns: RUNS })
}, 120_000)
