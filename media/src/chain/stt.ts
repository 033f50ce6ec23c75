import type { Clock, Logger } from '@trunkline/core'
import { silentLogger, systemClock } from '@trunkline/core'
import type { Pcm } from '../frame.ts'
import { durationMs } from '../frame.ts'
import { SpeechError } from '../stt/contract.ts'
import type { SpeechFailure, SpeechUsage, SttEngine, SttEvent, SttOptions, SttStream } from '../stt/contract.ts'
import { hasSound } from '../stt/loudness.ts'
import { EventQueue } from '../tts/queue.ts'
import { Candidates, breakerKey } from './candidates.ts'
import type { Trial } from './candidates.ts'
import type { ChainOptions } from './contract.ts'
import { SoundTail } from './sound-tail.ts'

export type SttChainOptions = ChainOptions & {
  /** Sound that nothing final speaks for yet is kept for so long, to be heard again by another engine. */
  keepMs?: number
}

const KEEP_MS = 30_000
/** Of silence, so much is kept: the soft beginning of the next word. */
const LEAD_MS = 1_000

/**
 * Engines as one, asked in order. When one fails in mid-stream, the sound that nothing final speaks for is replayed into the next: no word is
 * lost, none comes twice. Fails only when nobody is left. A call stays with its stand-in while that works: to try the preferred engine again
 * in mid-call would cost a turn whenever it still hangs; the next call tries it.
 */
export function createSttChain(engines: readonly SttEngine[], options: SttChainOptions): SttEngine {
  const [first] = engines
  if (!first) throw new RangeError('A chain needs an engine.')
  const { breakers } = options
  const available = () => engines.find((engine) => breakers.state(breakerKey('stt', engine)) !== 'open') ?? first
  return {
    id: 'chain',
    get model() {
      return available().model
    },
    get finalP99Ms() {
      return available().finalP99Ms
    },
    open: (stt) => new ChainStream(engines, stt, options),
    transcribe: (pcm, stt) => transcribe(engines, pcm, stt, options),
  }
}

async function transcribe(engines: readonly SttEngine[], pcm: Pcm, stt: SttOptions, { breakers, onUsage, onFailover, log = silentLogger }: SttChainOptions) {
  const candidates = new Candidates('stt', engines, breakers)
  let last: SpeechFailure = { code: 'unavailable', message: 'No recogniser is available', requestId: null }
  for (let trial = candidates.next(); trial; ) {
    try {
      const heard = await trial.engine.transcribe(pcm, stt)
      candidates.succeeded(trial)
      onUsage?.(heard.usage)
      return heard
    } catch (error) {
      if (stt.signal.aborted || !(error instanceof SpeechError)) {
        candidates.released(trial)
        throw error
      }
      last = error.failure
      onUsage?.(failedUsage(trial.engine, pcm, stt, last))
      candidates.failed(trial, last)
      const next = candidates.next()
      log.warn({ engine: trial.engine.id, code: last.code, next: next?.engine.id ?? null }, 'recogniser failed a recording')
      onFailover?.({ kind: 'stt', from: trial.engine.id, to: next?.engine.id ?? null, failure: last, replayed: { ms: durationMs(pcm, stt.sampleRateHz), characters: 0 } })
      trial = next
    }
  }
  throw new SpeechError(last)
}

/** A recording that an engine could not hear: nothing is paid for it, and it is told all the same. */
const failedUsage = ({ id, model, account }: SttEngine, pcm: Pcm, { sampleRateHz }: SttOptions, { requestId }: SpeechFailure): SpeechUsage => ({
  kind: 'stt', engine: id, model, audioMs: Math.round(durationMs(pcm, sampleRateHz)), characters: 0, firstResultMs: null, latencyMs: 0, outcome: 'failed', requestId, ...(account === undefined ? {} : { ownKey: true }),
})

/** An engine's stream, and where in the chain's sound its first sample lies. */
type Leg = { trial: Trial<SttEngine>; stream: SttStream; base: number }

class ChainStream implements SttStream {
  readonly events: AsyncIterable<SttEvent>
  readonly #options: SttOptions
  readonly #settings: SttChainOptions
  readonly #clock: Clock
  readonly #log: Logger
  readonly #candidates: Candidates<SttEngine>
  readonly #out = new EventQueue<SttEvent>()
  readonly #tail: SoundTail
  readonly #startedMs: number
  #leg: Leg | null = null
  #lastEngine: SttEngine
  #lastUsage: SpeechUsage | null = null
  /** The tail holds sound that may be speech. */
  #hasSound = false
  /** Where each `finish` was that nobody answered yet. */
  #finishes: number[] = []
  #outcome: SpeechUsage['outcome'] | null = null
  #endedMs = 0

