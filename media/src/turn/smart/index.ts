import { silentLogger, type Logger } from '@trunkline/core'
import type { Pcm } from '../../frame.ts'
import { OnnxThread } from '../../onnx/thread.ts'
import { SMART_MS } from './features.ts'
import type { SmartTurnJobs, SmartTurnRate } from './protocol.ts'
import { RecentSound } from './sound.ts'

export type SmartTurnOptions = {
  /** Path of smart-turn-v3*.onnx, which its operator has put there: nothing is ever fetched. */
  modelPath: string
  /** A later verdict is of no use. */
  deadlineMs?: number
  log?: Logger
}

export type SmartTurnStreamOptions = {
  sampleRateHz: SmartTurnRate
  /** How probable it is, 0 to 1, that the caller is done. Not told when the caller went on meanwhile, nor when the model failed. */
  onVerdict: (probability: number) => void
}

/** One call's ear for the melody: hears all of it, judges at each pause. */
export type SmartTurnStream = {
  push(pcm: Pcm): void
  speechStarted(): void
  speechStopped(): void
  /** The caller was answered: what comes next is another turn. */
  turnEnded(): void
  /** Idempotent; nothing is told afterwards. */
  close(): void
}

/** For all calls of a process. */
export type SmartTurn = {
  /** Of the last 8 s at most. Null: too late, or the model failed; never rejects. */
  judge(pcm: Pcm, sampleRateHz?: SmartTurnRate): Promise<number | null>
  open(options: SmartTurnStreamOptions): SmartTurnStream
  close(): Promise<void>
}

const DEADLINE_MS = 200
/** Sound before the detector said that speech began: it says so a little late (pipecat, base_smart_turn.py: half a second). */
const LEAD_MS = 500

/** Smart Turn v3 in a thread of its own. Rejects with a SpeechError (`model_missing`, `unsupported`, `unavailable`) when the model cannot be used. */
export async function createSmartTurn({ modelPath, deadlineMs = DEADLINE_MS, log = silentLogger }: SmartTurnOptions): Promise<SmartTurn> {
  const thread = new OnnxThread<SmartTurnJobs>({ entry: new URL('./worker.ts', import.meta.url), name: 'smart turn' })
  try {
    await thread.ask('load', { model: modelPath })
  } catch (error) {
    await thread.close()
    throw error
  }
  let failed = false
  const judge = async (pcm: Pcm, rateHz: SmartTurnRate = 16_000): Promise<number | null> => {
    const own = pcm.slice(-(SMART_MS * rateHz) / 1_000)
    try {
      const probability = await thread.ask('judge', { model: modelPath, pcm: own, rateHz }, AbortSignal.timeout(deadlineMs), [own.buffer])
      failed = false
      return probability
    } catch (error) {
      // Once, not at every pause of every call.
      if (!failed) log.warn({ reason: error instanceof Error ? error.message : 'unknown' }, 'No verdict on the end of a turn: until there is one again, pauses are waited out')
      failed = true
      return null
    }
  }
  return { judge, open: (options) => new Stream(options, judge), close: () => thread.close() }
}

class Stream implements SmartTurnStream {
  readonly #options: SmartTurnStreamOptions
  readonly #judge: (pcm: Pcm, rateHz: SmartTurnRate) => Promise<number | null>
  readonly #sound: RecentSound
  /** Where the caller's turn began, in samples. */
  #turnFrom: number | null = null
  /** Goes up with every pause and every speech: a verdict of an older one is of no use. */
  #moment = 0
  #closed = false

  constructor(options: SmartTurnStreamOptions, judge: (pcm: Pcm, rateHz: SmartTurnRate) => Promise<number | null>) {
    this.#options = options
    this.#judge = judge
    this.#sound = new RecentSound((SMART_MS * options.sampleRateHz) / 1_000)
  }

  push(pcm: Pcm): void {
    if (!this.#closed) this.#sound.push(pcm)
  }

  speechStarted(): void {
    this.#moment += 1
    this.#turnFrom ??= this.#sound.written - (LEAD_MS * this.#options.sampleRateHz) / 1_000
  }

  speechStopped(): void {
    if (this.#closed || this.#turnFrom === null) return
    void this.#ask(++this.#moment, this.#sound.since(this.#turnFrom))
  }

  turnEnded(): void {
    this.#moment += 1
    this.#turnFrom = null
  }

  close(): void {
    this.#closed = true
  }

  async #ask(moment: number, pcm: Pcm): Promise<void> {
    const probability = await this.#judge(pcm, this.#options.sampleRateHz)
    if (probability !== null && !this.#closed && moment === this.#moment) this.#options.onVerdict(probability)
  }
}
