import { FRAME_MS } from '../frame.ts'
import { SequenceUnwrapper } from './sequence.ts'
import { AdaptiveDelay } from './target.ts'

export type JitterOptions = {
  /** Where sequence numbers begin again: 65,536 for RTP, Infinity (default) for chunk numbers. */
  modulo?: number
  /** The number of the first frame, where the protocol says it (Twilio and Telnyx chunks: 1). Else the first that comes. */
  firstSequence?: number
  /** How long a missing frame is waited for. Default 0 to 120, beginning with 40. */
  minDelayMs?: number
  maxDelayMs?: number
  initialDelayMs?: number
  /** Frames that wait at most. Default 64. A number further ahead than this is a new beginning, not a gap. */
  capacity?: number
}

/**
 * `frame`: the next one. `gap`: one that is lost, `durationMs` long, to be filled with silence or by the decoder; when it is the
 * last one missing, `following` is the frame after it (for a spare copy inside it). `restart`: the sender's numbers began anew.
 */
export type Released<T> =
  | { kind: 'frame'; payload: T; timestampMs: number }
  | { kind: 'gap'; durationMs: number; timestampMs: number; following: T | null }
  | { kind: 'restart' }

export type JitterStats = {
  received: number
  /** Came when they had been given up. */
  late: number
  duplicate: number
  /** Given up; some of them may have come late. */
  lost: number
  reordered: number
  /** Numbers from nowhere, not believed. */
  stray: number
  restarts: number
  waiting: number
  targetMs: number
}

/** What `push` did with a frame. */
export type Verdict = 'kept' | 'late' | 'duplicate' | 'stray' | 'restarted'

type Slot<T> = { sequence: number; timestampMs: number; arrivedMs: number; payload: T }

const CAPACITY = 64
/** So many frames in a row that continue each other, far from where we are: the sender began anew (after RFC 3550 appendix A.1). */
const RESTART_RUN = 3

/**
 * Puts frames of one direction back into order. A frame in its place is released at once, so order costs nothing while it is
 * kept; only behind a hole the others wait, as long as holes have lately needed. What is released counts on without a hole;
 * where a sender pauses without using up numbers (RTP with silence suppression), its timestamps jump.
 */
export class JitterBuffer<T> {
  readonly #capacity: number
  readonly #delay: AdaptiveDelay
  readonly #sequence: SequenceUnwrapper
  readonly #slots: (Slot<T> | null)[]
  readonly #stats = { received: 0, late: 0, duplicate: 0, lost: 0, reordered: 0, stray: 0, restarts: 0 }
  /** Numbers of frames that were released, to tell a repeated one from a late one. */
  readonly #released: Float64Array
  /** The next to be released; null before the first frame. */
  #next: number | null
  #highest = -Infinity
  #waiting = 0
  #nextTimestampMs: number | null = null
  #announceRestart = false
  /** A frame from elsewhere, and how many have continued it. */
  #stray: { sequence: number; run: number } = { sequence: -1, run: 0 }

  constructor({ modulo = Infinity, firstSequence, minDelayMs = 0, maxDelayMs = 120, initialDelayMs = 40, capacity = CAPACITY }: JitterOptions = {}) {
    if (!Number.isInteger(capacity) || capacity < 2 || capacity > modulo / 2) throw new RangeError(`A capacity of ${capacity} frames does not fit numbers that begin again at ${modulo}.`)
    this.#capacity = capacity
    this.#delay = new AdaptiveDelay(minDelayMs, maxDelayMs, initialDelayMs)
    this.#sequence = new SequenceUnwrapper(modulo)
    this.#slots = Array.from({ length: capacity }, () => null)
    this.#released = new Float64Array(capacity).fill(-1)
    this.#next = firstSequence ?? null
    if (firstSequence !== undefined) this.#sequence.restart(firstSequence)
  }

