import { earlyCut, forcedCut, sentenceCut } from './boundary.ts'

export type ChunkerOptions = {
  language: string | null
  /** The first chunk may leave at a word border once it has so many characters; 0 switches that off. */
  firstChars: number
  /** Sentences shorter than this wait for the next one. */
  minChars: number
  /** No chunk is longer. */
  maxChars: number
}

export const CHUNKER_DEFAULTS: ChunkerOptions = { language: null, firstChars: 20, minChars: 12, maxChars: 300 }

/** Characters behind the longest chunk that the rules for its end may look at. */
const LOOK_AHEAD = 64
/** A first sentence of up to so many times `firstChars` that is there already is spoken whole: cutting it would win nothing. */
const WORTH_A_CUT = 3

/** `charStart`: where it begins in all that was written. The texts of all chunks, joined, are exactly what was written. */
export type TextChunk = { text: string; charStart: number }

/**
 * Cuts a growing text into what can be spoken: the first clause or twenty characters as soon as they are there (the caller waits for
 * sound), then sentence by sentence (a voice needs the whole of one for its melody).
 */
export class Chunker {
  readonly #options: ChunkerOptions
  #pending = ''
  #charStart = 0
  #first = true

  constructor(options: Partial<ChunkerOptions> = {}) {
    this.#options = { ...CHUNKER_DEFAULTS, ...options }
  }

  write(text: string): TextChunk[] {
    this.#pending += text
    return this.#take(false)
  }

  /** Nothing follows: the rest is cut too. */
  end(): TextChunk[] {
    return this.#take(true)
  }

  #take(last: boolean): TextChunk[] {
    const chunks: TextChunk[] = []
    for (let at = this.#cut(last); at > 0; at = this.#cut(last)) {
      chunks.push({ text: this.#pending.slice(0, at), charStart: this.#charStart })
      this.#pending = this.#pending.slice(at)
      this.#charStart += at
      this.#first &&= chunks.at(-1)!.text.trim() === ''
    }
    return chunks
  }

  /** Length of the next chunk, or 0: not yet. */
  #cut(last: boolean): number {
    const { language, firstChars, minChars, maxChars } = this.#options
    // What lies further on cannot change this cut; so a whole book costs no more per chunk than a sentence.
    const text = this.#pending.slice(0, maxChars + LOOK_AHEAD)
    const whole = last && text.length === this.#pending.length
    const sentence = sentenceCut(text, { language, minChars: this.#first ? 1 : minChars, last: whole })
    const early = this.#first && firstChars > 0 && (sentence === 0 || sentence > firstChars * WORTH_A_CUT) ? earlyCut(text, firstChars) : 0
    const wanted = early || sentence
    if (wanted > 0 && wanted <= maxChars) return wanted
    if (text.length > maxChars) return forcedCut(text, maxChars)
    return wanted || (whole ? text.length : 0)
  }
}

/** All chunks of a text that is complete. Nothing is gained by an early first chunk then, unless asked for. */
export function chunksOf(text: string, options: Partial<ChunkerOptions> = {}): TextChunk[] {
  const chunker = new Chunker(options)
  return [...chunker.write(text), ...chunker.end()]
}
