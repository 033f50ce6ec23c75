/**
 * What was sent to a carrier and waits to be played, in simulated real time: 20 ms leave each time it is asked. Marks come back when
 * everything before them has been played; `clear` throws the rest away and gives its marks back, too.
 */
export class Playout {
  readonly #frameBytes: number
  readonly #silence: number
  readonly #chunks: Buffer[] = []
  readonly #marks: { name: string; at: number }[] = []
  #head = 0
  #pushed = 0
  #played = 0

  constructor(frameBytes: number, silence: number) {
    this.#frameBytes = frameBytes
    this.#silence = silence
  }

  get waitingBytes(): number {
    return this.#pushed - this.#played
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#chunks.push(bytes)
    this.#pushed += bytes.length
  }

  /** True when it comes back at once: nothing waits before it. */
  mark(name: string): boolean {
    if (this.#pushed === this.#played) return true
    this.#marks.push({ name, at: this.#pushed })
    return false
  }

  /** The marks that come back because of it, in order. */
  clear(): string[] {
    this.#chunks.length = 0
    this.#head = 0
    this.#played = this.#pushed
    return this.#marks.splice(0).map(({ name }) => name)
  }

  /** The next 20 ms into `out`; how many bytes of it are sound (the rest was filled with silence). */
  pull(out: Buffer): number {
    let filled = 0
    while (filled < this.#frameBytes && this.#chunks.length > 0) {
      const chunk = this.#chunks[0]!
      const taken = Math.min(this.#frameBytes - filled, chunk.length - this.#head)
      chunk.copy(out, filled, this.#head, this.#head + taken)
      filled += taken
      this.#head += taken
      if (this.#head === chunk.length) {
        this.#chunks.shift()
        this.#head = 0
      }
    }
    this.#played += filled
    if (filled < this.#frameBytes) out.fill(this.#silence, filled, this.#frameBytes)
    return filled
  }

  /** Marks that have been reached since the last time. */
  takeMarks(): string[] {
    let count = 0
    while (count < this.#marks.length && this.#marks[count]!.at <= this.#played) count++
    return count === 0 ? NONE : this.#marks.splice(0, count).map(({ name }) => name)
  }
}

const NONE: string[] = []
