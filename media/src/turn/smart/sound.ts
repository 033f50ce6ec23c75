import type { Pcm } from '../../frame.ts'

/** The last seconds of a stream. */
export class RecentSound {
  readonly #ring: Int16Array
  #written = 0

  constructor(samples: number) {
    this.#ring = new Int16Array(samples)
  }

  /** Samples that were pushed. */
  get written(): number {
    return this.#written
  }

  push(pcm: Pcm): void {
    const ring = this.#ring
    const from = Math.max(0, pcm.length - ring.length)
    let at = (this.#written + from) % ring.length
    for (let index = from; index < pcm.length; index++) {
      ring[at] = pcm[index]!
      at = at + 1 === ring.length ? 0 : at + 1
    }
    this.#written += pcm.length
  }

  /** From sample `from` of the stream on, as much of it as is still there; memory of its own. */
  since(from: number): Int16Array<ArrayBuffer> {
    const { length } = this.#ring
    const first = Math.max(0, from, this.#written - length)
    const sound = new Int16Array(Math.max(0, this.#written - first))
    for (let index = 0; index < sound.length; index++) sound[index] = this.#ring[(first + index) % length]!
    return sound
  }
}
