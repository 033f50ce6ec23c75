import { describe, expect, it } from 'vitest'
import { simulate, type SimulationReport } from './simulate.ts'

const SEEDS = Number(process.env.QUEUE_SEEDS ?? 2_000)
const FIRST = Number(process.env.QUEUE_SEED ?? 1)

describe('the queue, simulated', () => {
  it(`keeps its promises through crashes, freezes, lost servers and failing handlers (${SEEDS} seeds)`, { timeout: 120_000 }, async () => {
    const reports: SimulationReport[] = []
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) reports.push(await simulate(seed))
    const total = (pick: (report: SimulationReport) => number) => reports.reduce((sum, report) => sum + pick(report), 0)
    // A simulation in which nothing goes wrong proves nothing.
    expect(total((report) => report.crashes)).toBeGreaterThan(SEEDS / 4)
    expect(total((report) => report.freezes)).toBeGreaterThan(SEEDS / 4)
    expect(total((report) => report.redisLosses)).toBeGreaterThan(SEEDS / 8)
    expect(total((report) => report.refusedCommits)).toBeGreaterThan(SEEDS / 16)
  })

  it('loses no wake-up: without faults nothing has to be found by the sweeper', { timeout: 60_000 }, async () => {
    for (let seed = 1; seed <= 1_000; seed++) expect(await simulate(seed, { trouble: 0, sweeper: false })).toMatchObject({ refusedCommits: 0 })
  })

  it('plays the same seed the same way', async () => {
    expect(await simulate(42)).toEqual(await simulate(42))
  })
})
