import type { Bench, BenchOptions, BenchReport, Table } from '../bench.ts'
import { withStack, type Stack } from '../stage/stack.ts'
import { cpuPerFrameUs, JITTER_MS, measureLevel, passes, shareOfCore, type Level, type Timing } from './ramp.ts'
import { profileCalls } from './stages.ts'
import { openCallTown, type CallTown, type Outcome } from './town.ts'

const LEVELS = [20, 40, 80, 120, 150, 180, 210, 240]
const QUICK_LEVELS = [3, 6]
const INTERRUPT_EVERY = 4
const FLOOR = 80
const GOAL = 150
const TIMING: Timing = { dialMs: 4_000, settleMs: 5_000, measureMs: 16_000 }
const QUICK: Timing = { dialMs: 1_000, settleMs: 3_000, measureMs: 5_000 }
const PROFILED_CALLS = 60
const [LONG_MINUTES, LONG_SHARE] = [10, 0.8]

export const calls: Bench = {
  name: 'calls',
  help: `phone calls at once on one voice process: frames on their 20 ms within ${JITTER_MS} ms (p99), no holes; scripted suppliers, callers beside it`,
  run: (options) => withStack((stack) => run(stack, options)),
}

async function run(stack: Stack, options: BenchOptions): Promise<BenchReport> {
  const timing = options.quick ? QUICK : TIMING
  const town = await openCallTown(stack, { interruptEvery: INTERRUPT_EVERY, recorded: true })
  try {
    const levels = await climb(town, options, timing)
    const found = levels.filter(passes).at(-1) ?? null
    await town.lines.hangUp()
    const outcome = await town.outcome()
    await stack.stop(town.voice)
    const long = options.long && found ? await holdLong(stack, Math.max(1, Math.round(found.calls * LONG_SHARE)), options) : []
    const profile = await profileCalls(stack, options.quick ? QUICK_LEVELS[0]! : PROFILED_CALLS, { ...timing, measureMs: timing.measureMs / 2 })
    return reportOf(levels, found, outcome, long, profile)
  } finally {
    await town.close()
  }
}

/** Up to the first number of calls that cannot be held. */
async function climb(town: CallTown, { quick, say }: BenchOptions, timing: Timing): Promise<Level[]> {
  const levels: Level[] = []
  for (const calls of quick ? QUICK_LEVELS : LEVELS) {
    const level = await measureLevel(town, levels.at(-1)?.calls ?? 0, calls, timing)
    levels.push(level)
    say(`  ${lineOf(level)}`)
    if (!passes(level)) break
  }
  return levels
}

const lineOf = (level: Level): string =>
  `${level.calls} calls: jitter p50 ${level.jitter.p50.toFixed(1)} p99 ${level.jitter.p99.toFixed(1)} max ${level.jitter.max.toFixed(0)} ms, ${level.underruns} holes, ${shareOfCore(level, 'voice').toFixed(0)} % of a core, ${level.answered} answers${level.unanswered > 0 ? `, ${level.unanswered} questions without one` : ''}${level.broken.length > 0 ? `, ${level.broken.length} lines broke (${level.broken[0]})` : ''}`

/** Ten minutes, minute by minute: what creeps shows. */
async function holdLong(stack: Stack, count: number, { quick, say }: BenchOptions): Promise<Level[]> {
  const town = await openCallTown(stack, { interruptEvery: INTERRUPT_EVERY, recorded: true })
  const minuteMs = quick ? 3_000 : 60_000
  const minutes: Level[] = []
  try {
    for (let minute = 0; minute < (quick ? 2 : LONG_MINUTES); minute++) {
      const level = await measureLevel(town, minute === 0 ? 0 : count, count, minute === 0 ? { dialMs: 6_000, settleMs: 5_000, measureMs: minuteMs } : { dialMs: 0, settleMs: 0, measureMs: minuteMs })
      minutes.push(level)
      say(`  minute ${minute + 1}: ${lineOf(level)}, ${level.residentMiB.toFixed(0)} MiB`)
    }
    await town.lines.hangUp()
    await stack.stop(town.voice)
    return minutes
  } finally {
    await town.close()
  }
}

