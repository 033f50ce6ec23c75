import type { Clock } from '@trunkline/core'
import { systemClock } from '@trunkline/core'
import type { Pcm } from '../frame.ts'
import { durationMs } from '../frame.ts'
import { EventQueue } from '../tts/queue.ts'
import { SpeechError } from './contract.ts'
import type { SpeechFailure, SpeechUsage, SttEngine, SttEvent, SttOptions, SttStream } from './contract.ts'
import { QUIET_RMS, rms } from './loudness.ts'
import type { Final, PartStream, Sink, SttPart } from './part.ts'
import { SegmentStream } from './segments.ts'

export type SttDeadlines = {
  /** Until the supplier is connected. */
  openMs: number
  /** Fed with sound that is loud enough to be speech, and not a sign of life for so long: `silent`. */
  silentMs: number
  /** From `finish()` to `finished`; default: three times the engine's 99th percentile, and 2.5 s at least. */
  finalMs: number
  /** For a whole recording, on top of a quarter of its length. */
  recordingMs: number
}
export const STT_DEADLINES: Omit<SttDeadlines, 'finalMs'> = { openMs: 3_000, silentMs: 3_000, recordingMs: 30_000 }

export type SttSettings = {
  clock?: Clock
  deadlines?: Partial<SttDeadlines>
  /** Hears of every stream and every call once, when it is over, however it ended: what `close()` and `transcribe` answer, and what failed too. */
  onUsage?: (usage: SpeechUsage) => void
}

/** Loud sound of this length makes the wait for a sign of life begin: a knock or a cough does not. */
const SPEECH_MS = 400
export const MAX_KEYTERMS = 100

/** Makes an engine of a supplier's part: metering, deadlines, order and one clean end are the same for all of them. */
export function sttEngine(part: SttPart, settings: SttSettings = {}): SttEngine {
  const all = { clock: systemClock, onUsage: () => undefined, ...settings, deadlines: { ...STT_DEADLINES, finalMs: Math.max(2_500, 3 * part.finalP99Ms), ...settings.deadlines } }
  return {
    id: part.id,
    model: part.model,
    finalP99Ms: part.finalP99Ms,
    open: (options) => new Recognition(part, withinLimits(options), all),
    transcribe: (pcm, options) => transcribe(part, pcm, withinLimits(options), all),
  }
}

type Settings = Required<SttSettings> & { deadlines: SttDeadlines }

const withinLimits = (options: SttOptions): SttOptions => (options.keyterms.length <= MAX_KEYTERMS ? options : { ...options, keyterms: options.keyterms.slice(0, MAX_KEYTERMS) })

async function transcribe(part: SttPart, pcm: Pcm, options: SttOptions, { clock, deadlines, onUsage }: Settings) {
  const startedMs = clock.nowMs()
  const lengthMs = durationMs(pcm, options.sampleRateHz)
  const late = new AbortController()
  const cancel = clock.after(deadlines.recordingMs + lengthMs / 4, () => late.abort())
  const usageOf = (outcome: SpeechUsage['outcome'], requestId: string | null): SpeechUsage => {
    const latencyMs = Math.round(clock.nowMs() - startedMs)
    return { kind: 'stt', engine: part.id, model: part.model, audioMs: Math.round(lengthMs), characters: 0, firstResultMs: outcome === 'ok' ? latencyMs : null, latencyMs, outcome, requestId }
  }
  try {
    const signal = AbortSignal.any([options.signal, late.signal])
    const heard = await Promise.race([part.transcribe(pcm, { ...options, signal }), broken(signal)])
    const usage = usageOf('ok', heard.requestId)
    onUsage(usage)
    return { text: heard.text, words: heard.words, language: heard.language, durationMs: lengthMs, usage }
  } catch (error) {
    const failure: SpeechFailure = late.signal.aborted ? { code: 'timeout', message: `${part.id} did not answer in time`, requestId: null } : part.failure(error)
    onUsage(usageOf(options.signal.aborted ? 'aborted' : 'failed', failure.requestId))
    throw new SpeechError(failure, { cause: error })
  } finally {
    cancel()
  }
}

/** Rejects when the signal fires: nobody waits for a supplier that does not look at it. */
function broken(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  if (signal.aborted) reject(signal.reason)
  else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  return promise
}

/** One live recognition: what the supplier's part tells, under deadlines, measured, with one end. */
class Recognition implements SttStream, Sink {
  readonly events: AsyncIterable<SttEvent>
  readonly #part: SttPart
  readonly #options: SttOptions
  readonly #settings: Settings
  readonly #out = new EventQueue<SttEvent>()
  readonly #startedMs: number
  #stream: PartStream | null = null
  #samples = 0
  #outcome: SpeechUsage['outcome'] | null = null
  #endedMs = 0
  #requestId: string | null = null
  #firstResultMs: number | null = null
  #finishedAtMs: number | null = null
  /** `finish`es without their `finished`. */
  #owed = 0
  #isOpen = false
  #cancelOpen: () => void = () => undefined
  #cancelFinal: () => void = () => undefined
  /** Loud sound since the last sign of life, and since when it was enough to be speech. */
  #loudMs = 0
  #waitingSinceMs: number | null = null

