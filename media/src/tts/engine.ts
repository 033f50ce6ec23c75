import type { Pcm } from '../frame.ts'
import { durationMs } from '../frame.ts'
import { createResampler, type Resampler } from '../resample/resampler.ts'
import type { SpeechFailure, SpeechUsage } from '../stt/contract.ts'
import { SpeechError } from '../stt/contract.ts'
import type { SpokenSpan, TtsEngine, TtsEvent, TtsOptions, TtsStream } from './contract.ts'
import { withDeadlines } from './deadline.ts'
import { speechError } from './failure.ts'
import type { Said, VoicePart } from './part.ts'
import { EventQueue } from './queue.ts'
import { Chunker, type TextChunk } from './text/chunker.ts'
import type { SpokenText } from './text/offsets.ts'
import { estimateSpans, mapSpans } from './text/spans.ts'
import { isSpeakable, spokenOf } from './text/spoken.ts'

export type EngineSettings = {
  /** No further piece is asked for while so much sound waits for the reader: what an interruption throws away is paid for. */
  maxWaitingMs: number
  /** The first piece may leave after so many characters; 0 waits for the sentence. */
  firstChars: number
  nowMs: () => number
}

const DEFAULTS: EngineSettings = { maxWaitingMs: 10_000, firstChars: 20, nowMs: () => performance.now() }

/** Makes an engine of a supplier's part: what is the same for all of them happens here, metering first of all. */
export function ttsEngine(part: VoicePart, settings: Partial<EngineSettings> = {}): TtsEngine {
  const all = { ...DEFAULTS, ...settings }
  return {
    id: part.id,
    model: part.model,
    voices: (signal) => part.voices(signal),
    speak: (options) => new Utterance(part, options, all),
    close: () => part.close?.(),
  }
}

/** One piece on its way: asked for, and collected while earlier ones are still being passed on. */
type Job = { chunk: TextChunk; spoken: SpokenText; said: EventQueue<Said>; measured: boolean; failure: unknown }

/** How much sound a piece may have before we hold the supplier for mad: bounds memory. */
const MAX_MS = (text: string) => 20_000 + text.length * 1_000

class Utterance implements TtsStream {
  readonly events: AsyncIterable<TtsEvent>
  readonly #part: VoicePart
  readonly #options: TtsOptions
  readonly #settings: EngineSettings
  readonly #out: EventQueue<TtsEvent>
  readonly #chunker: Chunker
  readonly #stop = new AbortController()
  readonly #chunks: TextChunk[] = []
  readonly #jobs: Job[] = []
  readonly #rateHz: number
  readonly #resampler: Resampler
  readonly #startedMs: number
  #wake: (() => void) | null = null
  #before = ''
  #ended = false
  #outcome: SpeechUsage['outcome'] | null = null
  #characters = 0
  #madeMs = 0
  #sentSamples = 0
  #waitingMs = 0
  #pauseMs = 0
  #firstMs: number | null = null
  #lastMs: number
  #requestId: string | null = null

