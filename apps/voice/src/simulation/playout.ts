import type { Pcm } from '@trunkline/media'

/** What was sent to the caller's side and waits to be heard. Marks come back when all before them was heard, or thrown away. */
export class Playout {
  readonly #chunks: Pcm[] = []
  readonly #marks: { name: string; at: number }[] = []
  #head = 0
  #pushed = 0
  #played = 0

  push(pcm: Pcm): void {
    this.#chunks.push(pcm)
    this.#pushed += pcm.length
  }

  mark(name: string): void {
    this.#marks.push({ name, at: this.#pushed })
  }

  clear(): void {
    this.#chunks.length = 0
    this.#head = 0
    this.#played = this.#pushed
  }

  get isEmpty(): boolean {
    return this.#pushed === this.#played
  }

  /** The next samples into `out`, silence where there are none. */
  pull(out: Pcm): void {
    let filled = 0
    while (filled < out.length && this.#chunks.length > 0) {
      const chunk = this.#chunks[0]!
      const taken = Math.min(out.length - filled, chunk.length - this.#head)
      out.set(chunk.subarray(this.#head, this.#head + taken), filled)
      filled += taken
      this.#head += taken
      if (this.#head < chunk.length) continue
      this.#chunks.shift()
      this.#head = 0
    }
    this.#played += filled
    out.fill(0, filled)
  }

  /** Marks that were reached since the last time. */
  reached(): string[] {
    const count = this.#marks.findIndex(({ at }) => at > this.#played)
    return this.#marks.splice(0, count < 0 ? this.#marks.length : count).map(({ name }) => name)
  }
}
