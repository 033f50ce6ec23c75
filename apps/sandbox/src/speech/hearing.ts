import { Ear } from './ear.ts'
import type { Heard } from './ear.ts'
import type { ScriptLine, SpeechScript } from './script.ts'

export type HeardWord = { text: string; startMs: number; endMs: number; confidence: number }

/** What somebody says when nothing can be understood; the confidence tells it. */
const UNCLEAR = 'unclear'
/** A scripted line is uncovered at this pace while its sound goes on. */
const SCRIPT_WORD_MS = 250

/**
 * One recognition: the ear, and the script for what the ear cannot read. `words` are those of the utterance that nobody took yet; they
 * only grow, until `take`.
 */
export class Hearing {
  readonly #ear: Ear
  readonly #script: SpeechScript
  readonly #target: string
  #pieces: Heard[] = []
  #line: ScriptLine | null = null
  #lineFromMs = 0

  constructor(sampleRateHz: number, script: SpeechScript, target: string) {
    this.#ear = new Ear(sampleRateHz, (heard) => this.#pieces.push(heard))
    this.#script = script
    this.#target = target
  }

  get nowMs(): number {
    return this.#ear.nowMs
  }

  /** Silence at the end of what was pushed; 0 while something sounds. */
  get silenceMs(): number {
    const since = this.#ear.silentSinceMs
    return since === null ? 0 : this.nowMs - since
  }

  /** When the speech that nobody took yet began. */
  get startedMs(): number | null {
    return this.#pieces[0]?.startMs ?? null
  }

  push(pcm: Int16Array): void {
    this.#ear.push(pcm)
  }

  /** The words up to now; of a scripted line as many as there was time for. */
  words(): HeardWord[] {
    if (this.#pieces.length === 0) return []
    this.#consult()
    const untilMs = this.#pieces.at(-1)!.endMs
    if (this.#line) return spread(this.#line, this.#lineFromMs, untilMs, Math.ceil((untilMs - this.#lineFromMs) / SCRIPT_WORD_MS))
    return this.#pieces.filter((piece) => piece.text !== null || !this.#pieces.some(({ text }) => text !== null)).map(wordOf)
  }

  /** All words of the utterance, which then is over. */
  take(): HeardWord[] {
    this.#ear.flush()
    if (this.#pieces.length === 0) return []
    this.#consult()
    const words = this.#line ? spread(this.#line, this.#lineFromMs, this.#pieces.at(-1)!.endMs) : this.words()
    this.#pieces = []
    this.#line = null
    return words
  }

  /** Asks the script once per utterance: when it begins, and again when foreign sound turns out to be words or the reverse. */
  #consult(): void {
    if (this.#line) return
    const understood = this.#pieces.some(({ text }) => text !== null)
    this.#line = this.#script.take(this.#target, understood)
    this.#lineFromMs = this.#pieces[0]!.startMs
  }
}

const wordOf = ({ text, ...rest }: Heard): HeardWord => ({ ...rest, text: text ?? UNCLEAR })

function spread({ text, confidence }: ScriptLine, startMs: number, endMs: number, count = Infinity): HeardWord[] {
  const words = text.split(/\s+/).filter((word) => word !== '')
  const each = (endMs - startMs) / Math.max(1, words.length)
  return words.slice(0, count).map((word, index) => ({ text: word, startMs: startMs + index * each, endMs: startMs + (index + 1) * each, confidence }))
}

export const textOf = (words: readonly HeardWord[]): string => words.map(({ text }) => text).join(' ')
export const confidenceOf = (words: readonly HeardWord[]): number => (words.length === 0 ? 0 : words.reduce((sum, { confidence }) => sum + confidence, 0) / words.length)

/** A whole recording at once. */
export function hearAll(pcm: Int16Array, sampleRateHz: number, script: SpeechScript, target: string): HeardWord[] {
  const hearing = new Hearing(sampleRateHz, script, target)
  hearing.push(pcm)
  return hearing.take()
}
