import { z } from 'zod'
import { targetMatches } from '../journal/entry.ts'

/** What a recogniser will say of sound that is no sandbox voice (a human, espeak), or, with `force`, of any sound. */
export const ScriptLine = z.strictObject({
  text: z.string().max(5_000),
  confidence: z.number().min(0).max(1).default(0.97),
  /** Journal name of one recogniser (`deepgram.listen`), `openai.*`; absent: whoever listens next. */
  target: z.string().max(128).optional(),
  /** Also instead of words that could be understood. */
  force: z.boolean().default(false),
})
export type ScriptLine = z.infer<typeof ScriptLine>

const MAX_LINES = 10_000

/** Lines are used up in order, one per utterance. */
export class SpeechScript {
  readonly #lines: ScriptLine[] = []

  add(lines: readonly ScriptLine[]): void {
    this.#lines.push(...lines)
    if (this.#lines.length > MAX_LINES) this.#lines.splice(0, this.#lines.length - MAX_LINES)
  }

  /** The next line for this recogniser. `understood`: there were words, so only a forced line counts. */
  take(target: string, understood: boolean): ScriptLine | null {
    const index = this.#lines.findIndex((line) => (line.target === undefined || targetMatches(line.target, target)) && (line.force || !understood))
    return index === -1 ? null : this.#lines.splice(index, 1)[0]!
  }

  get length(): number {
    return this.#lines.length
  }

  clear(): void {
    this.#lines.length = 0
  }
}
