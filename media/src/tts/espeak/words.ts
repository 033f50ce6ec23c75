import type { SpokenSpan } from '../contract.ts'
import { isSpeakable } from '../text/spoken.ts'
import type { SpeechMark } from './protocol.ts'

type Word = { charStart: number; charEnd: number; speakable: boolean }

/**
 * Makes spans of espeak's marks. Espeak reads one written word as several ("42", "$5", "😀") and several as one ("of the"), and its
 * lengths of words that it expands are odd: so its positions choose among the written words, and its pauses end them.
 */
export class WordTimes {
  readonly #words: Word[]
  /** Espeak counts code points, we count UTF-16 units. */
  readonly #offsets: number[]
  #at = -1
  #open: SpokenSpan | null = null
  #pauseMs: number | null = null

  constructor(text: string) {
    this.#words = [...text.matchAll(/\S+/gu)].map((match) => ({ charStart: match.index, charEnd: match.index + match[0].length, speakable: isSpeakable(match[0]) }))
    this.#offsets = codePointOffsets(text)
  }

  /** The words that are complete with these marks. */
  push(marks: readonly SpeechMark[]): SpokenSpan[] {
    const done: SpokenSpan[] = []
    for (const mark of marks) {
      if (mark[0] === 'w') this.#word(mark[1], mark[2], mark[3], done)
      else if (mark[0] === 'e') this.#close(mark[1], done)
      else if (mark[2] === '') this.#pauseMs ??= mark[1]
      else this.#pauseMs = null
    }
    return done
  }

  #word(atMs: number, at: number, length: number, done: SpokenSpan[]): void {
    const from = this.#offsets[Math.min(at, this.#offsets.length - 1)] ?? 0
    const to = this.#offsets[Math.min(at + length, this.#offsets.length - 1)] ?? from
    const index = this.#words.findLastIndex(({ charStart }) => charStart <= from)
    if (index > this.#at) {
      this.#takeSkipped(index)
      this.#close(atMs, done)
      this.#at = index
      const { charStart, charEnd } = this.#words[index]!
      this.#open = { charStart, charEnd, startMs: atMs, endMs: atMs }
    }
    const last = this.#words.findLastIndex(({ charEnd }) => charEnd <= to)
    if (this.#open && last > this.#at) {
      this.#at = last
      this.#open.charEnd = this.#words[last]!.charEnd
    }
    this.#pauseMs = null
  }

  /** "of the" is told as "of" alone, and spoken as one word: what was passed over belongs to the word before. */
  #takeSkipped(next: number): void {
    const skipped = this.#words.slice(this.#at + 1, next).findLast(({ speakable }) => speakable)
    if (this.#open && skipped) this.#open.charEnd = skipped.charEnd
  }

  #close(atMs: number, done: SpokenSpan[]): void {
    if (this.#open) done.push({ ...this.#open, endMs: this.#pauseMs ?? atMs })
    this.#open = null
    this.#pauseMs = null
  }
}

function codePointOffsets(text: string): number[] {
  const offsets: number[] = []
  let at = 0
  for (const point of text) {
    offsets.push(at)
    at += point.length
  }
  offsets.push(at)
  return offsets
}
