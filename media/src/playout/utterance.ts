import type { Pcm } from '../frame.ts'

/** The sound of one utterance that has come so far. Keeps what was taken lately, so that a pause can go back to what was heard. */
export class Utterance {
  readonly id: string
  ended = false
  /** The next sample to be taken, counted from the first of the utterance. */
  position = 0
  readonly #chunks: Pcm[] = []
  /** Sample number of the first chunk's first sample. */
  #base = 0
  #length = 0
  /** Where `position` lies: the chunk, and the sample number that it begins with. */
  #chunk = 0
  #chunkStart = 0

  constructor(id: string) {
    this.id = id
  }

  get available(): number {
    return this.#length - this.position
  }

  /** Samples in all, as far as they have come. */
  get length(): number {
    return this.#length
  }

  get exhausted(): boolean {
    return this.ended && this.position === this.#length
  }

  append(pcm: Pcm): void {
    if (pcm.length === 0) return
    this.#chunks.push(pcm)
    this.#length += pcm.length
  }

  /** Copies up to `count` samples to `out` from `at` on; answers how many. */
  take(out: Pcm, at: number, count: number): number {
    const wanted = Math.min(count, this.available)
    for (let taken = 0; taken < wanted; ) {
      const chunk = this.#chunks[this.#chunk]!
      const from = this.position - this.#chunkStart
      const size = Math.min(wanted - taken, chunk.length - from)
      out.set(chunk.subarray(from, from + size), at + taken)
      taken += size
      this.position += size
      if (from + size === chunk.length) this.#advanceChunk(chunk.length)
    }
    return wanted
  }

  #advanceChunk(length: number): void {
    this.#chunk++
    this.#chunkStart += length
  }

  /** Goes back to `sample`, or as near as what is kept allows. */
  seek(sample: number): void {
    this.position = Math.min(Math.max(sample, this.#base), this.#length)
    this.#chunk = 0
    this.#chunkStart = this.#base
    while (this.#chunk < this.#chunks.length && this.#chunkStart + this.#chunks[this.#chunk]!.length <= this.position) {
      this.#advanceChunk(this.#chunks[this.#chunk]!.length)
    }
  }

  /** Forgets chunks that lie wholly more than `keep` samples behind. */
  forget(keep: number): void {
    while (this.#chunk > 0 && this.#base + this.#chunks[0]!.length < this.position - keep) {
      this.#base += this.#chunks.shift()!.length
      this.#chunk--
    }
  }
}
