import { readFileSync, writeFileSync } from 'node:fs'
import { verdictOf, type Figure } from '../figure.ts'
import { headlines } from './headlines.ts'
import { keptResults, type Result } from './results.ts'
import { cell } from './table.ts'

const README = new URL('../README.md', import.meta.url)
const ROOT_README = new URL('../../README.md', import.meta.url)
const END = '<!-- end of results -->'

/** Writes the kept results into both READMEs, between their marks. */
export function refreshReadme(): void {
  const results = keptResults()
  for (const [file, written] of [[README, withResults], [ROOT_README, withHeadlines]] as const) writeFileSync(file, written(readFileSync(file, 'utf8'), results))
}

export const withResults = (text: string, results: Result[]): string => between(text, '<!-- results: written by report/readme.ts, never by hand -->', results.map(section).join('\n'))
export const withHeadlines = (text: string, results: Result[]): string => between(text, '<!-- results: written by bench/report/readme.ts, never by hand -->', headlines(results))

function between(text: string, begin: string, written: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(END)]
  if (from < 0 || to < from) throw new Error(`a README has lost the marks "${begin}" and "${END}", between which the results stand`)
  return `${text.slice(0, from + begin.length)}\n${written}\n${text.slice(to)}`
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
