import type { Pcm } from '../../frame.ts'

/** 160 ms. A source whose clock runs faster than ours would grow the delay for ever; the oldest frame gives way. */
const CAPACITY = 8

/** Frames that wait for their slot in the mix. All memory is taken at once: nothing is allocated per frame. */
export class FrameQueue {
  readonly #frames: Pcm[]
  #head = 0
  #count = 0
  #cushioned = false
  #waited = false

  constructor(samples: number) {
    const memory = new Int16Array(samples * CAPACITY)
    this.#frames = Array.from({ length: CAPACITY }, (_, n) => memory.subarray(n * samples, (n + 1) * samples))
  }

  /** Copies: the frame is only lent. */
  push(pcm: Pcm): void {
    if (this.#count === CAPACITY) this.#drop()
    this.#frames[(this.#head + this.#count) % CAPACITY]!.set(pcm)
    this.#count++
  }

  /**
   * The frame of this slot, or null. After a pause the first frame waits one slot more: a source whose frames jitter by
   * less than a frame is then never found empty in the middle of a word. Valid until the next `push`.
   */
  take(): Pcm | null {
    if (this.#count === 0) return this.#rest()
    if (!this.#cushioned && !this.#waited) {
      this.#waited = true
      return null
    }
    this.#cushioned = true
    const frame = this.#frames[this.#head]!
    this.#drop()
    return frame
  }

  /** All that waits, oldest first. */
  forEach(use: (frame: Pcm) => void): void {
    for (let n = 0; n < this.#count; n++) use(this.#frames[(this.#head + n) % CAPACITY]!)
  }

  clear(): void {
    this.#count = 0
    this.#rest()
  }

  #drop(): void {
    this.#head = (this.#head + 1) % CAPACITY
    this.#count--
  }

  #rest(): null {
    this.#cushioned = false
    this.#waited = false
    return null
  }
}
