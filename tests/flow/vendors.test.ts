import { systemClock, type Clock } from '@trunkline/core'
import { ledger } from '@trunkline/db'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Business, Json, OurNumber } from './business.ts'
import { newCustomer, post, whatsappBody } from './post.ts'
import { openTown, type Town } from './town.ts'

// A vendor fails in the middle of its answer: the customer hears one whole answer of the next one, once, and pays for that one.

const CLAUDE = { vendor: 'anthropic', model: 'claude-haiku-4-5' }
const OPEN_MS = 30_000

let town: Town
let business: Business
let number: OurNumber
let aheadMs = 0
/** The worker's clock; it may be put forward instead of waited for. */
const clock: Clock = { nowMs: () => systemClock.nowMs() + aheadMs, after: (delayMs, fn) => systemClock.after(delayMs, fn) }
beforeAll(async () => {
  town = await openTown({ clock })
  business = await town.business()
})
afterAll(() => town?.close())
beforeEach(async () => {
  town.sandbox.faults.clear()
  // Whatever the last test did to a circuit breaker: its next call is a probe, and one that succeeds closes it.
  aheadMs += 2 * OPEN_MS
  number = await business.number({ prompt: { fallback: CLAUDE } })
  await answered('Are you all right?')
  number = await business.number({ prompt: { fallback: CLAUDE } })
})

type Row = Record<string, Json>
const TURN = 'SELECT t.*, t.cost_micros::text AS cost FROM turns t JOIN messages m ON m.turn_id = t.id WHERE m.direction = $2 AND m.number_id = $1 ORDER BY t.first_seq DESC LIMIT 1'
/** A new customer's words, and how their turn ended. */
async function answered(text: string): Promise<{ turn: Row; customer: string }> {
  const customer = newCustomer()
  const count = (await town.rows('SELECT 1 FROM turns WHERE number_id = $1', [number.id])).length + 1
  expect((await post(number, whatsappBody(number, customer, [text]))).status).toBe(200)
  await town.until<Row>('SELECT state FROM turns WHERE number_id = $1', [number.id], (rows) => rows.length === count && rows.every((row) => row['state'] === 'retired'), 20_000)
  const [turn] = await town.rows<Row>(TURN, [number.id, 'inbound'])
  return { turn: turn!, customer }
}
const heardBy = (customer: string) => town.sandbox.journal.sends({ number: number.address }).filter((entry) => entry.to === customer).map((entry) => entry.text)
const asked = (target: string) => town.sandbox.journal.query({ target }).length

/** One settlement for the turn: the rest of its hold is back, and what it costs is what was used by whoever answered. */
async function expectOneCharge(turn: Row): Promise<void> {
  const entries = await town.rows<{ kind: string; account: string; amount: string }>('SELECT tr.kind, e.account, e.amount_micros::text AS amount FROM transfers tr JOIN entries e ON e.transfer_id = tr.id WHERE tr.turn_id = $1', [turn['id']])
  const sum = (account: string) => entries.filter((entry) => entry.account === account).reduce((total, entry) => total + BigInt(entry.amount), 0n)
  expect(entries.filter((entry) => entry.kind === 'settle' && entry.account === 'spent')).toHaveLength(1)
  expect([sum('held'), sum('spent')]).toEqual([0n, BigInt(turn['cost'])])
  expect(BigInt(turn['cost'])).toBeGreaterThan(0n)
  const usage = await town.rows<Row>('SELECT vendor, outcome, cost_micros > 0 AS costs FROM usage_records WHERE turn_id = $1 ORDER BY vendor', [turn['id']])
  expect(usage.filter((row) => row['costs'])).toEqual([{ vendor: 'anthropic', outcome: 'ok', costs: true }])
  expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
}

