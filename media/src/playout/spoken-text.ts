import type { SpokenSpan } from '../tts/contract.ts'
import { wordTimes } from './word-times.ts'
import type { SpokenWord, ToldSpan } from './word-times.ts'

/** Speech of usual pace, for text whose length in sound is not known: about 150 words of six characters a minute. */
const CHARACTERS_PER_MS = 0.015
/** Engines round their times; a word whose end is a hair past the last sample was spoken. */
const ROUNDING_MS = 1

/** Knows words in scripts without spaces too. */
const words = new Intl.Segmenter(undefined, { granularity: 'word' })

/** What is to be said in one utterance, and when which character is spoken. */
export class SpokenText {
  text = ''
  /** No span, or spans that the engine only guessed. */
  estimated = true
  readonly #spans: ToldSpan[] = []
  #until = Infinity

  append(piece: string): void {
    this.text += piece
  }

  /** Behind this character nothing of it is spoken, whatever sound comes. */
  breakOff(charEnd: number): void {
    this.#until = Math.min(this.#until, charEnd)
  }

  /** Characters that all of its sound speaks. */
  get spokenLength(): number {
    return Math.min(this.text.length, this.#until)
  }

  addSpans(spans: readonly SpokenSpan[], estimated: boolean): void {
    this.estimated = estimated || (this.estimated && this.#spans.length > 0)
    for (const span of spans) this.#spans.push({ ...span, estimated })
  }

  /** How many characters have been spoken after `ms`, back to the border of a word. `totalMs`: how long all of it takes, if known. */
  charsAt(ms: number, totalMs: number | null): number {
    return this.#wordBorder(Math.min(this.spokenLength, this.#spans.length > 0 ? this.#bySpans(ms) : this.#byPace(ms, totalMs)))
  }

  /** When each word is spoken, counted from the first sample. */
  words(totalMs: number | null): SpokenWord[] {
    return wordTimes(this.text, this.#spans, totalMs, CHARACTERS_PER_MS)
  }

  #bySpans(ms: number): number {
    let chars = 0
    for (const { charEnd, endMs } of this.#spans) if (endMs <= ms + ROUNDING_MS && charEnd > chars) chars = charEnd
    return chars
  }

  #byPace(ms: number, totalMs: number | null): number {
    return Math.floor(totalMs ? (this.text.length * ms) / totalMs : ms * CHARACTERS_PER_MS)
  }

  #wordBorder(chars: number): number {
    if (chars <= 0 || chars >= this.text.length) return Math.max(0, chars)
    const around = words.segment(this.text).containing(chars)
    return around?.isWordLike && around.index < chars ? around.index : chars
  }
}
