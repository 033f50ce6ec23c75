import type { Bench, BenchOptions, BenchReport, Table } from '../bench.ts'
import type { Measured } from '../figure.ts'
import { interleave } from '../measure/rounds.ts'
import { median } from '../measure/statistics.ts'
import { startActor } from '../stage/actor.ts'
import type { Detector, RoomJob, RoomResult } from './room.ts'

const CALLS = [1, 10, 50, 100] as const
const MOST = 100
const JOBS: readonly (readonly [Detector, number])[] = [...CALLS.map((calls) => ['none', calls] as const), ['energy', MOST], ...CALLS.map((calls) => ['alone', calls] as const), ...CALLS.map((calls) => ['batched', calls] as const)]

export const vad: Bench = {
  name: 'vad',
  help: "what a frame of 20 ms costs the speech detector at 1 to 100 calls: by loudness, by Silero one by one, by Silero in batches",
  run,
}

type Results = Record<string, RoomResult[]>
const nameOf = (detector: Detector, calls: number): string => `${detector} ${calls}`

async function run({ quick }: BenchOptions): Promise<BenchReport> {
  const room = await startActor(new URL('./room.ts', import.meta.url))
  try {
    const measure = (detector: Detector, calls: number) => () => room.ask<RoomResult>({ detector, calls, durationMs: quick ? 300 : 1_600 } satisfies RoomJob)
    return report(await interleave(Object.fromEntries(JOBS.map(([detector, calls]) => [nameOf(detector, calls), measure(detector, calls)])), quick ? 1 : 2))
  } finally {
    await room.stop()
  }
}

/** CPU microseconds of a frame, without what the same frames cost when nobody listens. */
function frameUs(results: Results, detector: Detector, calls: number): number {
  const of = (who: Detector) => median(results[nameOf(who, calls)]!.map(({ cpuMs, frames }) => (cpuMs * 1_000) / frames))
  return of(detector) - of('none')
}

function report(results: Results): BenchReport {
  const batched = CALLS.map((calls): Measured => ({
    figure: `CPU of a frame, ${calls} ${calls === 1 ? 'call' : 'calls'}`, value: frameUs(results, 'batched', calls), unit: 'us', better: 'lower',
    baseline: { name: 'one by one', value: frameUs(results, 'alone', calls) }, ...(calls === MOST ? { floor: 0.5 } : {}),
  }))
  const all = (name: 'windows' | 'batches' | 'dropped') => JOBS.reduce((sum, [detector, calls]) => sum + (detector === 'batched' ? results[nameOf(detector, calls)]!.reduce((of, result) => of + result[name], 0) : 0), 0)
  return {
    figures: [
      ...batched,
      { figure: 'CPU of a frame by loudness', value: frameUs(results, 'energy', MOST), unit: 'us', better: 'lower' },
      { figure: `share of one core, ${MOST} calls`, value: (frameUs(results, 'batched', MOST) * MOST) / 200, unit: '%', better: 'lower' },
      { figure: `full window to probability, p99, ${MOST} calls`, value: median(results[nameOf('batched', MOST)]!.map(({ lag }) => lag.p99)), unit: 'ms', better: 'lower' },
      { figure: 'windows dropped', value: all('dropped'), unit: 'windows', better: 'lower', floor: 0 },
    ],
    tables: [detectors(results)],
    notes: [
      'calls of 8 kHz in real time, not in step; CPU is that of the process with its threads, less that of the same frames with nobody listening. Silero judges a window of 32 ms, which is 1.6 frames',
      `batches of up to ${MOST} calls held ${(all('windows') / all('batches')).toFixed(1)} windows on average over all runs; a window waits 10 ms at most for those of other calls`,
    ],
  }
}

const detectors = (results: Results): Table => ({
  title: 'Detectors',
  head: ['detector', 'calls', 'us a frame', 'windows a run', 'lag p50 ms', 'lag p99 ms', 'dropped'],
  rows: JOBS.filter(([detector]) => detector !== 'none').map(([detector, calls]) => {
    const runs = results[nameOf(detector, calls)]!
    const of = (pick: (result: RoomResult) => number) => median(runs.map(pick))
    return [detector, calls, frameUs(results, detector, calls), of(({ windows, batches }) => (batches === 0 ? 0 : windows / batches)), of(({ lag }) => lag.p50), of(({ lag }) => lag.p99), of(({ dropped }) => dropped)]
  }),
})
