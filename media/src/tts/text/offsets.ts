/** A stretch of the spoken text and where it comes from. `exact`: character for character; else the whole stretch stands for the whole source. */
type Stretch = { at: number; end: number; from: number; to: number; exact: boolean }

/** Text as it is spoken, with the way back to the text as it was written. */
export class SpokenText {
  #text = ''
  readonly #stretches: Stretch[] = []

  get text(): string {
    return this.#text
  }

  /** What is spoken as it is written. */
  keep(source: string, from: number, to: number): void {
    this.#add(source.slice(from, to), from, to, true)
  }

  /** `words` are said for `source.slice(from, to)`; no words: it is left out. */
  say(words: string, from: number, to: number): void {
    this.#add(words, from, to, false)
  }

  /** The written characters that `text.slice(start, end)` stands for. A start and an end inside a replaced stretch widen to all of its source. */
  source(start: number, end: number): { charStart: number; charEnd: number } {
    if (end <= start) return { charStart: this.#edge(start), charEnd: this.#edge(start) }
    const first = this.#stretchAt(start)
    const last = this.#stretchAt(end - 1)
    if (!first || !last) return { charStart: 0, charEnd: 0 }
    return { charStart: first.exact ? first.from + (start - first.at) : first.from, charEnd: last.exact ? last.from + (end - last.at) : last.to }
  }

  #add(words: string, from: number, to: number, exact: boolean): void {
    if (words === '') return
    const at = this.#text.length
    this.#text += words
    this.#stretches.push({ at, end: this.#text.length, from, to, exact })
  }

  #edge(at: number): number {
    const stretch = this.#stretchAt(at) ?? this.#stretches.at(-1)
    if (!stretch) return 0
    return at >= stretch.end ? stretch.to : stretch.exact ? stretch.from + (at - stretch.at) : stretch.from
  }

  #stretchAt(at: number): Stretch | undefined {
    let [low, high] = [0, this.#stretches.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#stretches[middle]!.at <= at) low = middle
      else high = middle - 1
    }
    const found = this.#stretches[low]
    return found && at >= found.at && at < found.end ? found : undefined
  }
}
