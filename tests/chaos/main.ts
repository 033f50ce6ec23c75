import { parseArgs } from 'node:util'
import { simulateLedger } from '@trunkline/billing'
import { simulate } from '../../db/src/queue/simulation/simulate.ts'
import { exitOnSignals } from '../harness/processes.ts'
import { openGround } from './ground.ts'
import { SCENARIOS } from './run.ts'
import type { Counts } from './scenario.ts'

const SIMULATED_SEEDS = 100_000

/** `npm run chaos [-- scenario...] [--seed N] [--size N]`: the full size of everything, or of what is named. Exit code 0 only when every promise held. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { seed: { type: 'string' }, size: { type: 'string' }, help: { type: 'boolean', short: 'h' } } })
  if (values.help) return console.log(usage())
  const names = [...Object.keys(SCENARIOS), ...Object.keys(SIMULATIONS)]
  const unknown = positionals.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Refused(`There is no scenario ${unknown}.`)
  const seed = wholeNumber('--seed', values.seed, 0) ?? Date.now() % 1_000_000
  const size = wholeNumber('--size', values.size, 10)
  const wanted = positionals.length > 0 ? positionals : names
  let broken = 0
  broken += await playScenarios(wanted.filter((name) => name in SCENARIOS), seed, size)
  for (const name of wanted.filter((each) => each in SIMULATIONS)) broken += await runSimulation(name, seed, size ?? SIMULATED_SEEDS)
  console.log(broken === 0 ? '\nEvery promise held.' : `\n${broken} broken promises; replay with --seed ${seed}.`)
  process.exitCode = broken === 0 ? 0 : 1
}

/** The caller's mistake: told in a sentence, with the usage. */
class Refused extends Error {}

function wholeNumber(name: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text) || Number(text) < least) throw new Refused(`${name} is a whole number from ${least} on.`)
  return Number(text)
}

const usage = (): string => `npm run chaos [-- scenario...] [--seed N] [--size N]

Kills, freezes and starves real processes and servers, then checks that nothing was lost or sent twice, that order was kept and the
ledger is balanced. Without names everything runs. A seed plays the same letters and faults again. Scenarios and their full sizes:

${Object.entries(SCENARIOS).map(([name, { fullSize }]) => `  ${name.padEnd(18)} ${fullSize} messages`).join('\n')}
${Object.keys(SIMULATIONS).map((name) => `  ${name.padEnd(18)} ${SIMULATED_SEEDS} seeds from --seed on`).join('\n')}`

const COLUMNS = ['messages', 'posts', 'faults', 'turns', 'sent', 'unknown', 'failed', 'resent', 'parked', 'onceUnknown', 'acceptedBySupplier', 'receiptsRead', 'tookMs'] as const

async function playScenarios(names: string[], seed: number, size: number | undefined): Promise<number> {
  if (names.length === 0) return 0
  let broken = 0
  const ground = await openGround()
  const rows: (string | number)[][] = [['scenario', 'seed', ...COLUMNS, 'broken']]
  try {
    for (const name of names) {
      const { run, fullSize } = SCENARIOS[name]!
      console.log(`${name} (seed ${seed}, ${size ?? fullSize} messages) …`)
      const counts = await run(ground, size ?? fullSize, seed).catch(unfinished)
      rows.push([name, seed, ...COLUMNS.map((column) => counts[column] ?? '-'), counts.broken.length])
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

/** A scenario that cannot even be played to its end must not hide what the others find. */
const unfinished = (error: unknown): Partial<Counts> & Pick<Counts, 'broken'> => ({ broken: [`it did not end: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`] })

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

exitOnSignals()
try {
  await main()
} catch (error) {
  const isRefused = error instanceof Refused || (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'))
  console.error(isRefused ? `${error.message}\n\n${usage()}` : error)
  process.exitCode = 1
}
