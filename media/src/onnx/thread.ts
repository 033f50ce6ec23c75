import { Worker } from 'node:worker_threads'
import { speechError } from '../tts/failure.ts'
import type { FromThread, Jobs, ToThread } from './protocol.ts'

export type OnnxThreadOptions = {
  /** The module that calls `serveJobs`. */
  entry: URL
  /** Whose thread it is, for the words of an error: "whisper". */
  name: string
  /** The thread has died, or was ended: what was asked of it has been rejected. Not called after `close`. */
  onEnd?: () => void
}

type Pending = { resolve: (answer: unknown) => void; reject: (error: unknown) => void }

/** A thread that computes models, so that the event loop never does. It starts with the first request, and anew after a death. */
export class OnnxThread<List extends Jobs> {
  readonly #options: OnnxThreadOptions
  readonly #pending = new Map<number, Pending>()
  #worker: Worker | null = null
  #lastId = 0
  #closed = false

  constructor(options: OnnxThreadOptions) {
    this.#options = options
  }

  /**
   * One thing at a time is computed, in the order asked. Rejects with a SpeechError (`cut`: the thread died under it), or with the signal's reason.
   * `transfer`: memory that is given away with the request.
   */
  ask<Job extends keyof List & string>(job: Job, ask: List[Job]['ask'], signal: AbortSignal | null = null, transfer: ArrayBuffer[] = []): Promise<List[Job]['answer']> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (this.#closed) return Promise.reject(speechError('unavailable', `${this.#options.name}: its thread is closed`))
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#pending.set(id, { resolve, reject })
    this.#post({ id, job, ask }, transfer)
    if (!signal) return promise
    const stop = () => this.#callOff(id, signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    return promise.finally(() => signal.removeEventListener('abort', stop))
  }

  /** Ends the thread as a crash would; the next request starts another. */
  async end(): Promise<void> {
    await this.#worker?.terminate()
  }

  /** Idempotent. For good. */
  async close(): Promise<void> {
    this.#closed = true
    await this.end()
  }

  #post(message: ToThread, transfer: ArrayBuffer[]): void {
    this.#worker ??= this.#start()
    // While something is asked of it the process stays.
    this.#worker.ref()
    this.#worker.postMessage(message, transfer)
  }

  #start(): Worker {
    const worker = new Worker(this.#options.entry)
    worker.on('message', (message: FromThread) => this.#hear(message))
    worker.on('error', (error) => this.#died(worker, error))
    worker.on('exit', () => this.#died(worker, null))
    return worker
  }

  #hear(message: FromThread): void {
    const pending = this.#take(message.id)
    if ('failed' in message) pending?.reject(speechError(message.failed.code, message.failed.message))
    else pending?.resolve(message.answer)
  }

  #callOff(id: number, reason: unknown): void {
    const pending = this.#take(id)
    if (!pending) return
    this.#worker?.postMessage({ id, job: null } satisfies ToThread)
    pending.reject(reason)
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (this.#pending.size === 0) this.#worker?.unref()
    return pending
  }

  #died(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = null
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of pending) reject(speechError('cut', `${this.#options.name}: its thread ended`, null, cause))
    if (!this.#closed) this.#options.onEnd?.()
  }
}
