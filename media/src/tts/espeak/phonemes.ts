import type { EspeakPool } from './pool.ts'
import type { SpeechMark } from './protocol.ts'

/** What local voices were trained on: espeak's IPA of one clause, words apart, and the mark that ends it in the text. */
export type Clause = { words: string[]; mark: string }

const CLAUSE_MARKS = /[.,;:!?…。，；：！？、]/u
/** In a foreign word espeak tells the language it switches to: "(en)". */
const LANGUAGE_FLAG = /^\([a-z-]+\)$/u

/** Espeak's reading of a text. `voice` as in the models' own settings (`en-us`). Throws SpeechError. */
export async function phonemesOf(pool: EspeakPool, text: string, voice: string, signal: AbortSignal): Promise<Clause[]> {
  const reader = new ClauseReader(text)
  for await (const sound of pool.say({ text, voice, rate: 175, pitch: 50, range: 50, sound: false }, signal)) if ('marks' in sound) reader.push(sound.marks)
  return reader.clauses
}

class ClauseReader {
  readonly clauses: Clause[] = []
  readonly #points: string[]
  #words: string[] = []
  #wordEnd = 0

  constructor(text: string) {
    this.#points = Array.from(text)
  }

  push(marks: readonly SpeechMark[]): void {
    for (const mark of marks) {
      if (mark[0] === 'w') this.#word(mark[2], mark[3])
      else if (mark[0] === 'e') this.#end(mark[2])
      else if (!LANGUAGE_FLAG.test(mark[2]) && mark[2] !== '') this.#sound(mark[2])
    }
  }

  #word(at: number, length: number): void {
    if (this.#words.at(-1) !== '') this.#words.push('')
    this.#wordEnd = at + length
  }

  #sound(ipa: string): void {
    if (this.#words.length === 0) this.#words.push('')
    this.#words.push(`${this.#words.pop()!}${ipa}`)
  }

  /** Its lengths of words that it expands are odd, so the first mark behind the last word counts. */
  #end(at: number): void {
    const words = this.#words.filter((word) => word !== '')
    const mark = this.#points.slice(this.#wordEnd - 1, at + 1).find((sign) => CLAUSE_MARKS.test(sign)) ?? ''
    if (words.length > 0) this.clauses.push({ words, mark: narrow(mark) })
    this.#words = []
  }
}

const NARROW: Record<string, string> = { '。': '.', '…': '.', '，': ',', '、': ',', '；': ';', '：': ':', '！': '!', '？': '?' }
const narrow = (mark: string): string => NARROW[mark] ?? mark
