import { Worker } from 'node:worker_threads'
import type { Pcm } from '../../frame.ts'
import { speechError } from '../../tts/failure.ts'
import type { Device } from './model.ts'
import type { Ask, ModelChoice, Reply, Words } from './protocol.ts'

type Pending = { resolve: (reply: Reply) => void; reject: (error: unknown) => void }
type Question = { type: 'load'; model: ModelChoice } | { type: 'hear'; model: ModelChoice; pcm: Pcm; language: string | null }

/** The thread that computes, shared by all streams of an engine. It starts with the first request, and anew after a death. */
export class WhisperThread {
  #worker: Worker | null = null
  readonly #pending = new Map<number, Pending>()
  #lastId = 0

  async load(model: ModelChoice, signal: AbortSignal): Promise<Device> {
    return ((await this.#ask({ type: 'load', model }, signal)) as Extract<Reply, { type: 'loaded' }>).device
  }

  async hear(model: ModelChoice, pcm: Pcm, language: string | null, signal: AbortSignal): Promise<Words> {
    // Its own memory: of a part, the whole that it belongs to would be copied.
    const own = pcm.slice()
    return ((await this.#ask({ type: 'hear', model, pcm: own, language }, signal, [own.buffer])) as Extract<Reply, { type: 'heard' }>).heard
  }

  /** Ends the thread; the next request starts another. */
  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #ask(question: Question, signal: AbortSignal, transfer: ArrayBuffer[] = []): Promise<Reply> {
    if (signal.aborted) return Promise.reject(signal.reason)
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const stop = () => {
      this.#pending.delete(id)
      this.#worker?.postMessage({ id, type: 'cancel' } satisfies Ask)
      reject(signal.reason)
    }
    signal.addEventListener('abort', stop, { once: true })
    this.#pending.set(id, { resolve, reject })
    this.#worker ??= this.#start()
    // While something is asked of it the process stays.
    this.#worker.ref()
    this.#worker.postMessage({ id, ...question } satisfies Ask, transfer)
    return promise.finally(() => signal.removeEventListener('abort', stop))
  }

  #start(): Worker {
    const worker = new Worker(new URL('./worker.ts', import.meta.url))
    worker.on('message', (reply: Reply) => this.#hear(reply))
    worker.on('error', (error) => this.#died(worker, error))
    worker.on('exit', () => this.#died(worker, null))
    return worker
  }

  #hear(reply: Reply): void {
    const pending = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if (this.#pending.size === 0) this.#worker?.unref()
    if (reply.type === 'failed') pending?.reject(speechError(reply.code, reply.message))
    else pending?.resolve(reply)
  }

  #died(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = null
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of pending) reject(speechError('cut', 'whisper: its thread ended', null, cause))
  }
}
