import { readFileSync, writeFileSync } from 'node:fs'
import { verdictOf, type Figure } from '../figure.ts'
import { keptResults, type Result } from './results.ts'
import { cell } from './table.ts'

const README = new URL('../README.md', import.meta.url)
const [BEGIN, END] = ['<!-- results: written by report/readme.ts, never by hand -->', '<!-- end of results -->']

/** Writes the kept results into the README, between its two marks. */
export function refreshReadme(): void {
  const text = readFileSync(README, 'utf8')
  writeFileSync(README, withResults(text, keptResults()))
}

export function withResults(text: string, results: Result[]): string {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (from < 0 || to < from) throw new Error('bench/README.md has lost the marks between which the results stand')
  return `${text.slice(0, from + BEGIN.length)}\n${results.map(section).join('\n')}\n${text.slice(to)}`
}

function section({ bench, machine, figures, notes }: Result): string {
  const where = `${machine.cores} cores, ${machine.cpu}, ${machine.memoryGiB} GiB, Node ${machine.node}, PostgreSQL ${machine.postgres}, Redis ${machine.redis}; ${machine.date.slice(0, 10)}, load ${machine.loadAtStart} at the start`
  const rows = figures.map((figure) => `| ${[figure.figure, `${cell(figure.value)} ${figure.unit}`, against(figure), figure.ratio === null ? '' : cell(figure.ratio), limit(figure, figure.floor), limit(figure, figure.goal), MARKS[verdictOf(figure)]].join(' | ')} |`)
  const said = notes.map((note) => `- ${note}`)
  return [`\n### ${bench}\n`, `${where}.\n`, '| figure | value | baseline | ratio | floor | goal | |', '|---|---|---|---|---|---|---|', ...rows, ...(said.length > 0 ? ['', ...said] : [])].join('\n')
}

const MARKS = { goal: 'goal reached', floor: 'floor held', below: '**below**', open: '' }
const against = ({ baseline }: Figure) => (baseline ? `${baseline.name}: ${cell(baseline.value)}` : '')
const limit = (figure: Figure, value: number | null) => (value === null ? '' : `${figure.better === 'higher' ? '>=' : '<='} ${cell(value)}${figure.judged === 'ratio' ? 'x' : ''}`)