  constructor(part: VoicePart, options: TtsOptions, settings: EngineSettings) {
    this.#part = part
    this.#options = options
    this.#settings = settings
    this.#startedMs = this.#lastMs = settings.nowMs()
    this.#rateHz = part.sampleRateHz(options.sampleRateHz, options.voice)
    this.#resampler = createResampler({ fromHz: this.#rateHz, toHz: options.sampleRateHz, aligned: true })
    this.#chunker = new Chunker({ language: options.language, firstChars: settings.firstChars, maxChars: part.maxChars })
    this.#out = new EventQueue((event) => this.#taken(event))
    this.events = this.#out
    options.signal.addEventListener('abort', this.#aborted)
    if (options.signal.aborted) this.#settle('aborted')
    void this.#run()
  }

  write(text: string): void {
    if (this.#ended || this.#outcome) return
    this.#accept(this.#chunker.write(text))
  }

  end(): void {
    if (this.#ended || this.#outcome) return
    this.#ended = true
    this.#accept(this.#chunker.end())
  }

  close(): SpeechUsage {
    this.#settle('aborted')
    const { id: engine, model } = this.#part
    return { kind: 'tts', engine, model, audioMs: Math.round(this.#madeMs), characters: this.#characters, firstResultMs: this.#firstMs, latencyMs: Math.round(this.#lastMs - this.#startedMs), outcome: this.#outcome!, requestId: this.#requestId }
  }

  readonly #aborted = (): void => this.#settle('aborted')

  /** The one way out. Whatever waited is forgotten when it was called off; the first reason stays. */
  #settle(outcome: SpeechUsage['outcome'], last?: TtsEvent): void {
    if (this.#outcome) return
    this.#outcome = outcome
    this.#lastMs = this.#settings.nowMs()
    this.#options.signal.removeEventListener('abort', this.#aborted)
    if (last) this.#out.push(last)
    if (outcome === 'aborted') this.#out.drop()
    else this.#out.end()
    this.#stop.abort()
    this.#resampler.close()
    this.#nudge()
  }

  #accept(chunks: readonly TextChunk[]): void {
    this.#chunks.push(...chunks)
    this.#ask()
    this.#nudge()
  }

  /** Starts as many pieces as may run at once. */
  #ask(): void {
    while (!this.#outcome && this.#chunks.length > 0 && this.#jobs.length <= this.#part.ahead && this.#waitingMs < this.#settings.maxWaitingMs) {
      const chunk = this.#chunks.shift()!
      const spoken = spokenOf(chunk.text, { ...this.#part.spokenForm, language: this.#options.language })
      if (!isSpeakable(spoken.text)) continue
      const job: Job = { chunk, spoken, said: new EventQueue(), measured: false, failure: null }
      this.#jobs.push(job)
      this.#characters += spoken.text.length * (this.#part.requestsPerPiece ?? 1)
      void this.#collect(job, this.#before)
      this.#before = spoken.text
    }
  }

  async #collect(job: Job, before: string): Promise<void> {
    const { text } = job.spoken
    let pieceMs = 0
    try {
      for await (const said of withDeadlines(this.#part.id, this.#part.deadlines, this.#stop.signal, (signal) => this.#part.say({ text, before }, this.#options, signal))) {
        if (said.type === 'audio') pieceMs += this.#heard(said.pcm)
        if (said.type === 'open') this.#requestId = said.requestId ?? this.#requestId
        if (pieceMs > MAX_MS(text)) throw speechError('unavailable', `${this.#part.id} sends sound without end`, this.#requestId)
        job.said.push(said)
      }
      if (pieceMs === 0 && !this.#outcome) throw speechError('silent', `${this.#part.id} ended without a sound`, this.#requestId)
    } catch (error) {
      job.failure = error
    }
    job.said.end()
  }

  #heard(pcm: Pcm): number {
    const ms = (pcm.length / this.#rateHz) * 1_000
    this.#madeMs += ms
    this.#firstMs ??= pcm.length > 0 ? Math.round(this.#settings.nowMs() - this.#startedMs) : null
    return ms
  }

  async #run(): Promise<void> {
    try {
      for (let job = await this.#next(); job; job = await this.#next()) {
        await this.#pass(job)
        this.#jobs.shift()
        this.#ask()
      }
      this.#settle('ok', { type: 'done' })
    } catch (error) {
      this.#settle('failed', { type: 'failed', failure: this.#failureOf(error) })
    }
  }

  /** The oldest piece under way; undefined when all has been said, or it is over. */
  async #next(): Promise<Job | undefined> {
    for (;;) {
      this.#ask()
      const nothingLeft = this.#ended && this.#chunks.length === 0
      if (this.#outcome || this.#jobs.length > 0 || nothingLeft) return this.#outcome ? undefined : this.#jobs[0]
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async #pass(job: Job): Promise<void> {
    this.#sound(new Int16Array(Math.round((this.#pauseMs / 1_000) * this.#options.sampleRateHz)))
    this.#pauseMs = pauseBehind(job.spoken.text, this.#part.pauses) / this.#options.speed
    const fromMs = this.#sentMs()
    let held: SpokenSpan[] = []
    for await (const said of job.said) {
      if (this.#outcome) return
      if (said.type === 'audio') this.#sound(this.#resampler.process(said.pcm))
      if (said.type === 'spans') held = this.#spans(job, [...held, ...said.spans], fromMs)
    }
    this.#spans(job, held, fromMs, true)
    if (job.failure !== null) throw job.failure
    this.#sound(this.#resampler.flush())
    if (!job.measured) this.#tell(job, estimateSpans(job.spoken.text, this.#sentMs() - fromMs), fromMs, true)
  }

  #sound(pcm: Pcm): void {
    if (pcm.length === 0) return
    this.#sentSamples += pcm.length
    this.#waitingMs += durationMs(pcm, this.#options.sampleRateHz)
    this.#out.push({ type: 'audio', pcm })
  }

  /** Passes on what was measured, but for the last word: what follows may be said for the same written one ("forty", "two" for "42"). */
  #spans(job: Job, spans: readonly SpokenSpan[], fromMs: number, last = false): SpokenSpan[] {
    job.measured ||= spans.length > 0
    const until = last ? spans.length : spans.findLastIndex((span, index) => index > 0 && !sameSource(job.spoken, spans[index - 1]!, span))
    if (until <= 0) return [...spans]
    this.#tell(job, spans.slice(0, until), fromMs, false)
    return spans.slice(until)
  }

  #tell(job: Job, spans: readonly SpokenSpan[], fromMs: number, estimated: boolean): void {
    const shift = job.chunk.charStart
    const mapped = mapSpans(spans, (start, end) => job.spoken.source(start, end)).map((span) => ({ charStart: span.charStart + shift, charEnd: span.charEnd + shift, startMs: span.startMs + fromMs, endMs: span.endMs + fromMs }))
    if (mapped.length > 0) this.#out.push({ type: 'spans', spans: mapped, estimated })
  }

  #sentMs = (): number => (this.#sentSamples / this.#options.sampleRateHz) * 1_000

  #taken(event: TtsEvent): void {
    if (event.type !== 'audio') return
    this.#waitingMs -= durationMs(event.pcm, this.#options.sampleRateHz)
    if (this.#waitingMs < this.#settings.maxWaitingMs && this.#chunks.length > 0) this.#nudge()
  }

  #nudge(): void {
    this.#wake?.()
    this.#wake = null
  }

  #failureOf(error: unknown): SpeechFailure {
    const failure = error instanceof SpeechError ? error.failure : this.#part.failure(error)
    return { ...failure, requestId: failure.requestId ?? this.#requestId }
  }
}

function sameSource(spoken: SpokenText, one: SpokenSpan, other: SpokenSpan): boolean {
  const [a, b] = [spoken.source(one.charStart, one.charEnd), spoken.source(other.charStart, other.charEnd)]
  return a.charStart === b.charStart && a.charEnd === b.charEnd
}

/** A piece that ends with a mark is followed by the pause that a reader makes there. */
function pauseBehind(text: string, { sentenceMs, clauseMs }: VoicePart['pauses']): number {
  const end = text.trimEnd()
  if (/[,;:–—，；：][)\]"'”’»]*$/u.test(end)) return clauseMs
  return /[.!?…。！？][)\]"'”’»]*$/u.test(end) || text.endsWith('\n') ? sentenceMs : 0
}
