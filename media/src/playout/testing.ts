import { FRAME_MS } from '../frame.ts'
import type { Pcm } from '../frame.ts'
import type { MonotonicClock } from './monotonic.ts'

/** Time that a test owns. `pass` moves it and runs what falls due, in order; `stall` moves it while nothing can run. */
export class ManualClock implements MonotonicClock {
  #nowMs = 1_000
  #timers: { dueMs: number; fn: () => void }[] = []

  nowMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), fn }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  get waiting(): number {
    return this.#timers.length
  }

  pass(ms: number): void {
    const endMs = this.#nowMs + ms
    for (let timer = this.#takeDue(endMs); timer; timer = this.#takeDue(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs)
      timer.fn()
    }
    this.#nowMs = endMs
  }

  stall(ms: number): void {
    this.#nowMs += ms
  }

  #takeDue(endMs: number): { dueMs: number; fn: () => void } | undefined {
    const timer = this.#timers.filter(({ dueMs }) => dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0]
    this.#timers = this.#timers.filter((other) => other !== timer)
    return timer
  }
}

export type CarrierFaults = {
  /** One-way times, milliseconds, taken in turn. To the carrier they keep order (TCP); back they may overtake each other. */
  thereMs: readonly number[]
  backMs: readonly number[]
  /** Every n-th mark is lost on its way back; 0: none. */
  loseMarkEvery: number
}

type Buffered = { kind: 'frame'; pcm: Pcm; playedMs: number } | { kind: 'mark'; name: string }

const TICK_MS = 1

/**
 * A carrier that buffers: plays what it got in real time, sends a mark back when it has played up to it, and on `clear` drops
 * its buffer and sends all waiting marks back (as Twilio and Telnyx do). Each millisecond tells the first sample that it plays.
 */
export class ModelCarrier {
  readonly #clock: ManualClock
  readonly #faults: CarrierFaults
  readonly #onMark: (name: string) => void
  readonly #onPlayed: (sample: number) => void
  #buffer: Buffered[] = []
  #arrivedMs = 0
  #sentCount = 0
  #markCount = 0

  constructor(clock: ManualClock, faults: CarrierFaults, onMark: (name: string) => void, onPlayed: (sample: number) => void) {
    this.#clock = clock
    this.#faults = faults
    this.#onMark = onMark
    this.#onPlayed = onPlayed
    this.#tick()
  }

  frame(pcm: Pcm): void {
    const copy = pcm.slice()
    this.#arrive(() => this.#buffer.push({ kind: 'frame', pcm: copy, playedMs: 0 }))
  }

  mark(name: string): void {
    this.#arrive(() => {
      this.#buffer.push({ kind: 'mark', name })
      this.#returnMarks()
    })
  }

  clear(): void {
    this.#arrive(() => {
      this.#buffer = this.#buffer.filter(({ kind }) => kind === 'mark')
      this.#returnMarks()
    })
  }

  #arrive(fn: () => void): void {
    const delayMs = this.#faults.thereMs[this.#sentCount++ % this.#faults.thereMs.length]!
    this.#arrivedMs = Math.max(this.#arrivedMs, this.#clock.nowMs() + delayMs)
    this.#clock.after(this.#arrivedMs - this.#clock.nowMs(), fn)
  }

  #tick(): void {
    const head = this.#buffer[0]
    if (head?.kind === 'frame') {
      this.#onPlayed(head.pcm[(head.pcm.length / FRAME_MS) * head.playedMs]!)
      head.playedMs += TICK_MS
      if (head.playedMs >= FRAME_MS) this.#buffer.shift()
    }
    this.#returnMarks()
    this.#clock.after(TICK_MS, () => this.#tick())
  }

  #returnMarks(): void {
    for (let head = this.#buffer[0]; head?.kind === 'mark'; head = this.#buffer[0]) {
      this.#buffer.shift()
      this.#sendBack(head.name)
    }
  }

  #sendBack(name: string): void {
    const { loseMarkEvery, backMs } = this.#faults
    const count = this.#markCount++
    if (loseMarkEvery > 0 && count % loseMarkEvery === loseMarkEvery - 1) return
    this.#clock.after(backMs[count % backMs.length]!, () => this.#onMark(name))
  }
}
