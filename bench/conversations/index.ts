import type { Bench, BenchOptions, BenchReport } from '../bench.ts'
import { anonymousBytes, residentBytes } from '../measure/process.ts'
import { startActor, type Actor } from '../stage/actor.ts'
import { makeNumbers, type BenchNumber } from '../stage/numbers.ts'
import { withStack, type Server, type Stack } from '../stage/stack.ts'
import { customersWrite, outcomes, tellSandbox, untilDrained } from '../stage/traffic.ts'

const CONVERSATIONS = 10_000
const CUSTOMERS_PER_NUMBER = 10
const PER_SECOND = 250
const WARM_MESSAGES = 2_500
const SAMPLE_MS = 250

export const conversations: Bench = {
  name: 'conversations',
  help: 'memory of api and worker while 10,000 conversations are active',
  run: (options) => withStack((stack) => run(stack, options)),
}

type Memory = { residentMiB: number; anonymousMiB: number }
type Place = { stack: Stack; api: Server; worker: Server; generator: Actor; numbers: BenchNumber[]; active: number }

async function run(stack: Stack, { quick, say }: BenchOptions): Promise<BenchReport> {
  const active = quick ? CONVERSATIONS / 10 : CONVERSATIONS
  const sandbox = await stack.sandbox({ SANDBOX_FIRST_TOKEN_MS: '300' })
  // Those of the warm-up are others: no conversation of theirs counts.
  const all = await makeNumbers(stack.db, stack.keyring, { tenants: 10, perTenant: (active / CUSTOMERS_PER_NUMBER) / 10 + 10 })
  const [warm, numbers] = [all.filter((_, index) => index % (all.length / 10) < 10), all.filter((_, index) => index % (all.length / 10) >= 10)]
  await tellSandbox(sandbox, all)
  const place: Place = { stack, api: await stack.api({ QUEUE_CAPACITY: '1000000' }), worker: await stack.worker({ TURNS_MAX: '2000' }), generator: await startActor(new URL('../load/generator.ts', import.meta.url)), numbers, active }
  try {
    await customersWrite(place.generator, place.api, { numbers: warm, customersPerNumber: 2, messages: quick ? WARM_MESSAGES / 5 : WARM_MESSAGES, perSecond: PER_SECOND, run: 'warm' })
    await untilDrained(stack, 60_000)
    const before = memoryOf([place.api, place.worker])
    say(`  ${active.toLocaleString('en')} customers write twice each, at ${PER_SECOND} messages/s`)
    return report(place, before, await talk(place))
  } finally {
    await place.generator.stop()
  }
}

function memoryOf(servers: Server[]): Memory {
  const sum = (read: (pid: number) => number) => servers.reduce((total, { pid }) => total + read(pid), 0) / 2 ** 20
  return { residentMiB: sum(residentBytes), anonymousMiB: sum(anonymousBytes) }
}

type Talked = { peak: Memory; after: Memory; turns: number; messages: number }

/** All of them once, then all of them again: at the end every one is in the middle of a conversation. */
async function talk({ stack, api, worker, generator, numbers, active }: Place): Promise<Talked> {
  const startedMs = Date.now()
  let peak = memoryOf([api, worker])
  let accepted = 0
  const look = () => {
    const now = memoryOf([api, worker])
    peak = { residentMiB: Math.max(peak.residentMiB, now.residentMiB), anonymousMiB: Math.max(peak.anonymousMiB, now.anonymousMiB) }
  }
  const timer = setInterval(look, SAMPLE_MS)
  try {
    const { ok } = await customersWrite(generator, api, { numbers, customersPerNumber: CUSTOMERS_PER_NUMBER, messages: active * 2, perSecond: PER_SECOND, run: 'talk' })
    accepted = ok
    await untilDrained(stack, 60_000, look)
  } finally {
    clearInterval(timer)
  }
  const { turns, sent, messages } = await outcomes(stack, startedMs)
  if (messages !== accepted || sent !== turns) throw new Error(`${messages} of ${accepted} messages were handled in ${turns} turns, ${sent} of them answered`)
  return { peak, after: memoryOf([api, worker]), turns, messages }
}

function report({ active }: Place, before: Memory, { peak, after, turns, messages }: Talked): BenchReport {
  return {
    figures: [
      { figure: `added by ${active.toLocaleString('en')} active conversations, peak`, value: Math.max(0, peak.residentMiB - before.residentMiB), unit: 'MiB', better: 'lower', floor: 200 },
      { figure: 'api and worker together, peak', value: peak.residentMiB, unit: 'MiB', better: 'lower', floor: 2_000 },
    ],
    tables: [{
      title: 'Memory of api and worker together, MiB',
      head: ['when', 'resident', 'own (heap and stacks)'],
      rows: [['warm, before', before.residentMiB, before.anonymousMiB], [`${active.toLocaleString('en')} conversations, peak`, peak.residentMiB, peak.anonymousMiB], ['after them', after.residentMiB, after.anonymousMiB]],
    }],
    notes: [`${messages.toLocaleString('en')} messages of ${active.toLocaleString('en')} customers became ${turns.toLocaleString('en')} answered turns; the model waited 300 ms each time`],
  }
}
