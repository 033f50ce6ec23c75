import type { SpeechError } from '../../stt/contract.ts'
import { EspeakProcess, type Listener } from './process.ts'
import { KIND, type EspeakVoice, type Frame, type SayRequest, type SpeechMark, pcmOf } from './protocol.ts'
import type { Pcm } from '../../frame.ts'
import { EventQueue } from '../queue.ts'

export type EspeakSound = { pcm: Pcm } | { marks: SpeechMark[] }

export type PoolOptions = {
  /** Processes at most; each takes about 140 MB and speaks some 60 times faster than real time. They are started when needed. */
  size: number
  /** Longest silence of a process that has work. */
  deadlineMs: number
}

const DEFAULTS: PoolOptions = { size: 1, deadlineMs: 10_000 }

/** Espeak processes, shared by all voices of this process of ours. One that dies is replaced at the next request. */
export class EspeakPool {
  readonly #options: PoolOptions
  readonly #processes: EspeakProcess[] = []
  #closed = false
  #voices: Promise<EspeakVoice[]> | null = null

  constructor(options: Partial<PoolOptions> = {}) {
    this.#options = { ...DEFAULTS, ...options }
  }

  /** Process ids, for operators and tests. */
  get pids(): number[] {
    return this.#processes.flatMap(({ pid }) => pid ?? [])
  }

  /** Starts a process now, so that the first caller does not wait for it. Rejects with a SpeechError (`model_missing`: the package is not installed). */
  async warm(): Promise<void> {
    await this.#process().ready
  }

  /** Sound and marks of a text, as they are made. Throws SpeechError. Nothing more comes after the signal. */
  async *say(request: SayRequest, signal: AbortSignal): AsyncGenerator<EspeakSound> {
    let heard = false
    for (let attempt = 1; ; attempt++) {
      try {
        for await (const sound of this.#attempt(request, signal)) {
          heard = true
          yield sound
        }
        return
      } catch (error) {
        // The process died under a neighbour's work, or before it began ours: nothing was heard, so nobody hears it twice.
        if (heard || attempt > 1 || this.#closed || signal.aborted || !isDeath(error)) throw error
      }
    }
  }

  async voices(): Promise<EspeakVoice[]> {
    this.#voices ??= this.#listVoices()
    this.#voices.catch(() => (this.#voices = null))
    return this.#voices
  }

  /** Idempotent. Ends all processes; what they were saying fails. */
  close(): void {
    this.#closed = true
    for (const process of this.#processes.slice()) process.kill()
  }

  async *#attempt(request: SayRequest, signal: AbortSignal): AsyncGenerator<EspeakSound> {
    if (signal.aborted) return
    const queue = new EventQueue<EspeakSound>()
    let failure: SpeechError | null = null
    const listener: Listener = {
      frame: (frame) => queue.push(soundOf(frame)),
      done: () => queue.end(),
      failed: (error) => ((failure = error), queue.end()),
    }
    const process = this.#process()
    const job = process.ask(KIND.say, JSON.stringify(request), listener)
    const stop = () => (process.cancel(job), queue.drop())
    signal.addEventListener('abort', stop, { once: true })
    try {
      yield* queue
    } finally {
      signal.removeEventListener('abort', stop)
      process.cancel(job)
    }
    if (failure && !signal.aborted) throw failure
  }

  #listVoices(): Promise<EspeakVoice[]> {
    return new Promise((resolve, reject) => {
      this.#process().ask(KIND.voices, '', { frame: () => undefined, done: (payload) => resolve(JSON.parse(payload.toString('utf8')) as EspeakVoice[]), failed: reject })
    })
  }

  /** The one with the least to do; a new one while all are busy and there is room. */
  #process(): EspeakProcess {
    const idlest = this.#processes.toSorted((a, b) => a.load - b.load)[0]
    if (idlest && (idlest.load === 0 || this.#processes.length >= this.#options.size)) return idlest
    const process: EspeakProcess = new EspeakProcess(this.#options.deadlineMs, () => this.#forget(process))
    if (this.#closed) process.kill()
    else this.#processes.push(process)
    return process
  }

  #forget(process: EspeakProcess): void {
    const at = this.#processes.indexOf(process)
    if (at >= 0) this.#processes.splice(at, 1)
  }
}

const isDeath = (error: unknown): boolean => ['cut', 'timeout'].includes((error as SpeechError).failure?.code)

const soundOf = (frame: Frame): EspeakSound => (frame.kind === KIND.audio ? { pcm: pcmOf(frame.payload) } : { marks: JSON.parse(frame.payload.toString('utf8')) as SpeechMark[] })
