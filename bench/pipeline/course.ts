import { setTimeout as delay } from 'node:timers/promises'
import type { BenchOptions } from '../bench.ts'
import { WEBHOOK_BYTES } from '../load/bodies.ts'
import type { LoadJob, LoadResult } from '../load/generator.ts'
import { meterCpu, type CpuUse, type Watched } from '../measure/process.ts'
import { CREDENTIALS } from '../stage/numbers.ts'
import type { Span } from './stages.ts'
import type { Town } from './town.ts'

const CUSTOMERS = 4
const FIRST_STEP = 200
const STEP = 1.25
const STEPS_MAX = 9
/** Gathering, the model and the commits take about two seconds; what waits longer than this is backlog. */
const BOUND_SECONDS = 4
/** The first messages of a step are still being answered: counting begins when the line is full. */
const FILL_MS = 3_000

/** One rate, offered for a while. `retired`, `cpu` and `elapsedMs` are of the time in which the line was full. */
export type Run = { rate: number; load: LoadResult; cpu: CpuUse; span: Span; backlog: number[]; retired: number; elapsedMs: number }

/** The messages of one installation, numbered through over all steps. */
export function createCourse(town: Town, { quick, say }: BenchOptions) {
  let from = 0
  let acknowledged = 0
  const watched: Watched[] = [town.api, ...town.workers, town.stack.postgres, town.stack.redis, town.sandbox, { name: 'load', pid: town.generator.pid }]

  async function step(rate: number, durationMs: number): Promise<Run> {
    const job: LoadJob = {
      url: town.api.url,
      targets: town.numbers.map(({ id, address }) => ({ id, address })),
      secret: CREDENTIALS.app_secret,
      shape: { perBody: 1, bodyBytes: WEBHOOK_BYTES, customersPerNumber: CUSTOMERS, run: 'p' },
      from,
      durationMs,
      connections: 200,
      mode: { kind: 'open', perSecond: rate },
    }
    const asked = town.generator.ask<LoadResult>(job)
    await delay(Math.min(FILL_MS, durationMs / 2))
    const meter = meterCpu(watched)
    const [before, startMs] = [await progress(town), performance.now()]
    const looking = watchBacklog(town)
    const load = await asked
    const after = await progress(town)
    const [cpu, elapsedMs] = [meter.stop(), performance.now() - startMs]
    const backlog = [...(await looking.stop()), after.waiting]
    from += load.sent
    acknowledged += load.ok
    return { rate, load, cpu, backlog, span: { from: before.at, to: after.at }, retired: after.retired - before.retired, elapsedMs }
  }

  const isBounded = (run: Run) => run.backlog.at(-1)! <= run.rate * BOUND_SECONDS && run.load.ok === run.load.sent
  const tell = (run: Run, what: string) => say(`  ${what} ${Math.round(run.rate)}/s: ${run.backlog.at(-1)} wait at the end, accept p99 ${run.load.latency.p99.toFixed(0)} ms${isBounded(run) ? '' : ' - too fast'}`)

  async function drained(): Promise<void> {
    for (let waiting = Infinity; waiting > 0;) {
      await delay(250)
      waiting = (await progress(town)).waiting
    }
  }

  return {
    /** The last rate that the system kept up with. */
    async stepUp(): Promise<number> {
      await step(FIRST_STEP / 2, quick ? 1_500 : 4_000) // Until the code is compiled and the caches are filled.
      let good = FIRST_STEP / STEP
      for (let count = 0; count < (quick ? 1 : STEPS_MAX); count++) {
        const run = await step(good * STEP, quick ? 3_000 : 6_000)
        tell(run, 'step')
        const kept = isBounded(run)
        if (!kept) await drained()
        if (!kept) break
        good *= STEP
      }
      return good
    },
    /** Held for so long that a backlog would show; slower, if it does. */
    async hold(rate: number): Promise<Run> {
      for (let attempt = 0; ; attempt++) {
        const run = await step(rate * 0.85 ** attempt, quick ? 4_000 : 25_000)
        tell(run, 'hold')
        await drained()
        if (isBounded(run) || attempt === 2) return run
      }
    },
    step,
    drained,
    acknowledged: () => acknowledged,
  }
}

type Progress = { at: Date; waiting: number; retired: number }

/** From the lanes' own counters: reads 1,000 small rows. */
async function progress({ stack }: Town): Promise<Progress> {
  const { rows } = await stack.db.system('test', (tx) =>
    tx.query<{ at: Date; waiting: string; retired: string }>('SELECT clock_timestamp() AS at, sum(next_seq - 1 - cursor_seq - cardinality(ahead)) AS waiting, sum(cursor_seq + cardinality(ahead)) AS retired FROM lanes'))
  return { at: rows[0]!.at, waiting: Number(rows[0]!.waiting), retired: Number(rows[0]!.retired) }
}

/** How many wait, every second. */
function watchBacklog(town: Town): { stop(): Promise<number[]> } {
  const seen: number[] = []
  const life = { over: false }
  const looking = (async () => {
    while (!life.over) {
      seen.push((await progress(town)).waiting)
      await delay(1_000)
    }
  })()
  return {
    async stop() {
      life.over = true
      await looking
      return seen
    },
  }
}
