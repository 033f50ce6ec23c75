import type { Clock, Logger } from '@trunkline/core'
import { silentLogger, systemClock } from '@trunkline/core'
import { durationMs } from '../frame.ts'
import type { SpeechFailure, SpeechUsage } from '../stt/contract.ts'
import type { TtsEngine, TtsEvent, TtsOptions, TtsStream } from '../tts/contract.ts'
import { Candidates } from './candidates.ts'
import type { Trial } from './candidates.ts'
import type { ChainOptions } from './contract.ts'
import { Release } from './release.ts'
import type { Habit } from './release.ts'

/** An engine, and its own voice for this agent: ids of voices are each supplier's. null: the one that `speak` is asked for. */
export type VoiceLink = { engine: TtsEngine; voice: string | null }

/**
 * Engines as one, asked in order. When one fails in mid-sentence, the next goes on after the last word whose sound was given away: nothing is
 * said twice. `failed` comes only when nobody is left; the caller then plays its prerecorded message.
 */
export function createTtsChain(links: readonly (TtsEngine | VoiceLink)[], options: ChainOptions): TtsEngine {
  const voices = links.map((link) => ('engine' in link ? link : { engine: link, voice: null })).map(({ engine, voice }): Voice => ({ id: engine.id, engine, voice, get account() { return engine.account } }))
  const [first] = voices
  if (!first) throw new RangeError('A chain needs an engine.')
  // Learned while they speak: whose words are told in time to be held back until they are whole.
  const habits = new Map<string, Habit>()
  return {
    id: 'chain',
    model: first.engine.model,
    voices: (signal) => first.engine.voices(signal),
    speak: (tts) => new ChainUtterance(voices, tts, options, habits),
  }
}

type Voice = VoiceLink & { id: string; readonly account: string | undefined }
/** An engine's utterance: the text from `charBase` on, sounding from `baseMs` of the whole. */
type Leg = { trial: Trial<Voice>; stream: TtsStream; release: Release; charBase: number; baseMs: number }

const BREATH_MS = 80
const NOBODY: SpeechFailure = { code: 'unavailable', message: 'No voice is available', requestId: null }

class ChainUtterance implements TtsStream {
  readonly events: AsyncIterable<TtsEvent>
  readonly #options: TtsOptions
  readonly #settings: ChainOptions
  readonly #clock: Clock
  readonly #log: Logger
  readonly #candidates: Candidates<Voice>
  readonly #habits: Map<string, Habit>
  readonly #startedMs: number
  #text = ''
  #ended = false
  #leg: Leg | null
  /** Sound that was given away. */
  #givenMs = 0
  #firstMs: number | null = null
  #last: { voice: Voice; usage: SpeechUsage | null }
  #failure: SpeechFailure | null = null
  #isSaid = false
  #outcome: SpeechUsage['outcome'] | null = null
  #endedMs = 0

