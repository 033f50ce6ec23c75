import type { Bench, BenchOptions, BenchReport } from '../bench.ts'
import { meterCpu, totalCpu, type CpuUse, type Watched } from '../measure/process.ts'
import { interleave } from '../measure/rounds.ts'
import { median, spread } from '../measure/statistics.ts'
import { startActor, type Actor } from '../stage/actor.ts'
import { makeNumbers } from '../stage/numbers.ts'
import { SECRET, withStack, type Stack } from '../stage/stack.ts'
import type { ContenderJob, ContenderRound } from './contender.ts'

const NUMBERS = 2_000
const MESSAGES = 20_000

export const queue: Bench = {
  name: 'queue',
  help: `what order costs: ${NUMBERS} numbers in strict order, kept in PostgreSQL, against bare BullMQ without order; 5 % of the first tries fail`,
  run: (options) => withStack((stack) => run(stack, options)),
}

type Kind = 'trunkline' | 'bullmq'
type Round = ContenderRound & { cpu: CpuUse; cpuUs: number; perSecond: number }

async function run(stack: Stack, { quick, say }: BenchOptions): Promise<BenchReport> {
  const messages = quick ? 4_000 : MESSAGES
  const numbers = (await makeNumbers(stack.db, stack.keyring, { tenants: 4, perTenant: NUMBERS / 4, settings: { coalesceMs: 0 } })).map(({ id, tenantId }) => ({ id, tenantId }))
  const actors = { trunkline: await startActor(new URL('./contender.ts', import.meta.url)), bullmq: await startActor(new URL('./contender.ts', import.meta.url)) }
  try {
    for (const kind of ['trunkline', 'bullmq'] as const) {
      await actors[kind].ask({ do: 'connect', kind, databaseUrl: stack.databaseUrl, redisUrl: stack.redisUrl, secret: SECRET, numbers } satisfies ContenderJob)
      await actors[kind].ask({ do: 'round', run: 'warm', messages: quick ? 2_000 : 10_000 } satisfies ContenderJob)
    }
    say(`  ${quick ? 1 : 3} rounds of ${messages.toLocaleString('en')} messages`)
    const once = (kind: Kind) => (round: number) => measure(stack, actors[kind], `r${round}`, messages)
    return report(await interleave({ trunkline: once('trunkline'), bullmq: once('bullmq') }, quick ? 1 : 3))
  } finally {
    await Promise.all(Object.values(actors).map((actor) => actor.stop()))
  }
}

async function measure(stack: Stack, actor: Actor, run: string, messages: number): Promise<Round> {
  const watched: Watched[] = [{ name: 'node', pid: actor.pid }, stack.postgres, stack.redis]
  const meter = meterCpu(watched)
  const round = await actor.ask<ContenderRound>({ do: 'round', run, messages } satisfies ContenderJob)
  const cpu = meter.stop()
  return { ...round, cpu, cpuUs: (totalCpu(cpu) * 1_000) / round.handled, perSecond: (round.handled / round.elapsedMs) * 1_000 }
}

function report(rounds: Record<Kind, Round[]>): BenchReport {
  const of = (kind: Kind, read: (round: Round) => number) => median(rounds[kind].map(read))
  const sum = (kind: Kind, read: (round: Round) => number) => rounds[kind].reduce((total, round) => total + read(round), 0)
  const baseline = (read: (round: Round) => number) => ({ name: 'bare BullMQ, concurrency 100', value: of('bullmq', read) })
  const row = (kind: Kind) => {
    const { low, high } = spread(rounds[kind].map((round) => round.perSecond))
    const us = (server: string) => of(kind, (round) => (round.cpu[server]! * 1_000) / round.handled)
    return [kind, of(kind, (round) => round.perSecond), low, high, us('node'), us('postgres'), us('redis'), sum(kind, (round) => round.disorder)]
  }
  return {
    figures: [
      { figure: 'messages added and worked off', value: of('trunkline', (round) => round.perSecond), unit: 'messages/s', better: 'higher', baseline: baseline((round) => round.perSecond), floor: 2 },
      { figure: 'CPU per message, node, PostgreSQL and Redis', value: of('trunkline', (round) => round.cpuUs), unit: 'us', better: 'lower', baseline: baseline((round) => round.cpuUs), floor: 0.5 },
      { figure: 'out of order', value: sum('trunkline', (round) => round.disorder), unit: 'messages', better: 'lower', floor: 0 },
    ],
    tables: [{ title: 'Over the rounds; CPU in microseconds a message', head: ['queue', 'median /s', 'lowest', 'highest', 'node', 'postgres', 'redis', 'out of order'], rows: [row('trunkline'), row('bullmq')] }],
    notes: [
      'one of the two is asked for: twice the rate, or half the CPU',
      `ours keeps every message in PostgreSQL before it is accepted and its end in PostgreSQL too; BullMQ keeps it in Redis only (append-only file, one second). BullMQ ended ${sum('bullmq', (round) => round.disorder).toLocaleString('en')} messages out of order`,
      `${sum('trunkline', (round) => round.firstTriesFailed).toLocaleString('en')} first tries failed and were tried again`,
    ],
  }
}
