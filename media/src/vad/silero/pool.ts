import type { Logger } from '@trunkline/core'
import type { Vad, VadOptions, VadStream } from '../contract.ts'
import { Judge } from './judge.ts'
import type { Rate } from './shape.ts'
import { type Judges, SileroStream } from './stream.ts'

export type SileroStats = {
  /** False: no thread judges at present, the fallback speaks. */
  listening: boolean
  streams: number
  /** Windows judged, and in how many runs of the model. */
  windows: number
  batches: number
  /** Windows that nobody judged in time. */
  dropped: number
  /** Threads that died or hung. */
  deaths: number
}

export type PoolSettings = {
  entry: URL
  model: string
  threads: number
  rows: number
  collectMs: number
  /** How often is looked for a thread that hangs. */
  watchMs: number
  fallback: Vad
  log: Logger
}

/** Looks of the watch after which a thread hangs. */
const LOOKS_MAX = 4
const [RETRY_FIRST_MS, RETRY_LONGEST_MS] = [250, 30_000]

/** The threads for all calls, and who of the calls has a window for them. */
export class SileroPool implements Judges {
  readonly #settings: PoolSettings
  readonly #judges: Judge[]
  readonly #streams = new Set<SileroStream>()
  /** Streams with a window, by rate, longest waiting first. */
  readonly #ready: Record<Rate, SileroStream[]> = { 8_000: [], 16_000: [] }
  readonly #retries = new Set<NodeJS.Timeout>()
  readonly #stats = { windows: 0, batches: 0, dropped: 0, deaths: 0 }
  readonly #watch: NodeJS.Timeout
  #collecting: NodeJS.Timeout | null = null
  /** Time for a batch came, and all threads were busy. */
  #owed = false
  #listening = false
  #closed = false

  constructor(settings: PoolSettings) {
    this.#settings = settings
    const options = { entry: settings.entry, model: settings.model, rows: settings.rows, onJudged: () => this.#judged(), onDown: (judge: Judge, streams: readonly SileroStream[], reason: unknown) => this.#down(judge, streams, reason) }
    this.#judges = Array.from({ length: settings.threads }, () => new Judge(options))
    this.#watch = setInterval(() => this.#judges.forEach((judge) => judge.look(LOOKS_MAX)), settings.watchMs).unref()
  }

  get listening(): boolean {
    return this.#listening
  }

  get stats(): SileroStats {
    return { listening: this.#listening, streams: this.#streams.size, ...this.#stats }
  }

  /** Rejects with a SpeechError when a model cannot be opened; the pool is closed then. */
  async start(): Promise<void> {
    try {
      await Promise.all(this.#judges.map((judge) => judge.open()))
      this.#listening = true
    } catch (error) {
      await this.close()
      throw error
    }
  }

  open(options: VadOptions): VadStream {
    const stream = new SileroStream(options, this, this.#settings.fallback, this.#settings.log)
    if (this.#closed) stream.close()
    else this.#streams.add(stream)
    return stream
  }

  async kill(): Promise<void> {
    await this.#judges.find(({ state }) => state !== 'down')?.kill()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#listening = false
    clearInterval(this.#watch)
    if (this.#collecting) clearTimeout(this.#collecting)
    for (const retry of this.#retries) clearTimeout(retry)
    for (const stream of this.#streams) stream.close()
    await Promise.all(this.#judges.map((judge) => judge.close()))
  }

  // ── Of the streams ──────────────────────────────────────────────────────────────────────────────────────────────────
  ready(stream: SileroStream, isLate: boolean): void {
    const ready = this.#ready[stream.rateHz]
    ready.push(stream)
    // Late ones come while a batch is taken back: they all go with the next one, right behind it.
    if (isLate) this.#owed = true
    else if (ready.length >= this.#settings.rows) this.#send()
    else this.#collect()
  }

  dropped(): void {
    this.#stats.dropped += 1
  }

  closed(stream: SileroStream): void {
    this.#streams.delete(stream)
    const at = this.#ready[stream.rateHz].indexOf(stream)
    if (at >= 0) this.#ready[stream.rateHz].splice(at, 1)
  }

  // ── Batches ─────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** Calls are not in step: a short wait lets windows of many come together. */
  #collect(): void {
    this.#collecting ??= setTimeout(() => {
      this.#collecting = null
      this.#send()
    }, this.#settings.collectMs)
  }

  /** All that waits to all that are idle; the rate that has more first. */
  #send(): void {
    const [eight, sixteen] = [this.#ready[8_000], this.#ready[16_000]]
    for (const judge of this.#judges) {
      if (judge.state !== 'idle') continue
      const rateHz = sixteen.length > eight.length ? 16_000 : 8_000
      const ready = this.#ready[rateHz]
      if (ready.length === 0) break
      const streams = ready.splice(0, this.#settings.rows)
      this.#stats.windows += streams.length
      this.#stats.batches += 1
      judge.judge(rateHz, streams)
    }
    this.#owed = eight.length + sixteen.length > 0
  }

  #judged(): void {
    if (this.#owed) this.#send()
  }

  // ── Deaths ──────────────────────────────────────────────────────────────────────────────────────────────────────────
  #down(judge: Judge, streams: readonly SileroStream[], reason: unknown): void {
    if (this.#closed) return
    this.#stats.deaths += 1
    this.#listening = this.#judges.some(({ state }) => state !== 'down')
    this.#settings.log.warn({ reason: wordsOf(reason), listening: this.#listening }, 'A thread of the speech detector ended; while none runs, calls are judged by loudness')
    for (const stream of streams) stream.lost()
    if (this.#listening) this.#send()
    else this.#forgetAll()
    this.#retry(judge, RETRY_FIRST_MS)
  }

  #forgetAll(): void {
    this.#ready[8_000].length = 0
    this.#ready[16_000].length = 0
    for (const stream of this.#streams) stream.forget()
  }

  #retry(judge: Judge, afterMs: number): void {
    const timer = setTimeout(() => {
      this.#retries.delete(timer)
      judge.open().then(() => this.#back(judge), (error: unknown) => this.#notBack(judge, afterMs, error))
    }, afterMs).unref()
    this.#retries.add(timer)
  }

  #back(judge: Judge): void {
    if (this.#closed) return void judge.close()
    this.#listening = true
    this.#settings.log.info({}, 'The thread of the speech detector is back')
  }

  #notBack(judge: Judge, waitedMs: number, error: unknown): void {
    if (this.#closed) return
    this.#settings.log.warn({ reason: wordsOf(error) }, 'The thread of the speech detector does not start')
    this.#retry(judge, Math.min(RETRY_LONGEST_MS, waitedMs * 2))
  }
}

/** Messages of the runtime and of threads: they name files and operators, nothing that was said. */
const wordsOf = (reason: unknown): string => (reason instanceof Error ? reason.message : 'ended')
