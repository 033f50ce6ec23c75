import { Histogram, type HistogramCounts } from '../measure/histogram.ts'
import { FRAME_MS } from './twilio.ts'

/** A run of frames begins with what is sent ahead; from here on each frame has its moment. */
const AHEAD_FRAMES = 10
const RUN_FRAMES_MAX = 4_096

/** What is measured of the sound that comes, over all lines of a process. `take` begins anew. */
export class Findings {
  jitter = new Histogram()
  /** Frames of ours that came. */
  frames = 0
  underruns = 0
  /** Of each hole, milliseconds. */
  holes = new Histogram()

  take(): FindingsReport {
    const report = { jitter: this.jitter.counts(), holes: this.holes.counts(), frames: this.frames, underruns: this.underruns }
    Object.assign(this, { jitter: new Histogram(), holes: new Histogram(), frames: 0, underruns: 0 })
    return report
  }
}
export type FindingsReport = { jitter: HistogramCounts; holes: HistogramCounts; frames: number; underruns: number }

/**
 * The buffer of a carrier that plays what it has at once and has none put by: sound that comes later than the sound before it lasts is a
 * hole. Deviation is how much later than 20 ms after the frame before each frame of a run came, counted from the most punctual one.
 */
export class Listener {
  readonly #findings: Findings
  /** What has come will have been played by then. */
  endsMs = 0
  #inReply = false
  readonly #run = new Float64Array(RUN_FRAMES_MAX)
  #runFrames = 0

  constructor(findings: Findings) {
    this.#findings = findings
  }

  sound(atMs: number, lengthMs: number): void {
    this.#findings.frames += 1
    if (atMs > this.endsMs) {
      if (this.#inReply) this.#hole(atMs - this.endsMs)
      this.endsMs = atMs
    }
    this.#inReply = true
    this.endsMs += lengthMs
    if (this.#runFrames < RUN_FRAMES_MAX) this.#run[this.#runFrames] = atMs - this.#runFrames * FRAME_MS
    this.#runFrames += 1
  }

  /** All that waits is thrown away. */
  clear(atMs: number): void {
    this.#endRun()
    this.endsMs = Math.min(this.endsMs, atMs)
    this.#inReply = false
  }

  /** Nothing more of this utterance is expected: what comes next is a new one. */
  over(): void {
    this.#endRun()
    this.#inReply = false
  }

  /** Longer than a frame's rounding: it can be heard. */
  #hole(ms: number): void {
    if (ms < 1) return
    this.#findings.underruns += 1
    this.#findings.holes.add(ms)
  }

  #endRun(): void {
    const frames = Math.min(this.#runFrames, RUN_FRAMES_MAX)
    this.#runFrames = 0
    let punctual = Infinity
    for (let frame = AHEAD_FRAMES; frame < frames; frame++) punctual = Math.min(punctual, this.#run[frame]!)
    for (let frame = AHEAD_FRAMES; frame < frames; frame++) this.#findings.jitter.add(this.#run[frame]! - punctual)
  }
}
