import type { Pcm, SampleRateHz } from '../frame.ts'
import { createResampler, type Resampler } from '../resample/resampler.ts'
import type { SttEngine, SttEvent, SttStream } from '../stt/contract.ts'
import type { SmartTurn, SmartTurnStream } from '../turn/smart/index.ts'
import type { Vad, VadStream } from '../vad/contract.ts'
import { SpeechEdges, type SpeechEdge } from '../vad/speech-edges.ts'

/** Both listen at telephone or wideband rate; what is richer is brought down once for both. */
export const LISTEN_HZ = { 8_000: 8_000, 16_000: 16_000, 24_000: 16_000, 48_000: 16_000 } as const satisfies Record<SampleRateHz, number>

export type EarsOptions = {
  sampleRateHz: SampleRateHz
  vad: Vad
  stt: SttEngine
  /** Null: pauses are judged by words and time alone. */
  smartTurn: SmartTurn | null
  language: string | null
  keyterms: readonly string[]
  signal: AbortSignal
  onEdge: (edge: SpeechEdge) => void
  onWords: (event: SttEvent) => void
  /** By the melody of what was said: how probable it is that the caller is done. */
  onVerdict: (probability: number) => void
}

/** What the caller's sound says: where speech begins and ends, and its words. */
export class Ears {
  readonly #resampler: Resampler | null
  readonly #vad: VadStream
  readonly #stt: SttStream
  readonly #edges = new SpeechEdges()
  readonly #smart: SmartTurnStream | null
  #closed = false

  constructor(options: EarsOptions) {
    const { sampleRateHz, vad, stt, language, keyterms, signal, onEdge, onWords, smartTurn, onVerdict } = options
    const rateHz = LISTEN_HZ[sampleRateHz]
    this.#resampler = rateHz === sampleRateHz ? null : createResampler({ fromHz: sampleRateHz, toHz: rateHz })
    this.#vad = vad.open({ sampleRateHz: rateHz, onProbability: (probability, endMs) => this.#edges.push(probability, endMs).forEach((edge) => this.#edge(edge, onEdge)) })
    this.#smart = smartTurn?.open({ sampleRateHz: rateHz, onVerdict }) ?? null
    this.#stt = stt.open({ sampleRateHz: rateHz, language, keyterms, signal })
    void this.#listen(onWords)
  }

  frame(pcm: Pcm): void {
    if (this.#closed) return
    const heard = this.#resampler ? this.#resampler.process(pcm) : pcm
    this.#vad.push(heard)
    this.#smart?.push(heard)
    this.#stt.push(heard)
  }

  /** The caller was answered: what comes next is another turn. */
  turnEnded(): void {
    this.#smart?.turnEnded()
  }

  #edge(edge: SpeechEdge, onEdge: EarsOptions['onEdge']): void {
    if (edge.type === 'start') this.#smart?.speechStarted()
    else this.#smart?.speechStopped()
    onEdge(edge)
  }

  finish(): void {
    this.#stt.finish()
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#vad.close()
    this.#stt.close()
    this.#smart?.close()
    this.#resampler?.close()
  }

  async #listen(onWords: (event: SttEvent) => void): Promise<void> {
    for await (const event of this.#stt.events) {
      if (this.#closed) return
      onWords(event)
    }
  }
}
