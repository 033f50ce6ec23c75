import type { Pcm, SampleRateHz } from '../../frame.ts'
import { createResampler } from '../../resample/resampler.ts'
import type { Resampler } from '../../resample/resampler.ts'

/** One stream of frames at every rate that somebody wants it in. A frame is converted once per rate, however many listen. */
export class Rates {
  readonly #ownHz: SampleRateHz
  readonly #streams = new Map<SampleRateHz, { resampler: Resampler; frame: Pcm | null }>()
  #frame: Pcm | null = null

  constructor(ownHz: SampleRateHz) {
    this.#ownHz = ownHz
  }

  /** The next frame of the stream, or null when this slot has none. */
  begin(frame: Pcm | null): void {
    this.#frame = frame
    for (const stream of this.#streams.values()) stream.frame = null
  }

  get present(): boolean {
    return this.#frame !== null
  }

  /** The frame itself where the rates are equal: no copy. Only after `begin` with a frame. */
  at(rateHz: SampleRateHz): Pcm {
    const frame = this.#frame!
    if (rateHz === this.#ownHz) return frame
    const stream = this.#stream(rateHz)
    stream.frame ??= stream.resampler.process(frame)
    return stream.frame
  }

  close(): void {
    for (const { resampler } of this.#streams.values()) resampler.close()
    this.#streams.clear()
  }

  #stream(rateHz: SampleRateHz): { resampler: Resampler; frame: Pcm | null } {
    const known = this.#streams.get(rateHz)
    if (known) return known
    const made = { resampler: createResampler({ fromHz: this.#ownHz, toHz: rateHz }), frame: null }
    this.#streams.set(rateHz, made)
    return made
  }
}
