import { setTimeout as delay } from 'node:timers/promises'
import { Histogram, type HistogramCounts } from '../measure/histogram.ts'
import { meterCpu, residentBytes, threadCpuMs, type CpuUse } from '../measure/process.ts'
import type { Latencies } from '../measure/statistics.ts'
import { sharedMs } from './clock.ts'
import type { Found } from './main.ts'
import type { CallTown } from './town.ts'
import type { Notes } from './vendors/notes.ts'

/** So many calls for so long, and what was found. */
export type Level = {
  calls: number
  elapsedMs: number
  jitter: Latencies
  underruns: number
  frames: number
  answered: number
  unanswered: number
  broken: string[]
  live: number
  /** From the moment at which the recogniser said the first words to the last `clear`; and from the caller's first sound. */
  cut: Latencies
  interrupted: Latencies
  /** The latest that the callers' process was with its own frames. */
  own: Latencies
  cpu: CpuUse
  /** Of the voice process, by thread. */
  threads: CpuUse
  /** Of `sharedMs`. */
  span: { fromMs: number; toMs: number }
  residentMiB: number
}

export const JITTER_MS = 20
/** Beyond it a supplier or a caller was left without an answer: no proof of a call. */
const UNANSWERED_SHARE = 0.01

export const passes = (level: Level): boolean =>
  level.jitter.p99 < JITTER_MS && level.underruns === 0 && level.broken.length === 0 && level.live >= level.calls && level.unanswered <= (level.answered + level.unanswered) * UNANSWERED_SHARE

export type Timing = { dialMs: number; settleMs: number; measureMs: number }

/** Adds callers until there are so many, lets them come to talk, and measures. */
export async function measureLevel(town: CallTown, before: number, calls: number, { dialMs, settleMs, measureMs }: Timing): Promise<Level> {
  await town.lines.dial(calls - before, dialMs)
  await delay(settleMs)
  await Promise.all([town.lines.find(), town.vendors.notes()])
  const meter = meterCpu([town.voice, { name: 'callers', pid: town.lines.pid }, { name: 'suppliers', pid: town.vendors.pid }, town.stack.postgres, town.stack.redis])
  const threadsBefore = threadCpuMs(town.voice.pid)
  const fromMs = sharedMs()
  await delay(measureMs)
  const cpu = meter.stop()
  const threads = Object.fromEntries(Object.entries(threadCpuMs(town.voice.pid)).map(([name, ms]) => [name, ms - (threadsBefore[name] ?? 0)]))
  const span = { fromMs, toMs: sharedMs() }
  const [found, notes] = await Promise.all([town.lines.find(), town.vendors.notes()])
  return { ...levelOf(calls, found, notes), cpu, threads, span, elapsedMs: span.toMs - span.fromMs, residentMiB: residentBytes(town.voice.pid) / 2 ** 20 }
}

type Measured = 'cpu' | 'threads' | 'span' | 'elapsedMs' | 'residentMiB'

function levelOf(calls: number, found: Found, notes: Notes): Omit<Level, Measured> {
  const [cut, interrupted] = [new Histogram(), new Histogram()]
  for (const [key, { interruptMs, clearMs }] of found.sightings) {
    const words = notes.get(key)?.words
    if (interruptMs === undefined || clearMs === undefined || words === undefined) continue
    cut.add(clearMs - words)
    interrupted.add(clearMs - interruptMs)
  }
  const { underruns, frames, answered, unanswered, broken, live } = found
  return { calls, underruns, frames, answered, unanswered, broken, live, jitter: summaryOf(found.jitter), own: summaryOf(found.own), cut: cut.summary(), interrupted: interrupted.summary() }
}

export function summaryOf(counts: HistogramCounts): Latencies {
  const histogram = new Histogram()
  histogram.merge(counts)
  return histogram.summary()
}

/** Of one core, in percent. */
export const shareOfCore = (level: Level, name: string): number => (100 * (level.cpu[name] ?? 0)) / level.elapsedMs
/** Of the voice process: microseconds for 20 ms of one call, both directions and all that belongs to it. */
export const cpuPerFrameUs = (level: Level): number => ((level.cpu['voice'] ?? 0) * 1_000) / ((level.elapsedMs / 20) * level.calls)
