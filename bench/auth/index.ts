import type { Bench, BenchOptions, BenchReport, Table } from '../bench.ts'
import type { Measured } from '../figure.ts'
import { meterCpu, totalCpu, type Watched } from '../measure/process.ts'
import { interleave } from '../measure/rounds.ts'
import { median, type Latencies } from '../measure/statistics.ts'
import { startActor, type Actor } from '../stage/actor.ts'
import { withStack, type Stack } from '../stage/stack.ts'
import type { AskerJob, Checked, KeyClass, Limited } from './asker.ts'
import { forgedKey, makeKeys, type KeySet } from './keys.ts'
import { overAdmitted } from './windows.ts'

const PER_SECOND = 5_000
const HOT = 100
/** Of the mixed traffic each; the rest is hot. */
const COLD_SHARE = 0.05
/** Until the code is compiled: a server is not measured in its first second. */
const WARM_MS = 1_500
const LIMIT = { perSecond: 5_000, keys: 5_000, limit: 100, windowMs: 1_000, hotShare: 0.1 }

const LIMIT_JOB = { do: 'limit', ...LIMIT } as const

export const auth: Bench = {
  name: 'auth',
  help: 'API keys hot, cold, forged and revoked at 5,000 checks/s, also without Redis; the rate limiter at 10,000 checks/s',
  run: (options) => withStack((stack) => run(stack, options)),
}

type Place = { stack: Stack; askers: Actor[]; keys: KeySet; durationMs: number; rounds: number }
type Burst = { ms: number; cpuMs: number }

async function run(stack: Stack, { quick }: BenchOptions): Promise<BenchReport> {
  const durationMs = quick ? 1_000 : 5_000
  const cold = { warm: coldIn(WARM_MS), measured: coldIn(durationMs) }
  const count = HOT + cold.warm + cold.measured
  const keys = await makeKeys(stack, { valid: count, revoked: count })
  const askers = await Promise.all([1, 2, 3].map(() => startActor(new URL('./asker.ts', import.meta.url))))
  try {
    await Promise.all(askers.map((asker) => asker.ask({ do: 'connect', databaseUrl: stack.databaseUrl, redisUrl: stack.redisUrl } satisfies AskerJob)))
    const place: Place = { stack, askers: askers.slice(0, 2), keys, durationMs, rounds: quick ? 1 : 3 }
    const idle = () => askers[2]!.ask<Latencies>({ do: 'nothing', perSecond: 1_000, durationMs } satisfies AskerJob)
    const bursts = await compare(place)
    await Promise.all(askers.map((asker) => asker.ask<Limited>({ ...LIMIT_JOB, durationMs: WARM_MS } satisfies AskerJob)))
    const [limited, besideLimiter] = await Promise.all([limiter(place), idle()])
    await check({ ...place, durationMs: WARM_MS }, mixOf(place, HOT, cold.warm))
    const [mixed, besideChecks] = await Promise.all([check(place, mixOf(place, HOT + cold.warm, cold.measured)), idle()])
    // The last: this Redis does not come back. The kill is of the stack's own server.
    process.kill(stack.redis.pid, 'SIGKILL')
    const away = await check(place, warmSets(place))
    return report({ bursts, limited, mixed, away, beside: { limiter: besideLimiter, checks: besideChecks } })
  } finally {
    await Promise.all(askers.map((asker) => asker.stop()))
  }
}

const forgedKeys = () => Array.from({ length: 1_000 }, forgedKey)
const warmSets = ({ keys }: Place) => ({ hot: keys.valid.slice(0, HOT), forged: forgedKeys(), revoked: keys.revoked.slice(0, HOT) })
/** With `count` keys from the `first` on that nobody has asked for. */
const mixOf = (place: Place, first: number, count: number) => ({
  ...warmSets(place),
  'cold, valid': place.keys.valid.slice(first, first + count),
  'cold, revoked': place.keys.revoked.slice(first, first + count),
})
const coldIn = (ms: number): number => Math.ceil((PER_SECOND * COLD_SHARE * ms) / 1_000)

/** Forged and known-revoked keys are a fifth each, cold ones one in twenty each, the rest is hot. */
async function check({ askers, durationMs }: Place, sets: Record<string, string[]>): Promise<Checked> {
  const shareOf = (name: string) => (name.startsWith('cold') ? COLD_SHARE : 0.2)
  const others = Object.keys(sets).filter((name) => name !== 'hot').reduce((sum, name) => sum + shareOf(name), 0)
  const classes = Object.entries(sets).map(([name, keys]): KeyClass => ({ name, keys, share: name === 'hot' ? 1 - others : shareOf(name) }))
  const checked = await askers[0]!.ask<Checked>({ do: 'check', perSecond: PER_SECOND, durationMs, classes } satisfies AskerJob)
  for (const [name, { passed, refused, failed }] of Object.entries(checked)) {
    const wrong = /hot|valid/.test(name) ? refused : passed
    if (wrong > 0 || failed > 0) throw new Error(`${name}: ${wrong} checks ended the wrong way and ${failed} without a verdict`)
  }
  return checked
}