function reportOf(levels: Level[], found: Level | null, outcome: Outcome, long: Level[], profile: Table[]): BenchReport {
  const last = levels.at(-1)!
  const best = found ?? last
  return {
    figures: [
      { figure: 'calls at once', value: found?.calls ?? 0, unit: 'calls', better: 'higher', floor: FLOOR, goal: GOAL },
      { figure: 'jitter at that, p99', value: best.jitter.p99, unit: 'ms', better: 'lower', floor: JITTER_MS },
      { figure: 'holes in speech at that', value: best.underruns, unit: 'holes', better: 'lower', floor: 0 },
      { figure: 'CPU for 20 ms of a call, voice process', value: cpuPerFrameUs(best), unit: 'us', better: 'lower' },
      { figure: 'memory of the voice process, all calls of that', value: best.residentMiB, unit: 'MiB', better: 'lower' },
      { figure: 'words to silence on the wire, p99', value: best.cut.p99, unit: 'ms', better: 'lower' },
      ...longFigures(long),
    ],
    tables: [levelTable('Calls at once', levels), ...(long.length > 0 ? [levelTable('Minute by minute', long)] : []), ...profile],
    notes: [
      found && passes(last) ? `every number that was tried held` : `${last.calls} calls were too many: ${reasonOf(last)}`,
      `calls are recorded; callers speak a third of the time, the agent two thirds, every ${INTERRUPT_EVERY}th answer is interrupted; questions ${best.answered + best.unanswered} in the best level, ${best.unanswered} without an answer`,
      `all calls of the ramp: ${countsOf(outcome.ended)}; ${outcome.charged} charged, ${outcome.differences} differences in the ledger; incidents: ${countsOf(outcome.incidents)}`,
      `the callers' process was itself late by p99 ${best.own.p99.toFixed(1)} ms: that much of the jitter is the machine`,
    ],
  }
}

function longFigures(long: Level[]): BenchReport['figures'] {
  const [first, last] = [long[0], long.at(-1)]
  if (!first || !last) return []
  return [
    { figure: `jitter in the last of ${long.length} minutes, p99`, value: last.jitter.p99, unit: 'ms', better: 'lower', baseline: { name: 'first minute', value: first.jitter.p99 }, floor: JITTER_MS, judged: 'value' },
    { figure: 'holes in all minutes', value: long.reduce((sum, { underruns }) => sum + underruns, 0), unit: 'holes', better: 'lower', floor: 0 },
    { figure: 'memory in the last minute', value: last.residentMiB, unit: 'MiB', better: 'lower', baseline: { name: 'first minute', value: first.residentMiB } },
  ]
}

const reasonOf = (level: Level): string =>
  level.broken.length > 0 ? `${level.broken.length} lines broke (${level.broken[0]})`
  : level.underruns > 0 ? `${level.underruns} holes in speech`
  : level.jitter.p99 >= JITTER_MS ? `jitter p99 ${level.jitter.p99.toFixed(1)} ms with ${shareOfCore(level, 'voice').toFixed(0)} % of a core`
  : `${level.unanswered} questions without an answer`

const countsOf = (counts: Record<string, number>): string => Object.entries(counts).map(([what, count]) => `${what} ${count}`).join(', ') || 'none'

const levelTable = (title: string, levels: Level[]): Table => ({
  title,
  head: ['calls', 'jitter p50 ms', 'p99', 'p99.9', 'max', 'holes', 'us per 20 ms', 'voice % of core', 'callers', 'suppliers', 'postgres', 'MiB', 'words to silence p50', 'p99', 'sound to silence p50', 'answers'],
  rows: levels.map((level) => [
    level.calls, level.jitter.p50, level.jitter.p99, level.jitter.p999, level.jitter.max, level.underruns, cpuPerFrameUs(level),
    ...['voice', 'callers', 'suppliers', 'postgres'].map((name) => shareOfCore(level, name)), level.residentMiB, level.cut.p50, level.cut.p99, level.interrupted.p50, level.answered,
  ]),
})
