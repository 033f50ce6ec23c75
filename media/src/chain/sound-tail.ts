import type { Pcm } from '../frame.ts'

/**
 * The last part of a sound, in blocks of a second: one allocation per second, and what is no longer needed goes by the block. Samples are
 * counted from the first that was ever appended.
 */
export class SoundTail {
  readonly #blockSamples: number
  readonly #maxSamples: number
  readonly #blocks: Pcm[] = []
  /** Of the first block's first sample. */
  #blocksStart = 0
  #start = 0
  #end = 0

  constructor(sampleRateHz: number, maxMs: number) {
    this.#blockSamples = sampleRateHz
    this.#maxSamples = Math.round((sampleRateHz * maxMs) / 1_000)
  }

  /** The first sample that is still here, and the one after the last. */
  get start(): number {
    return this.#start
  }
  get end(): number {
    return this.#end
  }

  append(pcm: Pcm): void {
    for (let at = 0; at < pcm.length; ) {
      const offset = (this.#end - this.#blocksStart) % this.#blockSamples
      if (offset === 0 && this.#end - this.#blocksStart === this.#blocks.length * this.#blockSamples) this.#blocks.push(new Int16Array(this.#blockSamples))
      const piece = pcm.subarray(at, at + this.#blockSamples - offset)
      this.#blocks.at(-1)!.set(piece, offset)
      at += piece.length
      this.#end += piece.length
    }
    this.dropBefore(this.#end - this.#maxSamples)
  }

  dropBefore(sample: number): void {
    this.#start = Math.min(this.#end, Math.max(this.#start, sample))
    while (this.#blocks.length > 0 && this.#blocksStart + this.#blockSamples <= this.#start) {
      this.#blocks.shift()
      this.#blocksStart += this.#blockSamples
    }
  }

  /** From the first kept sample (or `from`) up to `to`, in pieces; they are the tail's own memory. */
  *read(from = this.#start, to = this.#end): Generator<Pcm> {
    for (let at = Math.max(from, this.#start); at < to; ) {
      const block = Math.floor((at - this.#blocksStart) / this.#blockSamples)
      const offset = (at - this.#blocksStart) % this.#blockSamples
      const piece = this.#blocks[block]!.subarray(offset, Math.min(this.#blockSamples, offset + to - at))
      yield piece
      at += piece.length
    }
  }
}