  constructor(engines: readonly SttEngine[], options: SttOptions, settings: SttChainOptions) {
    this.#options = options
    this.#settings = settings
    this.#clock = settings.clock ?? systemClock
    this.#log = settings.log ?? silentLogger
    this.#candidates = new Candidates('stt', engines, settings.breakers)
    this.#tail = new SoundTail(options.sampleRateHz, settings.keepMs ?? KEEP_MS)
    this.#startedMs = this.#clock.nowMs()
    this.#lastEngine = engines[0]!
    this.events = this.#out
    options.signal.addEventListener('abort', this.#aborted, { once: true })
    if (options.signal.aborted) this.#settle('aborted')
    else this.#begin(this.#candidates.next(), { code: 'unavailable', message: 'No recogniser is available', requestId: null })
  }

  push(pcm: Pcm): void {
    if (this.#outcome || pcm.length === 0) return
    this.#tail.append(pcm)
    this.#hasSound ||= hasSound(pcm, this.#options.sampleRateHz)
    if (!this.#hasSound) this.#tail.dropBefore(this.#tail.end - this.#samples(LEAD_MS))
    this.#leg?.stream.push(pcm)
  }

  finish(): void {
    if (this.#outcome) return
    this.#finishes.push(this.#tail.end)
    this.#leg?.stream.finish()
  }

  /** The chain as one: the engine that served last, the sound that was pushed. What each engine is paid is `onUsage`'s. */
  close(): SpeechUsage {
    this.#settle('ok')
    const last = this.#lastUsage
    const audioMs = Math.round((this.#tail.end / this.#options.sampleRateHz) * 1_000)
    return { kind: 'stt', engine: this.#lastEngine.id, model: this.#lastEngine.model, audioMs, characters: 0, firstResultMs: last?.firstResultMs ?? null, latencyMs: Math.round(this.#endedMs - this.#startedMs), outcome: this.#outcome!, requestId: last?.requestId ?? null, ...(last?.ownKey ? { ownKey: true } : {}) }
  }

  readonly #aborted = (): void => this.#settle('aborted')

  #settle(outcome: SpeechUsage['outcome'], failure?: SpeechFailure): void {
    if (this.#outcome) return
    this.#outcome = outcome
    this.#endedMs = this.#clock.nowMs()
    this.#options.signal.removeEventListener('abort', this.#aborted)
    if (failure) this.#out.push({ type: 'failed', failure })
    if (outcome === 'aborted') this.#out.drop()
    else this.#out.end()
    this.#closeLeg()
    this.#tail.dropBefore(this.#tail.end)
  }

  #closeLeg(): void {
    const leg = this.#leg
    this.#leg = null
    if (!leg) return
    this.#candidates.released(leg.trial)
    this.#lastUsage = leg.stream.close()
    this.#settings.onUsage?.(this.#lastUsage)
  }

  /** Opens an engine, and lets it hear what nobody spoke for. */
  #begin(trial: Trial<SttEngine> | null, failure: SpeechFailure): void {
    if (!trial) return this.#settle('failed', failure)
    this.#lastEngine = trial.engine
    const leg: Leg = { trial, stream: trial.engine.open(this.#options), base: this.#tail.start }
    this.#leg = leg
    let heard = leg.base
    for (const finish of this.#finishes) {
      for (const pcm of this.#tail.read(heard, finish)) leg.stream.push(pcm)
      heard = Math.max(heard, finish)
      leg.stream.finish()
    }
    for (const pcm of this.#tail.read(heard)) leg.stream.push(pcm)
    void this.#listen(leg)
  }

  async #listen(leg: Leg): Promise<void> {
    for await (const event of leg.stream.events) {
      if (this.#leg !== leg) return
      this.#heard(leg, event)
    }
    // A stream that just ends has failed without saying so.
    if (this.#leg === leg) this.#failOver(leg, { code: 'cut', message: `${leg.trial.engine.id} ended its stream`, requestId: null })
  }

  #heard(leg: Leg, event: SttEvent): void {
    switch (event.type) {
      case 'partial':
        return this.#out.push(event)
      case 'final':
        this.#candidates.succeeded(leg.trial)
        this.#cover(leg.base + this.#samples(event.endMs))
        return this.#out.push(this.#shifted(event, leg.base))
      case 'finished':
        return this.#finished(leg)
      case 'failed':
        return this.#failOver(leg, event.failure)
    }
  }

  #finished(leg: Leg): void {
    const answered = this.#finishes.shift()
    if (answered === undefined) return
    this.#candidates.succeeded(leg.trial)
    this.#cover(answered)
    this.#out.push({ type: 'finished' })
  }

  #failOver(leg: Leg, failure: SpeechFailure): void {
    this.#candidates.failed(leg.trial, failure)
    this.#closeLeg()
    const next = this.#candidates.next()
    const ms = ((this.#tail.end - this.#tail.start) / this.#options.sampleRateHz) * 1_000
    this.#log.warn({ engine: leg.trial.engine.id, code: failure.code, next: next?.engine.id ?? null, replayedMs: Math.round(ms) }, 'recogniser failed over')
    this.#settings.onFailover?.({ kind: 'stt', from: leg.trial.engine.id, to: next?.engine.id ?? null, failure, replayed: { ms, characters: 0 } })
    this.#begin(next, failure)
  }

  /** Nothing before this sample will be told again, so it need not be heard again. */
  #cover(sample: number): void {
    this.#tail.dropBefore(sample)
    this.#hasSound = false
    for (const pcm of this.#tail.read()) this.#hasSound ||= hasSound(pcm, this.#options.sampleRateHz)
  }

  #shifted(event: Extract<SttEvent, { type: 'final' }>, base: number): SttEvent {
    const byMs = (base / this.#options.sampleRateHz) * 1_000
    if (byMs === 0) return event
    const words = event.words.map((word) => ({ ...word, startMs: word.startMs + byMs, endMs: word.endMs + byMs }))
    return { ...event, words, startMs: event.startMs + byMs, endMs: event.endMs + byMs }
  }

  #samples(ms: number): number {
    return Math.round((ms / 1_000) * this.#options.sampleRateHz)
  }
}
