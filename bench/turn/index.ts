import type { Bench, BenchOptions, BenchReport, Table } from '../bench.ts'
import { callSid } from '../calls/twilio.ts'
import { keyOf } from '../calls/script.ts'
import { talk, type Heard } from '../calls/talk.ts'
import { openCallTown } from '../calls/town.ts'
import { summarise } from '../measure/statistics.ts'
import { withStack, type Stack } from '../stage/stack.ts'
import { waterfallOf, type TurnEvent, type Waterfall } from './waterfall.ts'

const CALLS = 30
const TURNS = 300
const OVERHEAD_MS = 50

export const turn: Bench = {
  name: 'turn',
  help: "from the caller's last sound to the agent's first, stage by stage; ours is what no supplier used and no rule waited for",
  run: (options) => withStack((stack) => run(stack, options)),
}

async function run(stack: Stack, { quick, say }: BenchOptions): Promise<BenchReport> {
  const calls = quick ? 3 : CALLS
  const town = await openCallTown(stack, {})
  try {
    say(`  ${calls} calls, ${quick ? 4 : TURNS} turns`)
    const heard = await talk(town, { calls, dialMs: quick ? 500 : 8_000, wanted: quick ? 4 : TURNS, withinMs: quick ? 60_000 : 300_000, isOne: ({ spokenMs, answerMs }) => spokenMs !== undefined && answerMs !== undefined })
    await town.lines.hangUp()
    await stack.stop(town.voice)
    return reportOf(waterfalls(heard, await eventsOf(stack, calls), calls))
  } finally {
    await town.close()
  }
}

/** What the voice process itself wrote of its turns, by call. */
async function eventsOf(stack: Stack, calls: number): Promise<TurnEvent[][]> {
  const { rows } = await stack.db.system('test', (tx) => tx.query<{ sid: string; data: TurnEvent }>("SELECT c.carrier_call_id AS sid, e.data FROM call_events e JOIN calls c ON c.id = e.call_id WHERE e.kind = 'turn' ORDER BY e.id"))
  return Array.from({ length: calls }, (_, call) => rows.filter(({ sid }) => sid === callSid(call)).map(({ data }) => data))
}

function waterfalls({ sightings, notes }: Heard, events: TurnEvent[][], calls: number): Waterfall[] {
  const all: Waterfall[] = []
  for (let call = 0; call < calls; call++) {
    events[call]!.forEach((event, nth) => {
      const key = keyOf(call, nth + 1)
      const [sighting, note] = [sightings.get(key), notes.get(key)]
      const waterfall = sighting && note && waterfallOf(sighting, note, event)
      if (waterfall) all.push(waterfall)
    })
  }
  return all
}

function reportOf(all: Waterfall[]): BenchReport {
  const of = (stage: keyof Waterfall) => summarise(all.map((waterfall) => waterfall[stage]))
  const [own, whole] = [of('own'), of('whole')]
  return {
    figures: [
      { figure: "ours, outside of suppliers' time, p50", value: own.p50, unit: 'ms', better: 'lower' },
      { figure: "ours, outside of suppliers' time, p99", value: own.p99, unit: 'ms', better: 'lower', floor: OVERHEAD_MS },
      { figure: "caller's last sound to the agent's first, p50", value: whole.p50, unit: 'ms', better: 'lower' },
      { figure: "caller's last sound to the agent's first, p99", value: whole.p99, unit: 'ms', better: 'lower' },
    ],
    tables: [stageTable(all)],
    notes: [
      `${all.length} turns; suppliers: final 100 ms after it was asked for, first token 250 ms, a token each 20 ms, first sound 100 ms`,
      'the endpoint is a rule (silence, and what was said), not work: what is waited for it is told apart. The model is asked before it has passed, when the words are final',
    ],
  }
}

const STAGES: [stage: keyof Waterfall, what: string][] = [
  ['wayIn', "ours: caller's last sound, at the recogniser"],
  ['final', 'recogniser: to the final, 300 ms of silence or 100 ms after we ask'],
  ['wait', 'rule: silence waited for, with the final there'],
  ['ask', 'ours: from the final (or the end of the turn) to the model'],
  ['firstToken', 'model: to its first token'],
  ['firstPiece', 'model: to text that can be spoken'],
  ['endpoint', 'rule: silence waited for, with the first piece there'],
  ['speak', 'ours: from that piece to the voice'],
  ['firstSound', 'voice: to its first sound'],
  ['wayOut', "ours: from that sound to the carrier's socket"],
  ['mark', "heard: to the carrier's first mark"],
  ['detected', '(beside it: to the silence that our detector hears)'],
  ['own', 'ours, together'],
  ['whole', "caller's last sound to the agent's first frame"],
]

const stageTable = (all: Waterfall[]): Table => ({
  title: `${all.length} turns, milliseconds`,
  head: ['stage', 'p50', 'p90', 'p99', 'max'],
  rows: STAGES.map(([stage, what]) => {
    const { p50, p90, p99, max } = summarise(all.map((waterfall) => waterfall[stage]))
    return [what, p50, p90, p99, max]
  }),
})
