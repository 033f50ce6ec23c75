import type { Bench, BenchOptions, BenchReport, Table } from '../bench.ts'
import type { LoadJob, LoadResult } from '../load/generator.ts'
import { WEBHOOK_BYTES } from '../load/bodies.ts'
import { meterCpu, totalCpu, type CpuUse, type Watched } from '../measure/process.ts'
import { interleave } from '../measure/rounds.ts'
import { median, spread } from '../measure/statistics.ts'
import { startActor, type Actor } from '../stage/actor.ts'
import { CREDENTIALS, makeNumbers, type BenchNumber } from '../stage/numbers.ts'
import { withStack, type Stack } from '../stage/stack.ts'

const NUMBERS = 20
/** A supplier that sends thousands a second does so over many connections; few of them are measured beside, where a batch has little to gather. */
const CONNECTIONS = 256
const FEW = 64
const OPEN_PER_SECOND = 2_000
const PER_BODY = 20

export const ingest: Bench = {
  name: 'ingest',
  help: 'signed WhatsApp webhooks to a durable 200, against bare Fastify with one INSERT, and with one XADD',
  run: (options) => withStack((stack) => run(stack, options)),
}

type Round = { load: LoadResult; cpu: CpuUse }
type Place = { stack: Stack; generator: Actor; numbers: BenchNumber[]; roundMs: number }
/** A server under load: where, and whose CPU its requests cost. */
type Contender = { name: string; url: string; watched: Watched[] }

async function run(stack: Stack, { quick, say }: BenchOptions): Promise<BenchReport> {
  const numbers = await makeNumbers(stack.db, stack.keyring, { tenants: 2, perTenant: NUMBERS / 2 })
  const api = await stack.api({ QUEUE_CAPACITY: '1000000000' })
  const generator = await startActor(new URL('../load/generator.ts', import.meta.url))
  const [insert, xadd] = await Promise.all([startBaseline(stack, 'insert'), startBaseline(stack, 'xadd')])
  const place: Place = { stack, generator, numbers, roundMs: quick ? 1_500 : 5_000 }
  const ours: Contender = { name: 'trunkline', url: api.url, watched: [api, stack.postgres, stack.redis] }
  try {
    for (const contender of [ours, insert, xadd]) await closedRound(place, contender, 1, `warm${contender.name}`, 700)
    say(`  ${quick ? 1 : 3} rounds of ${place.roundMs / 1_000} s each, ${CONNECTIONS} connections`)
    const rounds = await interleave(Object.fromEntries([ours, insert, xadd].map((contender) => [contender.name, (round: number) => closedRound(place, contender, 1, `c${round}`)])), quick ? 1 : 3)
    const batches = await interleave({ trunkline: (round: number) => closedRound(place, ours, PER_BODY, `b${round}`) }, quick ? 1 : 3)
    const few = await interleave(Object.fromEntries([ours, insert].map((contender) => [contender.name, (round: number) => closedRound(place, contender, 1, `f${round}`, place.roundMs / 2, FEW)])), quick ? 1 : 3)
    const paced = await openRound(place, ours)
    const check = await checkRows(place, { single: [...rounds.trunkline!, ...few.trunkline!, paced], batched: batches.trunkline })
    return report({ rounds, few, batched: batches.trunkline, paced, check })
  } finally {
    await Promise.all([generator.stop(), insert.actor.stop(), xadd.actor.stop()])
  }
}

async function startBaseline(stack: Stack, keep: 'insert' | 'xadd'): Promise<Contender & { actor: Actor }> {
  const actor = await startActor(new URL('./baseline.ts', import.meta.url))
  const url = await actor.ask<string>({ keep, databaseUrl: stack.databaseUrl, redisUrl: stack.redisUrl })
  return { name: keep, url, actor, watched: [{ name: 'fastify', pid: actor.pid }, keep === 'insert' ? stack.postgres : stack.redis] }
}

const jobOf = ({ numbers, roundMs }: Place, url: string, perBody: number, run: string): Omit<LoadJob, 'mode' | 'connections'> => ({
  url,
  targets: numbers.map(({ id, address }) => ({ id, address })),
  secret: CREDENTIALS.app_secret,
  shape: { perBody, bodyBytes: WEBHOOK_BYTES, customersPerNumber: 1_000, run },
  from: 0,
  durationMs: roundMs,
})

async function closedRound(place: Place, { url, watched }: Contender, perBody: number, run: string, durationMs = place.roundMs, connections = CONNECTIONS): Promise<Round> {
  const meter = meterCpu(watched)
  const load = await place.generator.ask<LoadResult>({ ...jobOf(place, url, perBody, run), durationMs, connections, mode: { kind: 'closed' } } satisfies LoadJob)
  return { load, cpu: meter.stop() }
}

async function openRound(place: Place, { url, watched }: Contender): Promise<Round> {
  const meter = meterCpu(watched)
  const load = await place.generator.ask<LoadResult>({ ...jobOf(place, url, 1, 'o'), durationMs: place.roundMs * 2, connections: 500, mode: { kind: 'open', perSecond: OPEN_PER_SECOND } } satisfies LoadJob)
  return { load, cpu: meter.stop() }
}

type Check = { acknowledged: number; lost: number; doubled: number; refused: number }

