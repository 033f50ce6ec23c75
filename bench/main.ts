import { exitOnSignals } from '../tests/harness/processes.ts'
import { benches } from './catalogue.ts'
import type { Bench, BenchOptions } from './bench.ts'
import { figureOf, lineOf, verdictOf, type Figure } from './figure.ts'
import { thisMachine } from './measure/machine.ts'
import { refreshReadme } from './report/readme.ts'
import { keepResult } from './report/results.ts'
import { drawTable } from './report/table.ts'

const HELP = `npm run bench -- <name> [--quick] [--profile] [--long]

${benches.map(({ name, help }) => `  ${name.padEnd(14)} ${help}`).join('\n')}
  all            every one of them, one after the other

--quick    seconds instead of minutes, to see that it works; nothing is kept
--profile  also profiles the busiest process, where the bench can
--long     also holds what was found for ten minutes, where the bench can
`

/** Exit codes: 0 measured (also below a floor: the figures say so), 1 something failed, 2 not understood. */
async function main(args: string[]): Promise<number> {
  const flags = new Set(args.filter((arg) => arg.startsWith('--')))
  const names = args.filter((arg) => !arg.startsWith('--'))
  const unknown = [...flags].filter((flag) => !['--quick', '--profile', '--long'].includes(flag))
  const wanted = names.includes('all') ? benches : benches.filter(({ name }) => names.includes(name))
  if (names.length === 0 || unknown.length > 0 || (wanted.length < names.length && !names.includes('all'))) {
    console.log(HELP)
    return names.length === 0 && unknown.length === 0 ? 0 : 2
  }
  const options: BenchOptions = { quick: flags.has('--quick'), profile: flags.has('--profile'), long: flags.has('--long'), say: (line) => console.log(line) }
  const figures: Figure[] = []
  for (const bench of wanted) figures.push(...(await runOne(bench, options)))
  for (const figure of figures) console.log(lineOf(figure))
  return 0
}

async function runOne(bench: Bench, options: BenchOptions): Promise<Figure[]> {
  const machine = thisMachine()
  options.say(`\n${bench.name}: ${bench.help}\n${machine.cores} cores, ${machine.cpu}, load ${machine.loadAtStart}${machine.loadAtStart > 0.5 ? ' (the machine is busy: trust ratios and CPU, not rates)' : ''}`)
  const report = await bench.run(options)
  const figures = report.figures.map((measured) => figureOf(bench.name, measured))
  for (const table of report.tables) options.say(drawTable(table))
  options.say(drawTable({ title: 'Figures', head: ['figure', 'value', 'unit', 'baseline', 'ratio', 'floor', 'goal', ''], rows: figures.map(rowOf) }))
  for (const note of report.notes) options.say(`  ${note}`)
  if (!options.quick && figures.length > 0) {
    keepResult(bench.name, machine, figures, report)
    refreshReadme()
  }
  options.say('')
  return figures
}

const rowOf = (figure: Figure) => [
  figure.figure, figure.value, figure.unit, figure.baseline ? `${figure.baseline.name}: ${figure.baseline.value}` : '',
  figure.ratio ?? '', figure.floor ?? '', figure.goal ?? '', { goal: 'goal reached', floor: 'floor held', below: 'BELOW', open: '' }[verdictOf(figure)],
]

exitOnSignals()
try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof Error ? error.stack : error)
  process.exitCode = 1
}