async function compare({ stack, askers, keys, rounds, durationMs }: Place): Promise<{ ours: Burst[]; select: Burst[] }> {
  await askerTable(stack, keys.valid.slice(0, HOT))
  const burst = (what: 'ours' | 'select') => async (): Promise<Burst> => {
    const watched: Watched[] = [{ name: 'node', pid: askers[0]!.pid }, stack.postgres, stack.redis]
    const meter = meterCpu(watched)
    const ms = await askers[0]!.ask<number>({ do: 'burst', what, keys: keys.valid.slice(0, HOT), count: durationMs * 10 } satisfies AskerJob)
    return { ms: ms / (durationMs * 10), cpuMs: totalCpu(meter.stop()) / (durationMs * 10) }
  }
  return interleave({ ours: burst('ours'), select: burst('select') }, rounds)
}

/** The baseline's own table, with the digest that it looks up by. */
async function askerTable({ databaseUrl }: Stack, keys: string[]): Promise<void> {
  const { default: pg } = await import('pg')
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query('CREATE TABLE bench_keys (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid DEFAULT gen_random_uuid(), project_id uuid DEFAULT gen_random_uuid(), scopes text[] DEFAULT \'{messages:read}\', digest bytea UNIQUE, revoked_at timestamptz)')
    await client.query('INSERT INTO bench_keys (digest) SELECT sha256(convert_to(key, \'UTF8\')) FROM unnest($1::text[]) AS k (key)', [keys])
  } finally {
    await client.end()
  }
}

type LimiterRun = { runs: Limited[]; over: number; asked: number; admitted: number }

async function limiter({ askers, durationMs }: Place): Promise<LimiterRun> {
  const runs = await Promise.all(askers.map((asker) => asker.ask<Limited>({ ...LIMIT_JOB, durationMs } satisfies AskerJob)))
  const names = new Set(runs.flatMap(({ admitted }) => Object.keys(admitted)))
  const together = [...names].map((name) => runs.flatMap(({ admitted }) => admitted[name] ?? []))
  return {
    runs,
    over: together.reduce((sum, admissions) => sum + overAdmitted(admissions, LIMIT.limit, LIMIT.windowMs), 0),
    asked: runs.reduce((sum, { asked }) => sum + asked, 0),
    admitted: together.reduce((sum, admissions) => sum + admissions.length, 0),
  }
}

type Results = { bursts: { ours: Burst[]; select: Burst[] }; limited: LimiterRun; mixed: Checked; away: Checked; beside: { limiter: Latencies; checks: Latencies } }

function report({ bursts, limited, mixed, away, beside }: Results): BenchReport {
  const cpuUs = (list: Burst[]) => median(list.map(({ cpuMs }) => cpuMs * 1_000))
  const p99 = (checked: Checked, name: string) => checked[name]!.latency.p99
  const low = (figure: string, value: number, floor?: number): Measured => ({ figure, value, unit: 'ms', better: 'lower', ...(floor === undefined ? {} : { floor }) })
  return {
    figures: [
      { figure: 'CPU of a hot check', value: cpuUs(bursts.ours), unit: 'us', better: 'lower', baseline: { name: 'SHA-256 + SELECT each time', value: cpuUs(bursts.select) } },
      low('p99, hot', p99(mixed, 'hot')),
      low('p99, cold and valid', p99(mixed, 'cold, valid')),
      low('p99, forged', p99(mixed, 'forged'), 5),
      low('p99, revoked', p99(mixed, 'revoked'), 5),
      low('p99, revoked and cold', p99(mixed, 'cold, revoked'), 5),
      low('p99, forged, Redis killed', p99(away, 'forged'), 5),
      low('p99, revoked, Redis killed', p99(away, 'revoked'), 5),
      low('p99, limiter', Math.max(...limited.runs.map(({ latency }) => latency.p99)), 5),
      { figure: 'admitted over the limit', value: limited.over, unit: 'checks', better: 'lower', floor: 0 },
    ],
    tables: [latencyTable('Checks at 5,000/s, everything there', mixed), latencyTable('Checks at 5,000/s, Redis killed just before', away), limiterTable(limited)],
    notes: [
      `beside it a process that did nothing but wait for its next millisecond was late by p99 ${beside.checks.p99.toFixed(1)} ms (checks) and ${beside.limiter.p99.toFixed(1)} ms (limiter): that much of a latency is the machine`,
      'latencies count from the time at which a check should have begun, in the process that asks; the checks run there, as in the API, without HTTP around them',
      `limiter: two processes, ${limited.asked.toLocaleString('en')} checks over 5,001 keys, one of which got a tenth of them; ${limited.admitted.toLocaleString('en')} were admitted`,
    ],
  }
}

const latencyTable = (title: string, checked: Checked): Table => ({
  title,
  head: ['keys', 'checks', 'p50 ms', 'p99 ms', 'p99.9 ms', 'longest ms'],
  rows: Object.entries(checked).map(([name, { latency }]) => [name, latency.count, latency.p50, latency.p99, latency.p999, latency.max]),
})

const limiterTable = ({ runs }: LimiterRun): Table => ({
  title: 'Limiter, 5,000 checks/s in each of two processes on one Redis',
  head: ['process', 'checks', 'p50 ms', 'p99 ms', 'p99.9 ms', 'longest ms'],
  rows: runs.map(({ latency }, index) => [`${index + 1}`, latency.count, latency.p50, latency.p99, latency.p999, latency.max]),
})