  constructor(part: SttPart, options: SttOptions, settings: Settings) {
    this.#part = part
    this.#options = options
    this.#settings = settings
    this.#startedMs = settings.clock.nowMs()
    this.events = this.#out
    if (options.signal.aborted) {
      this.#settle('aborted')
      return
    }
    options.signal.addEventListener('abort', this.#aborted)
    this.#cancelOpen = settings.clock.after(settings.deadlines.openMs, () => this.#breach('timeout', `did not connect within ${settings.deadlines.openMs} ms`))
    this.#stream = part.live === 'stream' ? part.open(options, this) : new SegmentStream(part, options, this)
    // It may have failed before there was anything to close.
    if (this.#outcome) this.#stream.close()
  }

  push(pcm: Pcm): void {
    if (this.#outcome || pcm.length === 0) return
    this.#samples += pcm.length
    this.#stream?.push(pcm)
    if (this.#part.live === 'stream' && this.#isOpen) this.#listenForLife(pcm)
  }

  finish(): void {
    if (this.#outcome) return
    this.#finishedAtMs = this.#settings.clock.nowMs()
    if (this.#owed++ === 0) this.#awaitFinal()
    this.#stream?.finish()
  }

  close(): SpeechUsage {
    this.#settle('ok')
    const { id: engine, model } = this.#part
    return { kind: 'stt', engine, model, audioMs: Math.round(this.#pushedMs()), characters: 0, firstResultMs: this.#firstResultMs, latencyMs: Math.round(this.#endedMs - this.#startedMs), outcome: this.#outcome!, requestId: this.#requestId }
  }

  opened(requestId: string | null): void {
    this.#requestId = requestId ?? this.#requestId
    this.#isOpen = true
    this.#cancelOpen()
  }

  alive(): void {
    this.#loudMs = 0
    this.#waitingSinceMs = null
  }

  partial(text: string, confidence: number | null): void {
    this.alive()
    if (text !== '' && !this.#outcome) this.#out.push({ type: 'partial', text, confidence })
  }

  final(final: Final): void {
    this.alive()
    if (this.#outcome || final.text === '') return
    this.#firstResultMs ??= this.#sinceSpeech(final)
    this.#out.push({ type: 'final', ...final })
  }

  finished(): void {
    this.alive()
    this.#cancelFinal()
    if (this.#outcome || this.#owed === 0) return
    if (--this.#owed > 0) this.#awaitFinal()
    this.#out.push({ type: 'finished' })
  }

  failed(failure: SpeechFailure): void {
    this.#requestId = failure.requestId ?? this.#requestId
    this.#settle('failed', { ...failure, requestId: this.#requestId })
  }

  readonly #aborted = (): void => this.#settle('aborted')

  #awaitFinal(): void {
    const { clock, deadlines } = this.#settings
    this.#cancelFinal = clock.after(deadlines.finalMs, () => this.#breach('timeout', `made nothing final within ${deadlines.finalMs} ms`))
  }

  #breach(code: 'timeout' | 'silent', what: string): void {
    this.failed({ code, message: `${this.#part.id} ${what}`, requestId: this.#requestId })
  }

  /** The one way out; the first reason stays. */
  #settle(outcome: SpeechUsage['outcome'], failure?: SpeechFailure): void {
    if (this.#outcome) return
    this.#outcome = outcome
    this.#endedMs = this.#settings.clock.nowMs()
    this.#cancelOpen()
    this.#cancelFinal()
    this.#options.signal.removeEventListener('abort', this.#aborted)
    if (failure) this.#out.push({ type: 'failed', failure })
    if (outcome === 'aborted') this.#out.drop()
    else this.#out.end()
    this.#stream?.close()
    this.#settings.onUsage(this.close())
  }

  /** No timer per frame: the next frame asks. A stream that is not fed waits for nothing. */
  #listenForLife(pcm: Pcm): void {
    const nowMs = this.#settings.clock.nowMs()
    if (this.#waitingSinceMs === null) {
      if (rms(pcm) > QUIET_RMS) this.#loudMs += durationMs(pcm, this.#options.sampleRateHz)
      if (this.#loudMs >= SPEECH_MS) this.#waitingSinceMs = nowMs
    } else if (nowMs - this.#waitingSinceMs >= this.#settings.deadlines.silentMs) this.#breach('silent', `was fed and said nothing for ${this.#settings.deadlines.silentMs} ms`)
  }

  /** After `finish()` since that; else as much as was pushed after the last word, for sound comes in real time. */
  #sinceSpeech({ words, endMs }: Final): number {
    const sinceMs = this.#finishedAtMs === null ? this.#pushedMs() - (words.at(-1)?.endMs ?? endMs) : this.#settings.clock.nowMs() - this.#finishedAtMs
    return Math.max(0, Math.round(sinceMs))
  }

  #pushedMs(): number {
    return (this.#samples / this.#options.sampleRateHz) * 1_000
  }
}
