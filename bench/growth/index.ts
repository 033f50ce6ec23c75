import type { Bench, BenchOptions, BenchReport } from '../bench.ts'
import { meterCpu, totalCpu, type CpuUse } from '../measure/process.ts'
import { interleave } from '../measure/rounds.ts'
import { median, spread } from '../measure/statistics.ts'
import { startActor, type Actor } from '../stage/actor.ts'
import { makeNumbers, type BenchNumber } from '../stage/numbers.ts'
import { withStack, type Server, type Stack } from '../stage/stack.ts'
import { customersWrite, outcomes, tellSandbox, untilDrained } from '../stage/traffic.ts'
import { storedMessages, writeHistory } from './history.ts'

const SIZES = { small: 10_000, large: 1_000_000 }
/** Faster than the system is, so that a round is one pile of work. */
const PER_SECOND = 1_000
const CUSTOMERS_PER_NUMBER = 20

export const growth: Bench = {
  name: 'growth',
  help: 'time and CPU per message with ten thousand and with a million stored messages',
  run: (options) => withStack((small) => withStack((large) => run({ small, large }, options))),
}

type Round = { msPerMessage: number; cpuMsPerMessage: number; cpu: CpuUse; messages: number; refused: number }
/** A whole system of its own: while one is measured the other one waits for work. */
type Town = { stack: Stack; api: Server; worker: Server; numbers: BenchNumber[]; stored: number }

async function run(stacks: { small: Stack; large: Stack }, { quick, say }: BenchOptions): Promise<BenchReport> {
  const generator = await startActor(new URL('../load/generator.ts', import.meta.url))
  try {
    const small = await openTown(stacks.small, SIZES.small)
    say('  writing the history of the large one')
    const large = await openTown(stacks.large, quick ? SIZES.large / 10 : SIZES.large)
    const messages = quick ? 500 : 2_000
    for (const town of [small, large]) await round(generator, town, messages, 'warm')
    const rounds = await interleave({ small: (n) => round(generator, small, messages, `r${n}`), large: (n) => round(generator, large, messages, `r${n}`) }, quick ? 2 : 5)
    return report(small, large, rounds)
  } finally {
    await generator.stop()
  }
}

async function openTown(stack: Stack, messages: number): Promise<Town> {
  const sandbox = await stack.sandbox({ SANDBOX_FIRST_TOKEN_MS: '0' })
  // Every message a turn of its own: what is compared is the same work.
  const numbers = await makeNumbers(stack.db, stack.keyring, { tenants: 4, perTenant: 25, settings: { coalesceMs: 0 } })
  await writeHistory(stack.databaseUrl, stack.keyring, numbers, messages)
  await tellSandbox(sandbox, numbers)
  return { stack, numbers, stored: await storedMessages(stack.databaseUrl), api: await stack.api(), worker: await stack.worker() }
}

/** From the first webhook to the last retired turn. */
async function round(generator: Actor, { stack, api, worker, numbers }: Town, messages: number, run: string): Promise<Round> {
  const meter = meterCpu([api, worker, stack.postgres, stack.redis])
  const startedMs = Date.now()
  const { ok, sent } = await customersWrite(generator, api, { numbers, customersPerNumber: CUSTOMERS_PER_NUMBER, messages, perSecond: PER_SECOND, run })
  await untilDrained(stack, 60_000)
  const cpu = meter.stop()
  const done = await outcomes(stack, startedMs)
  if (done.messages < ok || done.messages > sent || done.sent !== done.turns) throw new Error(`${done.messages} of ${ok} messages were handled in ${done.turns} turns, ${done.sent} of them answered`)
  return { msPerMessage: (done.lastRetiredAtMs - startedMs) / done.messages, cpuMsPerMessage: totalCpu(cpu) / done.messages, cpu, messages: done.messages, refused: sent - ok }
}

function report(small: Town, large: Town, rounds: { small: Round[]; large: Round[] }): BenchReport {
  const of = (list: Round[], read: (round: Round) => number) => median(list.map(read))
  const name = `with ${small.stored.toLocaleString('en')} stored`
  const compared = (read: (round: Round) => number) => ({ value: of(rounds.large, read), baseline: { name, value: of(rounds.small, read) } })
  const row = (town: Town, list: Round[]) => {
    const { low, high } = spread(list.map((round) => round.msPerMessage))
    const cpuMs = (server: string) => of(list, (round) => (round.cpu[server] ?? 0) / round.messages)
    return [town.stored, of(list, (round) => round.msPerMessage), low, high, cpuMs('api'), cpuMs('worker'), cpuMs('postgres'), cpuMs('redis')]
  }
  return {
    figures: [
      { figure: `time per message with ${large.stored.toLocaleString('en')} stored`, unit: 'ms', better: 'lower', floor: 1.2, ...compared((round) => round.msPerMessage) },
      { figure: 'CPU per message, api + worker + postgres + redis', unit: 'ms', better: 'lower', floor: 1.2, ...compared((round) => round.cpuMsPerMessage) },
    ],
    tables: [{
      title: 'Per message, milliseconds: time (the whole system at work on many), and CPU of each server',
      head: ['messages stored', 'time', 'lowest', 'highest', 'api', 'worker', 'postgres', 'redis'],
      rows: [row(small, rounds.small), row(large, rounds.large)],
    }],
    notes: [`${rounds.small.length} rounds of about ${rounds.small[0]!.messages.toLocaleString('en')} messages each in turn on two whole systems; customers write in conversations that grow alike in both; ${[...rounds.small, ...rounds.large].reduce((sum, one) => sum + one.refused, 0)} webhooks were told to come again (503) and left out`],
  }
}
