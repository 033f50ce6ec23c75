import { createHash } from 'node:crypto'
import { confidenceOf } from '../hearing.ts'
import type { Hearing, HeardWord } from '../hearing.ts'
import type { ListenQuery } from './query.ts'

type Flags = { isFinal: boolean; speechFinal: boolean; fromFinalize?: boolean }
export type SessionFacts = { requestId: string; query: ListenQuery; hearing: Hearing; say: (json: string, isFinal: boolean) => void }

/** Speech that goes on is made final in portions of about this length (Deepgram docs, "interim results": 3-5 s). Silence before it does not count: a first word is no portion. */
const PORTION_MS = 4_000
/** No result, not even from `Finalize`, for less sound than this ("noticeable amount of audio buffered", Deepgram docs). */
const NOTICEABLE_MS = 20
const MODEL_UUID = '5b0b7a2e-3c2d-4a9b-8f11-1f0c9f7b0001'

const seconds = (ms: number): number => Math.round(ms) / 1_000

/** What Deepgram says of the sound so far. Its time is the sound's own, so the same sound always gets the same answers. */
export class ListenSession {
  readonly #facts: SessionFacts
  #fromMs = 0
  #told = ''
  #speaking = false
  #lastWordMs: number | null = null
  readonly #finals: string[] = []

  constructor(facts: SessionFacts) {
    this.#facts = facts
  }

  /** All that became final, for the journal. */
  get text(): string {
    return this.#finals.join(' ')
  }

  push(pcm: Int16Array): void {
    const { query, hearing } = this.#facts
    hearing.push(pcm)
    const words = hearing.words()
    if (words.length > 0) this.#speech(words)
    const pauseMs = query.endpointingMs
    if (words.length > 0 && pauseMs !== null && hearing.silenceMs >= Math.max(pauseMs, 10)) return this.#final({ isFinal: true, speechFinal: true })
    if (words.length > 0 && hearing.nowMs - Math.max(this.#fromMs, words[0]!.startMs) >= PORTION_MS && hearing.silenceMs > 0) return this.#final({ isFinal: true, speechFinal: false })
    this.#silence()
  }

  finalize(): void {
    if (this.#facts.hearing.nowMs - this.#fromMs >= NOTICEABLE_MS) this.#final({ isFinal: true, speechFinal: true, fromFinalize: true })
  }

  /** `CloseStream`: what is left, and the summary. */
  close(): void {
    const { hearing, requestId } = this.#facts
    if (hearing.nowMs > this.#fromMs) this.#final({ isFinal: true, speechFinal: false })
    const sha256 = createHash('sha256').update(requestId).digest('hex')
    this.#say({ type: 'Metadata', transaction_key: 'deprecated', request_id: requestId, sha256, created: new Date().toISOString(), duration: seconds(hearing.nowMs), channels: 1 })
  }

  #speech(words: readonly HeardWord[]): void {
    const { query } = this.#facts
    if (!this.#speaking && query.vadEvents) this.#say({ type: 'SpeechStarted', channel: [0], timestamp: seconds(words[0]!.startMs) })
    this.#speaking = true
    const text = words.map((word) => word.text).join(' ')
    if (!query.interim || text === this.#told) return
    this.#told = text
    this.#say(this.#results(words, { isFinal: false, speechFinal: false }))
  }

  /** An utterance ended so long ago that even slow talkers are done. */
  #silence(): void {
    const { query, hearing } = this.#facts
    if (this.#lastWordMs === null || query.utteranceEndMs === null || hearing.startedMs !== null || hearing.silenceMs === 0) return
    if (hearing.nowMs - this.#lastWordMs < query.utteranceEndMs) return
    this.#say({ type: 'UtteranceEnd', channel: [0, 1], last_word_end: seconds(this.#lastWordMs) })
    this.#lastWordMs = null
  }

  #final(flags: Flags): void {
    const words = this.#facts.hearing.take()
    this.#say(this.#results(words, flags), true)
    if (words.length > 0) {
      this.#finals.push(words.map((word) => word.text).join(' '))
      this.#lastWordMs = words.at(-1)!.endMs
    }
    this.#fromMs = this.#facts.hearing.nowMs
    this.#told = ''
    if (flags.speechFinal) this.#speaking = false
  }

  #results(words: readonly HeardWord[], { isFinal, speechFinal, fromFinalize = false }: Flags) {
    const { query, requestId, hearing } = this.#facts
    const plain = words.map((word) => word.text.toLowerCase().replaceAll(/[.,!?;:]+$/g, ''))
    const transcript = query.punctuate ? words.map((word) => word.text).join(' ') : plain.join(' ')
    const wireWords = words.map((word, index) => ({ word: plain[index], start: seconds(word.startMs), end: seconds(word.endMs), confidence: word.confidence, ...(query.punctuate ? { punctuated_word: word.text } : {}), ...(query.language === 'multi' ? { language: 'en' } : {}) }))
    const alternative = { transcript, confidence: confidenceOf(words), ...(query.language === 'multi' ? { languages: ['en'] } : {}), words: wireWords }
    const modelInfo = { name: query.model, version: '2025-01-09.0', arch: query.model.split('-').slice(0, 2).join('-') }
    return {
      type: 'Results', channel_index: [0, 1], duration: seconds(hearing.nowMs - this.#fromMs), start: seconds(this.#fromMs), is_final: isFinal, speech_final: speechFinal,
      channel: { alternatives: [alternative] }, metadata: { request_id: requestId, model_info: modelInfo, model_uuid: MODEL_UUID }, from_finalize: fromFinalize,
    }
  }

  #say(message: object, isFinal = false): void {
    this.#facts.say(JSON.stringify(message), isFinal)
  }
}
