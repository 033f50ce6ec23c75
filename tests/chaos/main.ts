import { parseArgs } from 'node:util'
import { simulateLedger } from '@trunkline/billing'
import { simulate } from '../../db/src/queue/simulation/simulate.ts'
import { openGround } from './ground.ts'
import { SCENARIOS, type Counts } from './run.ts'

const SIMULATED_SEEDS = 100_000

/** `npm run chaos [-- scenario...] [--seed N] [--size N]`: the full size of everything, or of what is named. Exit code 0 only when every promise held. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { seed: { type: 'string' }, size: { type: 'string' } } })
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed)
  const names = [...Object.keys(SCENARIOS), ...Object.keys(SIMULATIONS)]
  const unknown = positionals.find((name) => !names.includes(name))
  if (unknown !== undefined || !Number.isInteger(seed)) throw new Error(`There is no such scenario. Choose of: ${names.join(', ')}; --seed and --size are numbers.`)
  const wanted = positionals.length > 0 ? positionals : names
  const size = values.size === undefined ? undefined : Number(values.size)
  let broken = 0
  broken += await playScenarios(wanted.filter((name) => name in SCENARIOS), seed, size)
  for (const name of wanted.filter((each) => each in SIMULATIONS)) broken += await runSimulation(name, seed, size ?? SIMULATED_SEEDS)
  console.log(broken === 0 ? '\nEvery promise held.' : `\n${broken} broken promises; replay with --seed ${seed}.`)
  process.exitCode = broken === 0 ? 0 : 1
}

const COLUMNS = ['messages', 'posts', 'faults', 'turns', 'sent', 'unknown', 'failed', 'parked', 'acceptedBySupplier', 'receiptsRead', 'tookMs'] as const

async function playScenarios(names: string[], seed: number, size: number | undefined): Promise<number> {
  if (names.length === 0) return 0
  let broken = 0
  const ground = await openGround()
  const rows: (string | number)[][] = [['scenario', 'seed', ...COLUMNS, 'broken']]
  try {
    for (const name of names) {
      const { run, fullSize } = SCENARIOS[name]!
      console.log(`${name} (seed ${seed}, ${size ?? fullSize} messages) …`)
      const counts: Counts = await run(ground, size ?? fullSize, seed)
      rows.push([name, seed, ...COLUMNS.map((column) => counts[column]), counts.broken.length])
      for (const promise of counts.broken) console.log(`  BROKEN ${promise}`)
      broken += counts.broken.length
    }
  } finally {
    await ground.close()
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  for (const row of rows) console.log(row.map((cell, column) => String(cell).padStart(widths[column]!)).join('  '))
  return broken
}

/** One line for each broken seed. The real code of queue and ledger on a fake clock and network. */
const SIMULATIONS: Record<string, (seed: number) => Promise<string[]>> = {
  'simulated-queue': (seed) => simulate(seed).then(() => [], (error: unknown) => [error instanceof Error ? error.message : String(error)]),
  'simulated-ledger': async (seed) => simulateLedger(seed).faults.map((fault) => `seed ${seed}: ${fault}`),
}

async function runSimulation(name: string, first: number, seeds: number): Promise<number> {
  const startedMs = performance.now()
  let broken = 0
  for (let seed = first; seed < first + seeds; seed++) {
    for (const fault of await SIMULATIONS[name]!(seed)) {
      console.log(`  BROKEN ${fault}`)
      broken++
    }
  }
  console.log(`${name}: ${seeds} seeds from ${first}, ${broken} broken, ${Math.round(performance.now() - startedMs)} ms`)
  return broken
}

try {
  await main()
} catch (error) {
  console.error(error)
  process.exitCode = 1
}