/** What was answered with 200 against what PostgreSQL holds. A row that no 200 stands for (its answer was on the way when a round ended) is no loss. */
async function checkRows({ stack, numbers }: Place, { single, batched }: { single: Round[]; batched: Round[] }): Promise<Check> {
  const sum = (rounds: Round[], read: (load: LoadResult) => number) => rounds.reduce((total, { load }) => total + read(load), 0)
  const { rows } = await stack.db.system('test', (tx) =>
    tx.query<{ rows: string; ids: string }>("SELECT count(*) AS rows, count(DISTINCT (number_id, provider_message_id)) AS ids FROM inbox WHERE number_id = ANY ($1::uuid[]) AND provider_message_id !~ '^wamid[.]warm'", [numbers.map((number) => number.id)]))
  const acknowledged = sum(single, (load) => load.ok) + sum(batched, (load) => load.ok) * PER_BODY
  const [stored, ids] = [Number(rows[0]!.rows), Number(rows[0]!.ids)]
  return { acknowledged, lost: Math.max(0, acknowledged - ids), doubled: stored - ids, refused: sum([...single, ...batched], (load) => load.sent - load.ok) }
}

const perSecond = ({ load }: Round) => (load.ok / load.elapsedMs) * 1_000
const cpuUs = ({ load, cpu }: Round) => (totalCpu(cpu) * 1_000) / load.ok

type Results = { rounds: Record<string, Round[]>; few: Record<string, Round[]>; batched: Round[]; paced: Round; check: Check }

function report({ rounds, few, batched, paced, check }: Results): BenchReport {
  const [ours, insert, xadd] = [rounds.trunkline!, rounds.insert!, rounds.xadd!]
  const of = (list: Round[], read: (round: Round) => number) => median(list.map(read))
  const { latency } = paced.load
  return {
    figures: [
      { figure: 'throughput, one message per body', value: of(ours, perSecond), unit: 'requests/s', better: 'higher', baseline: { name: 'Fastify + HMAC + INSERT', value: of(insert, perSecond) }, floor: 1.5 },
      { figure: `throughput over ${FEW} connections`, value: of(few.trunkline!, perSecond), unit: 'requests/s', better: 'higher', baseline: { name: 'Fastify + HMAC + INSERT', value: of(few.insert!, perSecond) } },
      { figure: 'CPU per request', value: of(ours, cpuUs), unit: 'us', better: 'lower', baseline: { name: 'Fastify + HMAC + XADD', value: of(xadd, cpuUs) }, floor: 1.3 },
      { figure: 'CPU per request, beside INSERT', value: of(ours, cpuUs), unit: 'us', better: 'lower', baseline: { name: 'Fastify + HMAC + INSERT', value: of(insert, cpuUs) } },
      { figure: `p50 at ${OPEN_PER_SECOND} requests/s`, value: latency.p50, unit: 'ms', better: 'lower', floor: 20 },
      { figure: `p99 at ${OPEN_PER_SECOND} requests/s`, value: latency.p99, unit: 'ms', better: 'lower', floor: 100 },
      { figure: `messages, ${PER_BODY} per body`, value: of(batched, perSecond) * PER_BODY, unit: 'messages/s', better: 'higher', goal: 16_667 },
      { figure: 'lost', value: check.lost, unit: 'messages', better: 'lower', floor: 0 },
      { figure: 'doubled', value: check.doubled, unit: 'messages', better: 'lower', floor: 0 },
    ],
    tables: [rateTable(rounds, few, batched), cpuTable(rounds, batched, paced)],
    notes: [
      `${check.acknowledged.toLocaleString('en')} messages were answered with 200 and all looked up in PostgreSQL afterwards; ${check.refused} requests got another answer`,
      `open loop: ${latency.count.toLocaleString('en')} requests at ${OPEN_PER_SECOND}/s, counted from the time at which each should have left; p99.9 ${latency.p999.toFixed(1)} ms, longest ${latency.max.toFixed(1)} ms`,
    ],
  }
}

function rateTable(rounds: Record<string, Round[]>, few: Record<string, Round[]>, batched: Round[]): Table {
  const row = (name: string, list: Round[], perBody = 1) => {
    const rates = list.map((round) => perSecond(round) * perBody)
    const { low, high } = spread(rates)
    return [name, median(rates), low, high, median(list.map((round) => round.load.latency.p50)), median(list.map((round) => round.load.latency.p99))]
  }
  return {
    title: `Closed loop, ${CONNECTIONS} connections: messages a second over the rounds`,
    head: ['contender', 'median', 'lowest', 'highest', 'p50 ms', 'p99 ms'],
    rows: [...Object.entries(rounds).map(([name, list]) => row(name, list)), ...Object.entries(few).map(([name, list]) => row(`${name}, ${FEW} connections`, list)), row(`trunkline, ${PER_BODY} per body`, batched, PER_BODY)],
  }
}

function cpuTable(rounds: Record<string, Round[]>, batched: Round[], paced: Round): Table {
  const row = (name: string, list: Round[], perBody = 1) => {
    const us = (server: string) => median(list.map(({ load, cpu }) => ((cpu[server] ?? 0) * 1_000) / (load.ok * perBody)))
    return [name, us('api') + us('fastify'), us('postgres'), us('redis'), median(list.map(cpuUs)) / perBody]
  }
  return {
    title: 'CPU per message, user + system, in microseconds',
    head: ['contender', 'node', 'postgres', 'redis', 'all'],
    rows: [...Object.entries(rounds).map(([name, list]) => row(name, list)), row(`trunkline, ${PER_BODY} per body`, batched, PER_BODY), row(`trunkline at ${OPEN_PER_SECOND}/s`, [paced])],
  }
}
