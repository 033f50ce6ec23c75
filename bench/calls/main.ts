import { Histogram, type HistogramCounts } from '../measure/histogram.ts'
import { serveJobs } from '../stage/actor.ts'
import { sharedMs } from './clock.ts'
import { Line, type Question, type Sighting } from './line.ts'
import { Findings, type FindingsReport } from './listener.ts'
import { FRAME_BYTES, FRAME_MS } from './twilio.ts'

/** The carrier's end of many calls in one process. */
export type LinesJob =
  /** `question`: mu-law, and where in it the last loud frame is. */
  | { do: 'begin'; question: { sound: Uint8Array; lastLoud: number }; interruptEvery: number }
  /** One more caller. */
  | { do: 'dial'; index: number; url: string; signature: string }
  /** What was found since the last time. */
  | { do: 'find' }
  | { do: 'hang_up' }

export type Found = FindingsReport & {
  sightings: Map<string, Sighting>
  live: number
  /** Why lines ended that nobody hung up. */
  broken: string[]
  answered: number
  unanswered: number
  /** How late this process was itself with its frames. */
  own: HistogramCounts
}

const STEP_MS = 2
const findings = new Findings()
const lines: Line[] = []
let sightings = new Map<string, Sighting>()
let question: Question = { payloads: [], lastLoud: 0 }
let interruptEvery = 0
let own = new Histogram()

/** One timer; a line's frames are 20 ms apart, and lines are spread over the time between. */
function startWheel(): void {
  const originMs = sharedMs()
  let step = 0
  setInterval(() => {
    for (let nowMs = sharedMs(); originMs + step * STEP_MS <= nowMs; step++) {
      const bucket = step % (FRAME_MS / STEP_MS)
      own.add(nowMs - originMs - step * STEP_MS)
      for (let at = bucket; at < lines.length; at += FRAME_MS / STEP_MS) lines[at]!.tick(nowMs)
    }
  }, STEP_MS)
}

function see(key: string, what: keyof Sighting, atMs: number): void {
  const sighting = sightings.get(key) ?? {}
  // The first of what begins, the last of what ends.
  if (what === 'clearMs' || what === 'soundMs') sighting[what] = atMs
  else sighting[what] ??= atMs
  sightings.set(key, sighting)
}

function find(): Found {
  const counted = lines.reduce((sum, line) => ({ answered: sum.answered + line.answered, unanswered: sum.unanswered + line.unanswered }), { answered: 0, unanswered: 0 })
  for (const line of lines) line.answered = line.unanswered = 0
  const found: Found = {
    ...findings.take(), ...counted, sightings, own: own.counts(),
    live: lines.filter((line) => line.isOpen && line.end === null).length,
    broken: lines.flatMap(({ end }) => (end === null || end === 'hung up' ? [] : [end])),
  }
  sightings = new Map()
  own = new Histogram()
  return found
}

serveJobs<LinesJob>(async (job): Promise<Found | null> => {
  switch (job.do) {
    case 'begin': {
      const sound = Buffer.from(job.question.sound)
      const payloads = Array.from({ length: Math.floor(sound.length / FRAME_BYTES) }, (_, at) => sound.subarray(at * FRAME_BYTES, (at + 1) * FRAME_BYTES).toString('base64'))
      question = { payloads, lastLoud: job.question.lastLoud }
      interruptEvery = job.interruptEvery
      startWheel()
      return null
    }
    case 'dial':
      lines.push(new Line({ index: job.index, url: job.url, signature: job.signature, question, interruptEvery, findings, see }))
      return null
    case 'find': return find()
    case 'hang_up': {
      for (const line of lines) line.hangUp()
      return find()
    }
  }
})
