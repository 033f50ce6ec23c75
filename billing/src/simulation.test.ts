import { describe, expect, it } from 'vitest'
import { decide, simulateLedger, type Command, type Decision } from './index.ts'

const SEEDS = 5_000

/** The first seed of many at which rules that are broken on purpose are caught. */
function caughtBy(rules: typeof decide): string | undefined {
  for (let seed = 1; seed <= 500; seed++) {
    const { faults } = simulateLedger(seed, rules)
    if (faults.length > 0) return faults[0]
  }
}

describe('the simulated world of the ledger', () => {
  it(`keeps every promise in ${SEEDS} worlds of crashes, replays, rivals, expiries and strangers`, () => {
    const seen = { commits: 0, crashes: 0, expired: 0, lateSettlements: 0 }
    for (let seed = 1; seed <= SEEDS; seed++) {
      const report = simulateLedger(seed)
      expect(report.faults, `seed ${seed}`).toEqual([])
      for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += report[key]
    }
    // A world in which nothing happens would prove nothing.
    expect(Math.min(seen.crashes, seen.expired, seen.lateSettlements)).toBeGreaterThan(SEEDS / 5)
    expect(seen.commits).toBeGreaterThan(SEEDS * 20)
  })

  it('is the same for the same seed', () => {
    expect(simulateLedger(42)).toEqual(simulateLedger(42))
  })

  it.each<[string, typeof decide]>([
    ['forgets that a key was used', (book, command) => decide({ ...book, transfers: new Map() }, command)],
    ['holds more than is available', (book, command) => decide(command.kind === 'hold' ? { ...book, accounts: new Map([[command.tenant, { funding: 0n, available: 10n ** 9n, held: 0n, spent: 0n }]]) } : book, command)],
    ['settles what is closed already', (book, command) => decide(reopened(book, command), command)],
    ['gives back more than it should', (book, command) => tampered(decide(book, command), command)],
    ['refuses a late settlement', (book, command) => (command.kind === 'settle' && book.holds.get(command.hold)?.state === 'expired' ? { outcome: 'refused' } : decide(book, command))],
    ['never expires', (book, command) => (command.kind === 'expire' ? { outcome: 'refused' } : decide(book, command))],
  ])('catches a ledger that %s', (_, rules) => {
    expect(caughtBy(rules)).toEqual(expect.any(String))
  })
})

function reopened(book: Parameters<typeof decide>[0], command: Command): Parameters<typeof decide>[0] {
  if (command.kind !== 'settle' || !book.holds.has(command.hold)) return book
  return { ...book, transfers: new Map(), holds: new Map([[command.hold, { ...book.holds.get(command.hold)!, state: 'held' }]]) }
}

function tampered(decision: Decision, command: Command): Decision {
  if (command.kind !== 'settle' || !decision.transfer) return decision
  return { ...decision, transfer: { ...decision.transfer, entries: decision.transfer.entries.map((entry) => (entry.account === 'available' ? { ...entry, amountMicros: entry.amountMicros + 1n } : entry)) } }
}
