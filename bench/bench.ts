import type { Measured } from './figure.ts'

export type BenchOptions = {
  /** Seconds instead of minutes: to see that it works. Its figures are not kept. */
  quick: boolean
  /** Also profiles the process that matters most, where the bench can. */
  profile: boolean
  /** Also holds what was found for many minutes, where the bench can. */
  long: boolean
  /** For people, while it runs. */
  say(line: string): void
}
export type Table = { title: string; head: string[]; rows: (string | number)[][] }
export type BenchReport = { figures: Measured[]; tables: Table[]; notes: string[] }
export type Bench = { name: string; help: string; run(options: BenchOptions): Promise<BenchReport> }