describe('a vendor that fails in the middle of its answer', () => {
  const HALF = 'This half of an answer must never be seen by anybody, however much of it has come.'
  it.each([
    ['refuses with 500', { status: 500 }, 'server_error'],
    ['is overloaded, 503', { status: 503 }, 'server_error'],
    ['limits the rate, 429', { status: 429, errorCode: 'rate_limit_exceeded', retryAfter: 20 }, 'rate_limited'],
    ['drops the connection', { reset: true }, 'connection'],
    ['cuts its stream after some words', { text: HALF, cutStreamAfterEvents: 12 }, 'cut'],
    ['falls silent after some words', { text: HALF, stallStreamAfterEvents: 12 }, 'stalled'],
    ['ends its answer as failed', { modelOutcome: 'failed' }, 'server_error'],
    ['answers something without any event', { garbage: true }, 'cut'],
  ] as const)('%s: the second one answers, once, and that is charged once', { timeout: 30_000 }, async (_how, action, reason) => {
    town.sandbox.faults.add({ target: 'openai.responses', action })
    town.sandbox.faults.add({ target: 'anthropic.messages', action: { text: 'We repair every bicycle.' } })
    const { turn, customer } = await answered('Do you repair tandems?')
    expect(turn).toMatchObject({ outcome: 'sent', vendor: 'anthropic', details: { skipped_vendors: [{ vendor: 'openai', reason }] } })
    expect(heardBy(customer)).toEqual(['We repair every bicycle.'])
    expect(await town.rows("SELECT author, status IN ('sent', 'delivered', 'read', 'answered') AS done FROM messages WHERE number_id = $1 ORDER BY seq", [number.id])).toEqual([{ author: 'customer', done: true }, { author: 'agent', done: true }])
    await expectOneCharge(turn)
  })
})

describe('the circuit breaker of a vendor', () => {
  const down = { target: 'openai.responses', action: { status: 500 } }
  const fiveFailures = async () => {
    for (let failed = 0; failed < 5; failed++) expect((await answered('Hello')).turn['vendor']).toBe('anthropic')
  }

  it('opens after five failures in a row, keeps calls away, and closes after the first success', { timeout: 30_000 }, async () => {
    const fault = town.sandbox.faults.add(down)
    await fiveFailures()
    town.sandbox.faults.remove(fault.id)
    const before = asked('openai.responses')
    const { turn, customer } = await answered('Hello')
    expect(turn).toMatchObject({ outcome: 'sent', vendor: 'anthropic', details: { skipped_vendors: [{ vendor: 'openai', reason: 'breaker_open' }] } })
    expect([asked('openai.responses'), heardBy(customer).length]).toEqual([before, 1])
    await expectOneCharge(turn)

    aheadMs += OPEN_MS
    for (let again = 0; again < 2; again++) expect((await answered('Hello')).turn).toMatchObject({ outcome: 'sent', vendor: 'openai' })
  })

  it('asks one probe after its time, and stays open when that fails', { timeout: 30_000 }, async () => {
    town.sandbox.faults.add(down)
    await fiveFailures()
    aheadMs += OPEN_MS
    const before = asked('openai.responses')
    const reasons = [(await answered('Hello')).turn, (await answered('Hello')).turn].map((turn) => turn['details'].skipped_vendors[0].reason)
    expect(reasons).toEqual(['server_error', 'breaker_open'])
    expect(asked('openai.responses')).toBe(before + 1)
  })

  it('is not opened by a rate limit, nor by a key of the tenant that the vendor refuses: others use it', { timeout: 30_000 }, async () => {
    for (const action of [{ status: 429, errorCode: 'rate_limit_exceeded' }, { status: 401, errorCode: 'invalid_api_key' }]) {
      const fault = town.sandbox.faults.add({ target: 'openai.responses', action })
      await fiveFailures()
      town.sandbox.faults.remove(fault.id)
    }
    expect((await answered('Hello')).turn).toMatchObject({ outcome: 'sent', vendor: 'openai' })
  })

  it('is one for all tenants at the same vendor: what one has learnt another need not', { timeout: 30_000 }, async () => {
    town.sandbox.faults.add(down)
    await fiveFailures()
    const other = await town.business('Other Ltd')
    number = await other.number({ prompt: { fallback: CLAUDE } })
    const before = asked('openai.responses')
    expect((await answered('Hello')).turn).toMatchObject({ vendor: 'anthropic', details: { skipped_vendors: [{ reason: 'breaker_open' }] } })
    expect(asked('openai.responses')).toBe(before)
  })
})
