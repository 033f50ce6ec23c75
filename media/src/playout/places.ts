/** Sound that lies on the clock without a gap. */
type Stretch = { from: number; samples: number; atMs: number }

export type SoundPlacesOptions = {
  sampleRateHz: number
  /** Sound that begins this near to the end of the last is taken to follow it, as in the recording. Default 1. */
  snapMs?: number
  /** Older ones are forgotten. Default 64. */
  stretchesMax?: number
}

/**
 * Where each sample of one sound lies on a clock. What is put down a second time (after a pause speech goes on a little before the place
 * where it was cut) keeps its first place. Positions and times only grow, so words that are placed by it keep their order.
 */
export class SoundPlaces {
  readonly #perMs: number
  readonly #snapMs: number
  readonly #max: number
  readonly #stretches: Stretch[] = []

  constructor({ sampleRateHz, snapMs = 1, stretchesMax = 64 }: SoundPlacesOptions) {
    this.#perMs = sampleRateHz / 1_000
    this.#snapMs = snapMs
    this.#max = stretchesMax
  }

  /** Where the first sample that is known lies; null: there is none. */
  get startMs(): number | null {
    return this.#stretches[0]?.atMs ?? null
  }

  /** Where the last sample ends. */
  get endMs(): number | null {
    const last = this.#stretches.at(-1)
    return last ? this.#endOf(last) : null
  }

  /** `samples` of the sound, from its sample `from` on, lie at `atMs`. Cheap; with every frame. */
  put(from: number, samples: number, atMs: number): void {
    const last = this.#stretches.at(-1)
    if (!last) return void this.#stretches.push({ from, samples, atMs })
    const known = Math.max(0, last.from + last.samples - from)
    if (known >= samples) return
    const startMs = atMs + known / this.#perMs
    if (last.from + last.samples === from + known && Math.abs(this.#endOf(last) - startMs) <= this.#snapMs) {
      last.samples += samples - known
      return
    }
    // It lies over the end of what came before, and takes its place: the sender's clock was judged anew.
    this.cut(startMs)
    this.#add({ from: from + known, samples: samples - known, atMs: startMs })
  }

  /** What lies after `atMs` is not there after all. */
  cut(atMs: number): void {
    for (let last = this.#stretches.at(-1); last && this.#endOf(last) > atMs; last = this.#stretches.at(-1)) {
      last.samples = Math.max(0, Math.floor((atMs - last.atMs) * this.#perMs))
      if (last.samples > 0) return
      this.#stretches.pop()
    }
  }

  /** When the sound goes on from this sample: of a word, its beginning. Null: nothing is known. */
  beginOf(sample: number): number | null {
    const stretch = this.#stretches.find(({ from, samples }) => from + samples > sample)
    return stretch ? this.#at(stretch, sample) : this.endMs
  }

  /** When the sound has come to this sample: of a word, its end. A pause that begins there is not waited for. */
  endBefore(sample: number): number | null {
    const at = this.#stretches.findIndex(({ from, samples }) => from + samples >= sample)
    const stretch = this.#stretches[at]
    if (!stretch) return this.endMs
    const before = this.#stretches[at - 1]
    return before && sample <= stretch.from ? this.#endOf(before) : this.#at(stretch, sample)
  }

  #add(stretch: Stretch): void {
    this.#stretches.push(stretch)
    if (this.#stretches.length > this.#max) this.#stretches.shift()
  }

  #at({ from, atMs }: Stretch, sample: number): number {
    return atMs + Math.max(0, sample - from) / this.#perMs
  }

  #endOf({ samples, atMs }: Stretch): number {
    return atMs + samples / this.#perMs
  }
}
