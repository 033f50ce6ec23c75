import type { Logger } from '@trunkline/core'
import type { Pcm } from '../../frame.ts'
import type { Vad, VadOptions, VadStream } from '../contract.ts'
import { type BatchMemory, CELLS, CONTEXT, type Rate, WINDOW, WINDOW_MS } from './shape.ts'

/** Windows of a stream that are kept: about a second. One is being written, one before the oldest is its context. */
const KEPT = 32
const QUEUED_MAX = KEPT - 2

/** What a stream needs of the pool. */
export type Judges = {
  /** False: no thread can judge at present; the fallback speaks. */
  readonly listening: boolean
  /** It has a window to be judged, and none with a thread. `isLate`: it had to wait for an earlier one, and is not to wait for other calls, too. */
  ready(stream: SileroStream, isLate: boolean): void
  dropped(): void
  closed(stream: SileroStream): void
}

/** One call's sound: windows that wait to be judged, and what the model remembers of it. Its state travels with each window: any thread will do. */
export class SileroStream implements VadStream {
  readonly rateHz: Rate
  readonly #options: VadOptions
  readonly #judges: Judges
  readonly #log: Logger
  readonly #fallback: VadStream
  readonly #ring: Int16Array
  readonly #window: number
  readonly #state = new Float32Array(2 * CELLS)
  /** Samples that were pushed. */
  #written = 0
  /** The window that is judged next. */
  #next = 0
  #withThread = false
  /** Of the window that is with a thread. */
  #endMs = 0
  #toldMs = 0
  #closed = false

  constructor(options: VadOptions, judges: Judges, fallback: Vad, log: Logger) {
    this.#options = options
    this.#judges = judges
    this.#log = log
    this.rateHz = options.sampleRateHz
    this.#window = WINDOW[this.rateHz]
    this.#ring = new Int16Array(KEPT * this.#window)
    this.#fallback = fallback.open({ sampleRateHz: this.rateHz, onProbability: (probability, endMs) => !judges.listening && this.#tell(probability, endMs) })
  }

  push(pcm: Pcm): void {
    if (this.#closed) return
    // It hears everything, so that it knows the line when it is needed.
    this.#fallback.push(pcm)
    for (let at = 0; at < pcm.length; ) at += this.#write(pcm, at)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#fallback.close()
    this.#judges.closed(this)
  }

  /** Writes its next window into row `row` of `rows`. It is with a thread from now on. */
  pack(memory: BatchMemory, row: number, rows: number): void {
    const context = CONTEXT[this.rateHz]
    const { length } = this.#ring
    const from = this.#next * this.#window - context
    const to = row * (context + this.#window)
    for (let index = 0; index < context + this.#window; index++) memory.samples[to + index] = this.#ring[(from + index + length) % length]!
    for (let cell = 0; cell < CELLS; cell++) {
      memory.state[row * CELLS + cell] = this.#state[cell]!
      memory.state[(rows + row) * CELLS + cell] = this.#state[CELLS + cell]!
    }
    this.#next += 1
    this.#endMs = this.#next * WINDOW_MS
    this.#withThread = true
  }

  /** Takes back what the thread made of row `row`. */
  unpack(memory: BatchMemory, row: number, rows: number): void {
    if (this.#closed) return
    for (let cell = 0; cell < CELLS; cell++) {
      this.#state[cell] = memory.state[row * CELLS + cell]!
      this.#state[CELLS + cell] = memory.state[(rows + row) * CELLS + cell]!
    }
    this.#tell(memory.probabilities[row]!, this.#endMs)
    this.#withThread = false
    this.#goOn()
  }

  /** The thread that had its window is gone: on with the next one. */
  lost(): void {
    this.#withThread = false
    this.#judges.dropped()
    this.#goOn()
  }

  /** Nobody judges any more. What is remembered would be old when somebody does. */
  forget(): void {
    this.#next = Math.floor(this.#written / this.#window)
    this.#withThread = false
    this.#state.fill(0)
  }

  /** As much as belongs to the window that is being written. */
  #write(pcm: Pcm, from: number): number {
    const ring = this.#ring
    const to = this.#written % ring.length
    const count = Math.min(pcm.length - from, this.#window - (to % this.#window))
    for (let index = 0; index < count; index++) ring[to + index] = pcm[from + index]!
    this.#written += count
    if (this.#written % this.#window === 0) this.#windowDone()
    return count
  }

  get #queued(): number {
    return Math.floor(this.#written / this.#window) - this.#next
  }

  #goOn(): void {
    if (!this.#closed && this.#judges.listening && this.#queued > 0) this.#judges.ready(this, true)
  }

  #windowDone(): void {
    if (!this.#judges.listening) {
      this.#next = this.#written / this.#window
      return
    }
    if (this.#queued > QUEUED_MAX) {
      // The oldest: its time is over, the newest is what matters.
      this.#next += 1
      this.#judges.dropped()
    }
    if (this.#queued === 1 && !this.#withThread) this.#judges.ready(this, false)
  }

  /** Both detectors speak of the same time: what one has told the other does not tell again. */
  #tell(probability: number, endMs: number): void {
    if (endMs <= this.#toldMs) return
    this.#toldMs = endMs
    try {
      this.#options.onProbability(probability, endMs)
    } catch (error) {
      // One call's fault must not take the batch of all others with it.
      this.#log.error({ error }, 'What a call does with its speech probability failed')
    }
  }
}
