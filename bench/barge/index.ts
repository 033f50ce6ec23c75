import type { Bench, BenchOptions, BenchReport } from '../bench.ts'
import { talk, type Heard } from '../calls/talk.ts'
import { openCallTown } from '../calls/town.ts'
import { summarise, type Latencies } from '../measure/statistics.ts'
import { withStack, type Stack } from '../stage/stack.ts'

const INTERRUPTIONS = 200
const CALLS = 20
const FLOOR_MS = 50

export const barge: Bench = {
  name: 'barge',
  help: 'from the words of a caller who interrupts to silence on the wire: the last clear, and no sound after it',
  run: (options) => withStack((stack) => run(stack, options)),
}

async function run(stack: Stack, { quick, say }: BenchOptions): Promise<BenchReport> {
  const town = await openCallTown(stack, { interruptEvery: 1 })
  try {
    say(`  ${quick ? 3 : CALLS} callers interrupt every answer`)
    const heard = await talk(town, {
      calls: quick ? 3 : CALLS, dialMs: quick ? 500 : 5_000, wanted: quick ? 3 : INTERRUPTIONS, withinMs: quick ? 60_000 : 240_000,
      isOne: ({ interruptMs, clearMs, answerMs }) => interruptMs !== undefined && clearMs !== undefined && answerMs !== undefined,
    })
    await town.lines.hangUp()
    await stack.stop(town.voice)
    return reportOf(interruptionsOf(heard), heard)
  } finally {
    await town.close()
  }
}

/** Milliseconds of one interruption. `after`: sound that came after the last clear and before the answer; none is wanted. */
type Interruption = { wordsToSilence: number; soundToSofter: number; soundToSilence: number; after: boolean }

function interruptionsOf({ sightings, notes }: Heard): Interruption[] {
  return [...sightings].flatMap(([key, { interruptMs, duckMs, clearMs, soundMs, answerMs }]) => {
    const words = notes.get(key)?.words
    if (interruptMs === undefined || clearMs === undefined || duckMs === undefined || answerMs === undefined || words === undefined) return []
    return [{ wordsToSilence: clearMs - words, soundToSofter: duckMs - interruptMs, soundToSilence: clearMs - interruptMs, after: soundMs !== undefined && soundMs > clearMs }]
  })
}

function reportOf(found: Interruption[], { underruns }: Heard): BenchReport {
  const of = (read: (one: Interruption) => number): Latencies => summarise(found.map(read))
  const silence = of((one) => one.wordsToSilence)
  const [softer, whole] = [of((one) => one.soundToSofter), of((one) => one.soundToSilence)]
  const row = (name: string, { p50, p90, p99, max }: Latencies) => [name, p50, p90, p99, max]
  return {
    figures: [
      { figure: 'words to silence on the wire, p50', value: silence.p50, unit: 'ms', better: 'lower' },
      { figure: 'words to silence on the wire, p99', value: silence.p99, unit: 'ms', better: 'lower', floor: FLOOR_MS },
      { figure: 'sound after the last clear', value: found.filter(({ after }) => after).length, unit: 'interruptions', better: 'lower', floor: 0 },
      { figure: "caller's first sound to a softer voice, p50", value: softer.p50, unit: 'ms', better: 'lower' },
      { figure: "caller's first sound to silence, p50", value: whole.p50, unit: 'ms', better: 'lower' },
    ],
    tables: [{ title: `${found.length} interruptions, milliseconds`, head: ['from, to', 'p50', 'p90', 'p99', 'max'], rows: [row('words, silence', silence), row('sound, softer', softer), row('sound, silence', whole)] }],
    notes: [
      `${found.length} interruptions; the recogniser says its first words 250 ms after the caller began, and silence is the carrier's clear on its socket`,
      `${underruns} holes in the answers`,
    ],
  }
}
