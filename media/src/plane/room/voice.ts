import { frameSamples } from '../../frame.ts'
import type { Pcm, SampleRateHz } from '../../frame.ts'
import { FrameQueue } from './frame-queue.ts'
import { Rates } from './rates.ts'

export type Listener = { readonly sampleRateHz: SampleRateHz; hear(pcm: Pcm): void }

/** What one source says: at once to those who hear nothing else, by way of the next mix to the others. */
export class Voice {
  readonly rateHz: SampleRateHz
  /** The frame of this slot, for the mix. */
  readonly mixed: Rates
  readonly #live: Rates
  readonly #queue: FrameQueue
  #alone: readonly Listener[] = []
  #isMixed = false

  constructor(rateHz: SampleRateHz) {
    this.rateHz = rateHz
    this.mixed = new Rates(rateHz)
    this.#live = new Rates(rateHz)
    this.#queue = new FrameQueue(frameSamples(rateHz))
  }

  /**
   * `alone`: those who hear only this voice. `isMixed`: others hear it among several. Who leaves a mix gets at once what
   * lay waiting in it: a word must not break because a supervisor hung up.
   */
  heardBy(alone: readonly Listener[], isMixed: boolean): void {
    const leftMix = this.#isMixed ? alone.filter((leg) => !this.#alone.includes(leg)) : []
    this.#alone = alone
    this.#isMixed = isMixed
    if (leftMix.length > 0) this.#queue.forEach((frame) => this.#tell(leftMix, frame))
    if (!isMixed) this.#queue.clear()
  }

  say(pcm: Pcm): void {
    if (this.#isMixed) this.#queue.push(pcm)
    if (this.#alone.length > 0) this.#tell(this.#alone, pcm)
  }

  nextSlot(): void {
    this.mixed.begin(this.#queue.take())
  }

  close(): void {
    this.#live.close()
    this.mixed.close()
  }

  #tell(listeners: readonly Listener[], pcm: Pcm): void {
    this.#live.begin(pcm)
    for (const listener of listeners) listener.hear(this.#live.at(listener.sampleRateHz))
  }
}
