import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { BenchReport, Table } from '../bench.ts'
import type { Figure } from '../figure.ts'
import type { Machine } from '../measure/machine.ts'

export type Result = { bench: string; machine: Machine; figures: Figure[]; tables: Table[]; notes: string[] }

const FOLDER = new URL('../results/', import.meta.url)

export function keepResult(bench: string, machine: Machine, figures: Figure[], report: BenchReport): void {
  const result: Result = { bench, machine, figures, tables: report.tables, notes: report.notes }
  writeFileSync(new URL(`${bench}.json`, FOLDER), `${JSON.stringify(result, null, 2)}\n`)
}

/** What was kept, in the order of the names given; benches that never ran are left out. */
export function keptResults(): Result[] {
  if (!existsSync(FOLDER)) return []
  return readdirSync(FOLDER).filter((name) => name.endsWith('.json')).toSorted().map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as Result)
}
