import { durationMs, type Pcm, type SampleRateHz } from '../frame.ts'
import { createResampler, type Resampler } from '../resample/resampler.ts'
import type { SpeechFailure, SttEngine, SttStream } from '../stt/contract.ts'
import type { Vad, VadStream } from '../vad/contract.ts'
import { SpeechEdges, type SpeechEdge } from '../vad/speech-edges.ts'
import { LISTEN_HZ } from './ears.ts'

export type DictationOptions = {
  sampleRateHz: SampleRateHz
  vad: Vad
  stt: SttEngine
  language: string | null
  keyterms?: readonly string[]
  /** One thing that was said, in the order in which they were said. Never empty. */
  onText: (text: string) => void
  onFailure: (failure: SpeechFailure) => void
}

/** Speech is noticed some frames after it has begun: what came before is heard, too. */
const LEAD_MS = 600
/** A longer silence ends what was said; a shorter one is a breath. */
const PAUSE_MS = 700
/** What somebody says without a pause is cut here. */
const LONGEST_MS = 60_000

/**
 * What somebody says to us and not to the caller, as text. The recogniser hears them only while they speak: an open microphone costs nothing.
 * `end` hears out what was begun; `close` drops it. Both are idempotent.
 */
export class Dictation {
  readonly #options: DictationOptions
  readonly #rateHz: 8_000 | 16_000
  readonly #resampler: Resampler | null
  readonly #vad: VadStream
  readonly #edges = new SpeechEdges()
  readonly #stop = new AbortController()
  /** What came before speech was noticed. */
  #lead: Pcm[] = []
  #leadMs = 0
  #stream: SttStream | null = null
  #streamMs = 0
  #speaking = false
  #silentMs = 0
  /** All that was said before is told. */
  #told: Promise<void> = Promise.resolve()
  #ended = false

  constructor(options: DictationOptions) {
    const { sampleRateHz, vad } = options
    this.#options = options
    this.#rateHz = LISTEN_HZ[sampleRateHz]
    this.#resampler = this.#rateHz === sampleRateHz ? null : createResampler({ fromHz: sampleRateHz, toHz: this.#rateHz })
    this.#vad = vad.open({ sampleRateHz: this.#rateHz, onProbability: (probability, endMs) => this.#edges.push(probability, endMs).forEach((edge) => this.#edge(edge)) })
  }

  /** 20 ms, in order; lent. */
  frame(pcm: Pcm): void {
    if (this.#ended) return
    const heard = this.#resampler ? this.#resampler.process(pcm) : pcm
    if (this.#stream) this.#hear(heard)
    else this.#keep(heard)
    this.#vad.push(heard)
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#vad.close()
    this.#resampler?.close()
    this.#finish()
  }

  close(): void {
    this.end()
    this.#stop.abort()
  }

  #edge({ type }: SpeechEdge): void {
    if (this.#ended) return
    this.#speaking = type === 'start'
    this.#silentMs = 0
    if (this.#speaking && !this.#stream) this.#open()
  }

  #keep(pcm: Pcm): void {
    this.#lead.push(pcm.slice())
    this.#leadMs += durationMs(pcm, this.#rateHz)
    while (this.#leadMs > LEAD_MS) this.#leadMs -= durationMs(this.#lead.shift()!, this.#rateHz)
  }

  #hear(pcm: Pcm): void {
    const ms = durationMs(pcm, this.#rateHz)
    this.#stream!.push(pcm)
    this.#streamMs += ms
    if (!this.#speaking) this.#silentMs += ms
    if (this.#silentMs >= PAUSE_MS) return this.#finish()
    if (this.#streamMs < LONGEST_MS) return
    this.#finish()
    this.#open()
  }

  #open(): void {
    const { stt, language, keyterms = [], onText } = this.#options
    const stream = stt.open({ sampleRateHz: this.#rateHz, language, keyterms, signal: this.#stop.signal })
    this.#stream = stream
    this.#streamMs = 0
    for (const pcm of this.#lead) stream.push(pcm)
    this.#lead = []
    this.#leadMs = 0
    const text = this.#listen(stream)
    this.#told = this.#told.then(async () => {
      const said = await text
      if (said !== '' && !this.#stop.signal.aborted) onText(said)
    })
  }

  #finish(): void {
    this.#stream?.finish()
    this.#stream = null
    this.#silentMs = 0
  }

  async #listen(stream: SttStream): Promise<string> {
    const finals: string[] = []
    for await (const event of stream.events) {
      if (event.type === 'final') finals.push(event.text.trim())
      if (event.type === 'failed') this.#options.onFailure(event.failure)
      if (event.type === 'finished') break
    }
    stream.close()
    return finals.join(' ').trim()
  }
}
