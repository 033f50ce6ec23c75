import { performance } from 'node:perf_hooks'
import { createEnergyVad, createSileroVad, FRAME_MS, type Pcm, type Vad } from '@trunkline/media'
import { summarise, type Latencies } from '../measure/statistics.ts'
import { serveJobs } from '../stage/actor.ts'

// One process as the voice app is one: calls that are not in step with each other, their detector, its threads.

/** `alone`: Silero with one window in each run of the model. `none`: nobody listens, only the frames come. */
export type Detector = 'none' | 'energy' | 'alone' | 'batched'
export type RoomJob = { detector: Detector; calls: number; durationMs: number }
/** CPU of the whole process, its threads included. `lag`: from the frame that made a window full to its probability. */
export type RoomResult = { cpuMs: number; frames: number; windows: number; batches: number; dropped: number; lag: Latencies }

const RATE_HZ = 8_000
const WINDOW = 256
const SAMPLES = (RATE_HZ * FRAME_MS) / 1_000
const WARM_MS = 300
/** Calls come in as many groups, spread over a frame. */
const GROUPS = 10
const silent: Vad = { open: () => ({ push: () => {}, close: () => {} }), close: async () => {} }

serveJobs<RoomJob>(async ({ detector, calls, durationMs }): Promise<RoomResult> => {
  const silero = detector === 'batched' ? await createSileroVad() : detector === 'alone' ? await createSileroVad({ rows: 1, collectMs: 0 }) : null
  const vad = silero ?? (detector === 'energy' ? createEnergyVad() : silent)
  try {
    const line = Array.from({ length: calls }, (_, index) => new Call(vad, index))
    await play(line, WARM_MS)
    for (const call of line) call.lagsMs.length = 0
    const before = { cpu: process.cpuUsage(), stats: silero?.stats }
    const frames = await play(line, durationMs)
    const used = process.cpuUsage(before.cpu)
    const since = (name: 'windows' | 'batches' | 'dropped') => (silero && before.stats ? silero.stats[name] - before.stats[name] : 0)
    return { cpuMs: (used.user + used.system) / 1_000, frames, windows: since('windows'), batches: since('batches'), dropped: since('dropped'), lag: summarise(line.flatMap(({ lagsMs }) => lagsMs)) }
  } finally {
    await vad.close()
  }
})

/** Frames in real time: every 2 ms those of one group. Answers how many there were. */
async function play(line: readonly Call[], durationMs: number): Promise<number> {
  const startMs = performance.now()
  const slotMs = FRAME_MS / GROUPS
  let frames = 0
  for (let slot = 0; slot * slotMs < durationMs; ) {
    await new Promise((resolve) => setTimeout(resolve, slotMs))
    for (const nowMs = performance.now() - startMs; slot * slotMs <= nowMs; slot++) {
      for (let index = slot % GROUPS; index < line.length; index += GROUPS) {
        line[index]!.frame()
        frames += 1
      }
    }
  }
  return frames
}

/** Sound and pauses in turn; the model computes the same for either. */
class Call {
  readonly lagsMs: number[] = []
  readonly #push: (pcm: Pcm) => void
  readonly #frames: Pcm[]
  /** When window n was full. */
  readonly #fullMs = new Float64Array(64)
  #count = 0

  constructor(vad: Vad, index: number) {
    this.#frames = Array.from({ length: 50 }, (_, frame) => Int16Array.from({ length: SAMPLES }, (_sample, at) => (frame < 30 ? 6_000 : 20) * Math.sin((frame * SAMPLES + at) * (0.05 + index / 1_000))))
    const stream = vad.open({ sampleRateHz: RATE_HZ, onProbability: (_probability, endMs) => this.#judged(endMs) })
    this.#push = (pcm) => stream.push(pcm)
  }

  frame(): void {
    const pcm = this.#frames[this.#count % this.#frames.length]!
    this.#count += 1
    this.#fullMs[Math.floor((this.#count * SAMPLES) / WINDOW) % 64] = performance.now()
    this.#push(pcm)
  }

  #judged(endMs: number): void {
    this.lagsMs.push(performance.now() - this.#fullMs[Math.floor((endMs * RATE_HZ) / 1_000 / WINDOW) % 64]!)
  }
}