  constructor(voices: readonly Voice[], options: TtsOptions, settings: ChainOptions, habits: Map<string, Habit>) {
    this.#options = options
    this.#settings = settings
    this.#habits = habits
    this.#clock = settings.clock ?? systemClock
    this.#log = settings.log ?? silentLogger
    this.#candidates = new Candidates('tts', voices, settings.breakers)
    this.#startedMs = this.#clock.nowMs()
    this.#last = { voice: voices[0]!, usage: null }
    // The first engine is called at once, not when somebody reads: connecting takes time.
    const trial = options.signal.aborted ? null : this.#candidates.next()
    this.#leg = trial && this.#open(trial, 0)
    this.events = this.#run()
    options.signal.addEventListener('abort', this.#aborted, { once: true })
    if (options.signal.aborted) this.#settle('aborted')
  }

  write(text: string): void {
    if (this.#ended || this.#outcome) return
    this.#text += text
    this.#leg?.stream.write(text)
  }

  end(): void {
    if (this.#ended || this.#outcome) return
    this.#ended = true
    this.#leg?.stream.end()
  }

  /** The chain as one: the engine that spoke last, all text that was given to it, the sound that was given away. Payment is `onUsage`'s. */
  close(): SpeechUsage {
    this.#settle('aborted')
    const { voice, usage } = this.#last
    return { kind: 'tts', engine: voice.id, model: voice.engine.model, audioMs: Math.round(this.#givenMs), characters: this.#text.length, firstResultMs: this.#firstMs, latencyMs: Math.round(this.#endedMs - this.#startedMs), outcome: this.#outcome!, requestId: usage?.requestId ?? null, ...(usage?.ownKey ? { ownKey: true } : {}) }
  }

  readonly #aborted = (): void => this.#settle('aborted')

  #settle(outcome: SpeechUsage['outcome']): void {
    if (this.#outcome) return
    this.#outcome = outcome
    this.#endedMs = this.#clock.nowMs()
    this.#options.signal.removeEventListener('abort', this.#aborted)
    this.#closeLeg()
  }

  #closeLeg(): void {
    const leg = this.#leg
    this.#leg = null
    if (!leg) return
    this.#candidates.released(leg.trial)
    this.#last = { voice: leg.trial.engine, usage: leg.stream.close() }
    this.#settings.onUsage?.(this.#last.usage!)
  }

  #open(trial: Trial<Voice>, charBase: number): Leg {
    const { engine, voice } = trial.engine
    const stream = engine.speak({ ...this.#options, voice: voice ?? this.#options.voice })
    if (this.#text.length > charBase) stream.write(this.#text.slice(charBase))
    if (this.#ended) stream.end()
    const release = new Release(this.#options.sampleRateHz, this.#habits.get(trial.engine.id) ?? 'unknown', () => this.#text.slice(charBase))
    return { trial, stream, release, charBase, baseMs: this.#givenMs }
  }

  /** The pause between two words, which the voice that broke off did not come to: else the next word would be glued to its last. */
  *#breath(leg: Leg): Generator<TtsEvent> {
    if (this.#givenMs === 0) return
    const pcm = new Int16Array((BREATH_MS / 1_000) * this.#options.sampleRateHz)
    this.#givenMs += BREATH_MS
    leg.baseMs = this.#givenMs
    yield { type: 'audio', pcm }
  }

  /** Pulled by the reader, so that an engine's back-pressure reaches it through the chain. */
  async *#run(): AsyncGenerator<TtsEvent> {
    for (let leg = this.#leg; leg && !this.#outcome; leg = this.#leg) {
      yield* this.#breath(leg)
      for await (const event of leg.stream.events) {
        if (this.#outcome) return
        yield* this.#pass(leg, event)
        if (event.type === 'done' || event.type === 'failed') break
      }
      if (this.#outcome) return
      this.#failOver(leg, this.#failure ?? { code: 'cut', message: `${leg.trial.engine.id} ended its stream`, requestId: null })
    }
    if (this.#outcome) return
    this.#settle(this.#isSaid ? 'ok' : 'failed')
    yield this.#isSaid ? { type: 'done' } : { type: 'failed', failure: this.#failure ?? NOBODY }
  }

  *#pass(leg: Leg, event: TtsEvent): Generator<TtsEvent> {
    this.#failure = null
    if (event.type === 'failed') return void (this.#failure = event.failure)
    if (event.type === 'aside') return yield { type: 'aside', charEnd: leg.charBase + event.charEnd }
    for (const ready of leg.release.take(event)) {
      if (ready.type === 'audio') {
        this.#candidates.succeeded(leg.trial)
        this.#firstMs ??= Math.round(this.#clock.nowMs() - this.#startedMs)
        this.#givenMs += durationMs(ready.pcm, this.#options.sampleRateHz)
      }
      yield ready.type === 'spans' ? shifted(ready, leg) : ready
      if (this.#outcome) return
    }
    this.#habits.set(leg.trial.engine.id, leg.release.habit)
    if (event.type !== 'done') return
    this.#candidates.succeeded(leg.trial)
    this.#settle('ok')
    yield event
  }

  #failOver(leg: Leg, failure: SpeechFailure): void {
    this.#candidates.failed(leg.trial, failure)
    this.#closeLeg()
    this.#failure = failure
    const charBase = leg.charBase + leg.release.spokenTo(this.#options.speed)
    // It broke off after the last word: all that mattered was said.
    this.#isSaid = this.#ended && charBase > 0 && this.#text.slice(charBase).trim() === ''
    const next = this.#isSaid ? null : this.#candidates.next()
    this.#log.warn({ engine: leg.trial.engine.id, code: failure.code, next: next?.engine.id ?? null, said: this.#isSaid }, 'voice failed over')
    this.#settings.onFailover?.({ kind: 'tts', from: leg.trial.engine.id, to: next?.engine.id ?? null, failure, replayed: { ms: 0, characters: Math.max(0, this.#text.length - charBase) } })
    this.#leg = next && this.#open(next, charBase)
  }
}

function shifted({ spans, estimated }: Extract<TtsEvent, { type: 'spans' }>, { charBase, baseMs }: Leg): TtsEvent {
  return { type: 'spans', estimated, spans: spans.map((span) => ({ charStart: span.charStart + charBase, charEnd: span.charEnd + charBase, startMs: span.startMs + baseMs, endMs: span.endMs + baseMs })) }
}