  /** `timestampMs`: the sender's, of the frame's first sample. `nowMs`: monotonic. Release with `pull` afterwards. */
  push(sequence: number, timestampMs: number, payload: T, nowMs: number): Verdict {
    this.#stats.received++
    const number = this.#sequence.unwrap(sequence)
    this.#next ??= number
    const frame = { sequence: number, timestampMs, arrivedMs: nowMs, payload }
    if (Math.abs(number - this.#next) >= this.#capacity) return this.#far(frame, sequence)
    return number < this.#next ? this.#old(number) : this.#keep(frame)
  }

  /** The next thing, or null: nothing is due yet. Call until null, after each `push` and with each tick of 20 ms. */
  pull(nowMs: number): Released<T> | null {
    if (this.#announceRestart) {
      this.#announceRestart = false
      return { kind: 'restart' }
    }
    if (this.#waiting === 0 || this.#next === null) return null
    const slot = this.#slots[this.#next % this.#capacity]
    return slot ? this.#release(slot) : this.#giveUp(nowMs)
  }

  stats(): JitterStats {
    return { ...this.#stats, waiting: this.#waiting, targetMs: this.#delay.targetMs }
  }

  #keep(slot: Slot<T>): Verdict {
    const at = slot.sequence % this.#capacity
    if (this.#slots[at]) {
      this.#stats.duplicate++
      return 'duplicate'
    }
    if (slot.sequence < this.#highest) this.#noteOvertaken(slot)
    else this.#delay.inOrder()
    this.#slots[at] = slot
    this.#waiting++
    this.#highest = Math.max(this.#highest, slot.sequence)
    this.#sequence.accept(slot.sequence)
    this.#stray.run = 0
    return 'kept'
  }

  /** It has been waited for since the first frame behind it came. */
  #noteOvertaken(slot: Slot<T>): void {
    this.#stats.reordered++
    const behind = this.#firstWaiting(slot.sequence)
    if (behind) this.#delay.overtaken(slot.arrivedMs - behind.arrivedMs)
  }

  #old(number: number): Verdict {
    if (this.#released[number % this.#capacity] === number) {
      this.#stats.duplicate++
      return 'duplicate'
    }
    this.#stats.late++
    this.#delay.overtaken(this.#delay.targetMs + FRAME_MS)
    return 'late'
  }

  #far(frame: Slot<T>, sequence: number): Verdict {
    if (this.#isNewBeginning(sequence)) return this.#restart(frame, sequence)
    this.#stats.stray++
    return 'stray'
  }

  #isNewBeginning(sequence: number): boolean {
    this.#stray = { sequence, run: sequence === this.#stray.sequence + 1 ? this.#stray.run + 1 : 1 }
    return this.#stray.run >= RESTART_RUN
  }

  #restart(frame: Slot<T>, sequence: number): Verdict {
    this.#slots.fill(null)
    this.#released.fill(-1)
    this.#waiting = 0
    this.#next = sequence
    this.#highest = -Infinity
    this.#nextTimestampMs = null
    this.#sequence.restart(sequence)
    this.#stats.restarts++
    this.#announceRestart = true
    this.#keep({ ...frame, sequence })
    return 'restarted'
  }

  #release(slot: Slot<T>): Released<T> {
    const at = slot.sequence % this.#capacity
    this.#slots[at] = null
    this.#released[at] = slot.sequence
    this.#waiting--
    this.#next = slot.sequence + 1
    this.#nextTimestampMs = slot.timestampMs + FRAME_MS
    return { kind: 'frame', payload: slot.payload, timestampMs: slot.timestampMs }
  }

  #giveUp(nowMs: number): Released<T> | null {
    const behind = this.#firstWaiting(this.#next!)
    if (!behind || nowMs - behind.arrivedMs < this.#delay.targetMs) return null
    this.#stats.lost++
    const timestampMs = this.#nextTimestampMs ?? behind.timestampMs - (behind.sequence - this.#next!) * FRAME_MS
    this.#next = this.#next! + 1
    this.#nextTimestampMs = timestampMs + FRAME_MS
    return { kind: 'gap', durationMs: FRAME_MS, timestampMs, following: behind.sequence === this.#next ? behind.payload : null }
  }

  #firstWaiting(after: number): Slot<T> | null {
    for (let number = after + 1; number <= this.#highest; number++) {
      const slot = this.#slots[number % this.#capacity]
      if (slot?.sequence === number) return slot
    }
    return null
  }
}
