import { OnnxThread } from '../../onnx/thread.ts'
import { BatchMemory, type Rate, type SileroJobs } from './shape.ts'
import type { SileroStream } from './stream.ts'

export type JudgeOptions = {
  /** The module of the thread. */
  entry: URL
  model: string
  /** Rows of one run at most. */
  rows: number
  onJudged: () => void
  /** It judges no more until it was opened again. `streams`: whose windows were with it. */
  onDown: (judge: Judge, streams: readonly SileroStream[], reason: unknown) => void
}

/** One thread with a model, and the memory that it shares with us. It judges one batch at a time. */
export class Judge {
  readonly #options: JudgeOptions
  readonly #thread: OnnxThread<SileroJobs>
  #memory: BatchMemory
  #streams: SileroStream[] = []
  #state: 'down' | 'idle' | 'busy' = 'down'
  /** For how many looks of the watch it has been at the same batch. */
  #looks = 0

  constructor(options: JudgeOptions) {
    this.#options = options
    this.#memory = new BatchMemory(options.rows)
    this.#thread = new OnnxThread({ entry: options.entry, name: 'silero', onEnd: () => this.#down(null) })
  }

  get state(): 'down' | 'idle' | 'busy' {
    return this.#state
  }

  /** Starts the thread with memory of its own: one that was given up may still write into the old. Rejects with a SpeechError. */
  async open(): Promise<void> {
    this.#memory = new BatchMemory(this.#options.rows)
    await this.#thread.ask('open', { model: this.#options.model, memory: this.#memory.buffer, capacity: this.#options.rows })
    this.#state = 'idle'
  }

  /** Streams of one rate, each with a window; only of an idle judge. */
  judge(rateHz: Rate, streams: SileroStream[]): void {
    this.#streams = streams
    this.#state = 'busy'
    this.#looks = 0
    const rows = streams.length
    for (let row = 0; row < rows; row++) streams[row]!.pack(this.#memory, row, rows)
    this.#thread.ask('judge', { rateHz, rows }).then(() => this.#judged(), (error: unknown) => this.#down(error))
  }

  /** Regular looks: a thread that is at one batch for `max` of them hangs. Counted, not timed: our own standstill is no fault of it. */
  look(max: number): void {
    if (this.#state !== 'busy') return
    this.#looks += 1
    if (this.#looks > max) this.#down(new Error('The thread hangs'))
  }

  /** Ends the thread as a crash would. */
  kill(): Promise<void> {
    return this.#thread.end()
  }

  close(): Promise<void> {
    this.#state = 'down'
    return this.#thread.close()
  }

  #judged(): void {
    if (this.#state !== 'busy') return
    const streams = this.#take()
    for (let row = 0; row < streams.length; row++) streams[row]!.unpack(this.#memory, row, streams.length)
    // Not before all rows were read: who is told something may bring the next window, which would be written over them.
    if (this.#state === 'busy') this.#state = 'idle'
    this.#options.onJudged()
  }

  #down(reason: unknown): void {
    if (this.#state === 'down') return
    this.#state = 'down'
    void this.#thread.end()
    this.#options.onDown(this, this.#take(), reason)
  }

  #take(): SileroStream[] {
    const streams = this.#streams
    this.#streams = []
    return streams
  }
}
