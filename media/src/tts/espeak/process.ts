import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { SpeechError } from '../../stt/contract.ts'
import { speechError } from '../failure.ts'
import { KIND, FrameReader, encodeFrame, type FailedReply, type Frame, type ReadyReply } from './protocol.ts'

/** What one request is told. `failed` and `done` come last. */
export type Listener = { frame(frame: Frame): void; done(payload: Buffer): void; failed(error: SpeechError): void }

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))

/** One espeak process: requests in order, answers by number. It dies with its last request unanswered for too long, or when told. */
export class EspeakProcess {
  readonly ready: Promise<ReadyReply>
  readonly #child: ChildProcess
  readonly #jobs = new Map<number, Listener>()
  readonly #reader = new FrameReader()
  readonly #deadlineMs: number
  readonly #onDeath: () => void
  #settleReady: PromiseWithResolvers<ReadyReply> = Promise.withResolvers()
  #reason: SpeechError | null = null
  #timer: NodeJS.Timeout | null = null
  #lastJob = 0

  /** `deadlineMs`: longest silence of the process while something is asked of it. */
  constructor(deadlineMs: number, onDeath: () => void) {
    this.#deadlineMs = deadlineMs
    this.#onDeath = onDeath
    this.ready = this.#settleReady.promise
    this.ready.catch(() => undefined)
    // No environment: nothing of ours is its business. Its errors have nothing to say that its exit does not.
    this.#child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', CHILD], { stdio: ['pipe', 'pipe', 'ignore'], env: {} })
    this.#child.stdout!.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#child.stdin!.on('error', () => undefined)
    this.#child.once('error', (error) => this.#die(speechError('unavailable', 'The espeak process could not be started', null, error)))
    this.#child.once('exit', (code, signal) => this.#die(speechError('cut', `The espeak process ended (${signal ?? code})`)))
    // Until it is ready somebody waits for it: it keeps our process alive so long.
    this.#arm()
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get load(): number {
    return this.#jobs.size
  }

  /** Answers the request's number, for `cancel`. */
  ask(kind: typeof KIND.say | typeof KIND.voices, payload: string, listener: Listener): number {
    const job = ++this.#lastJob
    if (this.#reason) {
      listener.failed(this.#reason)
      return job
    }
    this.#jobs.set(job, listener)
    this.#child.stdin!.write(encodeFrame(kind, job, payload))
    if (this.#jobs.size === 1) this.#arm()
    this.#hold()
    return job
  }

  /** Its answers are no longer heard; the process leaves out what it has not begun. */
  cancel(job: number): void {
    if (!this.#jobs.delete(job) || this.#reason) return
    this.#child.stdin!.write(encodeFrame(KIND.cancel, job))
    this.#relax()
  }

  kill(): void {
    this.#die(speechError('unavailable', 'The espeak process was closed'))
  }

  #read(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#hear(frame)
    } catch (error) {
      this.#die(speechError('unavailable', 'The espeak process speaks nonsense', null, error))
    }
  }

  #hear(frame: Frame): void {
    this.#timer?.refresh()
    if (frame.kind === KIND.ready) {
      this.#settleReady.resolve(JSON.parse(frame.payload.toString('utf8')) as ReadyReply)
      return this.#relax()
    }
    const failure = frame.kind === KIND.failed ? (JSON.parse(frame.payload.toString('utf8')) as FailedReply) : null
    if (failure && frame.job === 0) return this.#die(speechError(failure.code, failure.message))
    const listener = this.#jobs.get(frame.job)
    if (!listener) return
    if (failure) this.#answered(frame.job, () => listener.failed(speechError(failure.code, failure.message)))
    else if (frame.kind === KIND.done) this.#answered(frame.job, () => listener.done(frame.payload))
    else listener.frame(frame)
  }

  #answered(job: number, tell: () => void): void {
    this.#jobs.delete(job)
    tell()
    this.#relax()
  }

  #die(reason: SpeechError): void {
    if (this.#reason) return
    this.#reason = reason
    this.#disarm()
    this.#child.kill('SIGKILL')
    this.#settleReady.reject(reason)
    this.#onDeath()
    const jobs = [...this.#jobs.values()]
    this.#jobs.clear()
    for (const job of jobs) job.failed(reason)
  }

  #arm(): void {
    this.#disarm()
    this.#timer = setTimeout(() => this.#die(speechError('timeout', `The espeak process said nothing for ${this.#deadlineMs} ms`)), this.#deadlineMs)
    this.#timer.unref()
  }

  #disarm(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Nothing is asked of it: no deadline runs, and it does not keep our process alive. */
  #relax(): void {
    if (this.#jobs.size > 0) return
    this.#disarm()
    this.#letGo()
  }

  #letGo(): void {
    this.#child.unref()
    for (const pipe of [this.#child.stdin, this.#child.stdout]) (pipe as unknown as { unref?(): void } | null)?.unref?.()
  }

  #hold(): void {
    this.#child.ref()
    for (const pipe of [this.#child.stdin, this.#child.stdout]) (pipe as unknown as { ref?(): void } | null)?.ref?.()
  }
}
