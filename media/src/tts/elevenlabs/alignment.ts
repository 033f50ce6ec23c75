import { z } from 'zod'
import type { SpokenSpan } from '../contract.ts'

/** One line of `/stream/with-timestamps`: sound, and the characters that begin in it with their seconds from the beginning of the whole. */
export const Line = z.object({
  audio_base64: z.string().nullish(),
  alignment: z.object({ characters: z.array(z.string()), character_start_times_seconds: z.array(z.number()), character_end_times_seconds: z.array(z.number()) }).nullish(),
})
type Alignment = NonNullable<z.infer<typeof Line>['alignment']>

/** Puts characters together to words. If it hears of other characters than were sent, it believes no more of it. */
export class WordAlignment {
  readonly #text: string
  #at = 0
  #word: SpokenSpan | null = null
  #lost = false

  constructor(text: string) {
    this.#text = text
  }

  push({ characters, character_start_times_seconds: starts, character_end_times_seconds: ends }: Alignment): SpokenSpan[] {
    const done: SpokenSpan[] = []
    for (let index = 0; index < characters.length && !this.#lost; index++) this.#character(characters[index]!, (starts[index] ?? 0) * 1_000, (ends[index] ?? 0) * 1_000, done)
    return done
  }

  /** The last word, which no space ends. */
  end(): SpokenSpan[] {
    const done: SpokenSpan[] = []
    if (!this.#lost) this.#close(done)
    return done
  }

  #character(character: string, startMs: number, endMs: number, done: SpokenSpan[]): void {
    if (!this.#text.startsWith(character, this.#at)) return void (this.#lost = true)
    const charStart = this.#at
    this.#at += character.length
    if (character.trim() === '') return this.#close(done)
    this.#word ??= { charStart, charEnd: charStart, startMs, endMs: startMs }
    this.#word.charEnd = this.#at
    this.#word.endMs = Math.max(this.#word.endMs, endMs)
  }

  #close(done: SpokenSpan[]): void {
    if (this.#word) done.push(this.#word)
    this.#word = null
  }
}
