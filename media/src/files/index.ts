import { Worker } from 'node:worker_threads'
import { startFaad } from './aac/faad.ts'
import { SoundFileError, type DecodeAsk, type DecodedFile, type DecodeEnd, type DecodeReply } from './contract.ts'

export { DECODED_RATE_HZ, READABLE, SoundFileError, type DecodedFile, type FileFault } from './contract.ts'
export { openFileWriter, WRITABLE, type FileWriter, type WritableFormat } from './writer.ts'

export type SoundReaderOptions = {
  /** Files that are decoded at the same time; others wait. Default 2. */
  threads?: number
  /** Of one file, waiting not counted. Default 30 s. */
  deadlineMs?: number
}

/** A thread that meets its limit dies alone. */
const MEMORY = { maxOldGenerationSizeMb: 512 }

/**
 * Reads files of sound on threads of its own: decoding takes seconds of a processor, and a stranger's bytes may hang or kill a decoder. A thread is
 * kept for the next file, and ended with the file that was called off or took too long.
 */
export class SoundReader {
  readonly #threads: number
  readonly #deadlineMs: number
  readonly #idle: Worker[] = []
  readonly #all = new Set<Worker>()
  readonly #waiting: (() => void)[] = []
  #busy = 0
  #closed = false

  constructor({ threads = 2, deadlineMs = 30_000 }: SoundReaderOptions = {}) {
    this.#threads = threads
    this.#deadlineMs = deadlineMs
  }

  /** `bytes` are given away. Rejects with a SoundFileError, or with the signal's reason. */
  async decode(bytes: Uint8Array<ArrayBuffer>, maxMs: number, signal: AbortSignal): Promise<DecodedFile> {
    await this.#turn(signal)
    try {
      signal.throwIfAborted()
      return await this.#ask({ bytes, maxMs }, signal)
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#busy--
    }
  }

  /** Idempotent. What is being decoded fails. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#all].map((worker) => worker.terminate()))
  }

  /** First come, first served; who gives up leaves the line. Whoever is done hands its place on. */
  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#busy < this.#threads) {
      this.#busy++
      return
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const stop = () => {
      const at = this.#waiting.indexOf(resolve)
      if (at < 0) return
      this.#waiting.splice(at, 1)
      reject(signal.reason)
    }
    this.#waiting.push(resolve)
    signal.addEventListener('abort', stop, { once: true })
    await promise.finally(() => signal.removeEventListener('abort', stop))
  }

  async #ask(ask: DecodeAsk, signal: AbortSignal): Promise<DecodedFile> {
    if (this.#closed) throw new SoundFileError('unreadable', 'nothing is read any more')
    const worker = this.#idle.pop() ?? this.#start()
    const { promise, resolve, reject } = Promise.withResolvers<DecodeEnd>()
    const late = AbortSignal.timeout(this.#deadlineMs)
    const stop = AbortSignal.any([signal, late])
    const onStop = () => reject(late.aborted ? new SoundFileError('unreadable', 'it took too long to read') : signal.reason)
    const onExit = () => reject(new SoundFileError('unreadable', 'it could not be read'))
    const onReply = (reply: DecodeReply) => reply.type !== 'faad' && resolve(reply)
    worker.on('message', onReply).on('exit', onExit)
    stop.addEventListener('abort', onStop, { once: true })
    try {
      worker.ref()
      worker.postMessage(ask, [ask.bytes.buffer])
      const reply = await promise
      this.#keep(worker)
      if (reply.type === 'failed') throw new SoundFileError(reply.fault, reply.message)
      return reply.file
    } catch (error) {
      if (!this.#idle.includes(worker)) void worker.terminate()
      throw error
    } finally {
      stop.removeEventListener('abort', onStop)
      worker.off('message', onReply).off('exit', onExit)
    }
  }

  #keep(worker: Worker): void {
    worker.unref()
    this.#idle.push(worker)
  }

  #start(): Worker {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { resourceLimits: MEMORY })
    let endFaad = () => {}
    this.#all.add(worker)
    worker.on('error', () => undefined)
    worker.on('message', (reply: DecodeReply) => {
      if (reply.type === 'faad') endFaad = startFaad(reply.port)
    })
    worker.on('exit', () => {
      endFaad()
      this.#all.delete(worker)
      const at = this.#idle.indexOf(worker)
      if (at >= 0) this.#idle.splice(at, 1)
    })
    return worker
  }
}
