import { Worker } from 'node:worker_threads'
import type { Pcm } from '../../frame.ts'
import { speechError } from '../failure.ts'
import type { Ask, Device, Loaded, Reply, TensorValue } from './protocol.ts'

export type { Device, Loaded, TensorValue } from './protocol.ts'

type Pending = { resolve: (reply: Reply) => void; reject: (error: unknown) => void }
type Request = { type: 'load'; model: string; device: Device } | { type: 'run'; model: string; device: Device; inputs: Record<string, TensorValue> }

/** The thread that computes; shared by all local voices of the process. It starts with the first request and anew after a death. */
export class OnnxRunner {
  #worker: Worker | null = null
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  #closed = false

  /** Loads a model ahead of its first use. Rejects with SpeechError `model_missing` or `unavailable`. */
  async load(model: string, device: Device, signal: AbortSignal): Promise<Loaded> {
    const reply = await this.#ask({ type: 'load', model, device }, signal)
    return (reply as Extract<Reply, { type: 'loaded' }>).loaded
  }

  /** The model's first output, which is sound between -1 and 1. */
  async run(model: string, device: Device, inputs: Record<string, TensorValue>, signal: AbortSignal): Promise<Pcm> {
    const reply = await this.#ask({ type: 'run', model, device, inputs }, signal)
    return pcmOf((reply as Extract<Reply, { type: 'sound' }>).samples)
  }

  /** For tests and operators: ends the thread as a crash would. */
  async kill(): Promise<void> {
    await this.#worker?.terminate()
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.kill()
  }

  #ask(ask: Request, signal: AbortSignal): Promise<Reply> {
    signal.throwIfAborted()
    if (this.#closed) return Promise.reject(speechError('unavailable', 'The local voices are closed'))
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const stop = () => this.#cancel(id, signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    this.#pending.set(id, { resolve, reject })
    this.#post({ id, ...ask })
    return promise.finally(() => signal.removeEventListener('abort', stop))
  }

  #post(ask: Ask): void {
    this.#worker ??= this.#start()
    // While something is asked of it the process stays.
    this.#worker.ref()
    this.#worker.postMessage(ask, [])
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

  #cancel(id: number, reason: unknown): void {
    const pending = this.#pending.get(id)
    if (!pending) return
    this.#pending.delete(id)
    this.#worker?.postMessage({ id, type: 'cancel' } satisfies Ask)
    pending.reject(reason)
  }

  #died(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = null
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of pending) reject(speechError('cut', 'The thread of the local voices ended', null, cause))
  }
}

function pcmOf(samples: Float32Array): Pcm {
  const pcm = new Int16Array(samples.length)
  for (let index = 0; index < samples.length; index++) pcm[index] = Math.max(-32_768, Math.min(32_767, Math.round(samples[index]! * 32_767)))
  return pcm
}
