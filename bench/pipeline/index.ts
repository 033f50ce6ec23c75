import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, BenchOptions, BenchReport, Table } from '../bench.ts'
import { totalCpu } from '../measure/process.ts'
import { profiled, profileTables, readProfiles } from '../measure/profile.ts'
import { withStack } from '../stage/stack.ts'
import { createCourse, type Run } from './course.ts'
import { judge, type Judgement } from './judge.ts'
import { stageTable } from './stages.ts'
import { acceptedSends, MODEL_MS, openTown, type Town } from './town.ts'

const TENANTS = 10
const NUMBERS = 1_000
const FLOOR = 300
const GOAL = 1_667

export const pipeline: Bench = {
  name: 'pipeline',
  help: `messages a second through everything: ${NUMBERS} numbers, a model of ${MODEL_MS} ms, real HTTP, PostgreSQL, Redis and SDK`,
  async run(options) {
    const bare = await runOnce(options, false)
    return options.quick || options.profile ? bare.report : withReceipts(bare.report, await runOnce({ ...options, profile: false }, true))
  },
}

type Outcome = { report: BenchReport; perSecond: number; cpuMs: number }

/** One installation, its rate found by stepping up and then held. */
function runOnce(options: BenchOptions, receipts: boolean): Promise<Outcome> {
  return withStack(async (stack) => {
    const profiles = join(stack.folder, 'profiles')
    mkdirSync(profiles)
    const town = await openTown(stack, { tenants: TENANTS, perTenant: NUMBERS / TENANTS, workers: 1, receipts, options, ...(options.profile ? { workerSettings: profiled(profiles) } : {}) })
    try {
      const course = createCourse(town, options)
      const held = await course.hold(await course.stepUp())
      const judgement = await judge(stack.db, course.acknowledged(), await acceptedSends(town.sandbox))
      if (options.profile) for (const worker of town.workers) await stack.stop(worker)
      const profile = options.profile ? profileTables('worker', readProfiles(profiles), { count: judgement.answered, unit: 'message' }) : []
      return await reportOf(town, held, judgement, profile, receipts)
    } finally {
      await town.generator.stop()
    }
  })
}

async function reportOf(town: Town, run: Run, judgement: Judgement, profile: Table[], receipts: boolean): Promise<Outcome> {
  const perSecond = (run.retired / run.elapsedMs) * 1_000
  const stages = await stageTable(town.stack.db, run.span, run.load.latency)
  const cpuMs = totalCpu(run.cpu) / run.retired
  const settled = Math.max(...run.backlog)
  return {
    perSecond,
    cpuMs,
    report: {
      figures: [
        { figure: 'sustained', value: perSecond, unit: 'messages/s', better: 'higher', floor: FLOOR, goal: GOAL },
        { figure: 'CPU per message, everything', value: cpuMs, unit: 'ms', better: 'lower' },
        { figure: 'CPU per message, worker', value: town.workers.reduce((sum, { name }) => sum + run.cpu[name]!, 0) / run.retired, unit: 'ms', better: 'lower' },
        { figure: 'webhook to answer, p50', value: stages.whole.p50, unit: 'ms', better: 'lower' },
        { figure: 'webhook to answer, p99', value: stages.whole.p99, unit: 'ms', better: 'lower' },
        { figure: 'lost', value: judgement.lost, unit: 'messages', better: 'lower', floor: 0 },
        { figure: 'doubled', value: judgement.doubled, unit: 'messages', better: 'lower', floor: 0 },
        { figure: 'out of order', value: judgement.outOfOrder, unit: 'messages', better: 'lower', floor: 0 },
      ],
      tables: [cpuTable(run, receipts), stages.table, ...profile],
      notes: [
        `${receipts ? 'with' : 'without'} receipts: held ${(run.load.elapsedMs / 1_000).toFixed(0)} s at ${Math.round(run.rate)} messages/s; at most ${settled.toLocaleString('en')} messages waited, ${run.backlog.at(-1)} at the end`,
        `judged by the sandbox's journal: ${judgement.accepted.toLocaleString('en')} messages acknowledged, ${judgement.answered.toLocaleString('en')} answered by ${judgement.turns.toLocaleString('en')} turns with ${judgement.sent.toLocaleString('en')} sends`,
      ],
    },
  }
}

function cpuTable(run: Run, receipts: boolean): Table {
  const share = (ms: number) => (100 * ms) / run.elapsedMs
  const rows = Object.entries(run.cpu).map(([name, ms]) => [name, ms / run.retired, share(ms)])
  return { title: `CPU, user + system, ${receipts ? 'with' : 'without'} receipts`, head: ['process', 'ms per message', '% of a core'], rows: [...rows, ['all', totalCpu(run.cpu) / run.retired, share(totalCpu(run.cpu))]] }
}

/** The same with three receipts after every answer, as WhatsApp sends them: four webhooks a message. */
function withReceipts(bare: BenchReport, { report, perSecond, cpuMs }: Outcome): BenchReport {
  const faults = report.figures.filter(({ figure }) => ['lost', 'doubled', 'out of order'].includes(figure)).map((measured) => ({ ...measured, figure: `${measured.figure}, with receipts` }))
  return {
    figures: [
      ...bare.figures,
      { figure: 'sustained, with three receipts a message', value: perSecond, unit: 'messages/s', better: 'higher', floor: FLOOR },
      { figure: 'CPU per message, everything, with receipts', value: cpuMs, unit: 'ms', better: 'lower' },
      ...faults,
    ],
    tables: [...bare.tables, ...report.tables],
    notes: [...bare.notes, ...report.notes],
  }
}
