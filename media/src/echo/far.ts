import { BAND_WINDOW, BANDS, type BandPowers } from '../dsp/bands.ts'
import { meanSquare } from '../dsp/probe.ts'
import type { Pcm } from '../frame.ts'

/** Everything is compared in steps of 10 ms, 80 samples at 8 kHz. */
export const HOP_SAMPLES = 80
export const HOP_MS = 10
/** How much of the past counts when two sounds are compared: what is 400 ms old counts a third. */
export const KEEP = 0.975
/** Power in a band below which there is nothing (about -66 dBm0): loudness is counted from here on, in octaves. */
const FLOOR = 300
/** A room gives back what was said for so long: 1 dB less with every hop. */
const REVERB = 10 ** (-1 / 10)
/** Hops that are remembered: the longest delay, what is sent ahead, and room. */
const RING = 512

export const loudnessOf = (power: number): number => Math.log2(1 + power / FLOOR)

/** A stream, hop after hop, and the bands of its last 25 ms. */
export class HopBands {
  readonly #window = new Float64Array(BAND_WINDOW)
  readonly #powers = new Float64Array(BANDS)

  /** `from`: of 80 samples at 8 kHz. */
  push(pcm: Pcm, from: number): void {
    this.#window.copyWithin(0, HOP_SAMPLES)
    const at = BAND_WINDOW - HOP_SAMPLES
    for (let n = 0; n < HOP_SAMPLES; n++) this.#window[at + n] = pcm[from + n]!
  }

  /** Valid until the next call. Silence is most of what is played, and has no bands. */
  measure(bands: BandPowers): Float64Array {
    if (meanSquare(this.#window) < 1) this.#powers.fill(0)
    else bands.measure(this.#window, this.#powers)
    return this.#powers
  }

  reset(): void {
    this.#window.fill(0)
  }
}

/**
 * What we played, hop by hop of the clock, as it may come back: its loudness in each band, the means of it, and how strong it still is in a
 * room. Hops may be written again (sound that was taken back and sent anew); hops nobody wrote are silence.
 */
export class FarEnd {
  readonly loudness = new Float64Array(RING * BANDS)
  /** Running mean of loudness by band, and of its square over all bands. */
  readonly mean = new Float64Array(RING * BANDS)
  readonly square = new Float64Array(RING)
  /** Power with its reverberation. */
  readonly lingering = new Float64Array(RING * BANDS)
  readonly #hop = new HopBands()
  readonly #bands: BandPowers
  /** The first hop that is not written. */
  #next = 0
  #first = 0
  #began = false

  constructor(bands: BandPowers) {
    this.#bands = bands
  }

  /** Whether the ring holds this hop. */
  has(hop: number): boolean {
    return hop >= this.#first && hop < this.#next && hop >= this.#next - RING
  }

  slot(hop: number): number {
    return hop % RING
  }

  /** Running loudness of what was played up to this hop, all bands together; fades within two seconds. */
  loudnessAround(hop: number): number {
    if (!this.has(hop)) return 0
    let sum = 0
    for (let band = 0, at = this.slot(hop) * BANDS; band < BANDS; band++, at++) sum += this.mean[at]!
    return sum
  }

  /** Sound at 8 kHz that is due from `hop` on. */
  write(pcm: Pcm, hop: number): void {
    this.#goTo(hop)
    for (let from = 0; from + HOP_SAMPLES <= pcm.length; from += HOP_SAMPLES) this.#append(pcm, from)
  }

  /** What is not written before this hop is silence. */
  fill(hop: number): void {
    if (this.#began && hop > this.#next) this.#goTo(hop)
  }

  /** What was due from this hop on is not played. */
  cut(hop: number): void {
    if (this.#began && hop < this.#next) this.#goTo(hop)
  }

  #goTo(hop: number): void {
    if (!this.#began || hop - this.#next > RING || hop < this.#next - RING / 2) return this.#begin(hop)
    if (hop === this.#next) return
    if (hop < this.#next) {
      this.#next = Math.max(hop, this.#first)
      this.#hop.reset()
    }
    while (this.#next < hop) this.#append(SILENCE, 0)
  }

  #begin(hop: number): void {
    this.#began = true
    this.#first = hop
    this.#next = hop
    this.#hop.reset()
  }

  #append(pcm: Pcm, from: number): void {
    this.#hop.push(pcm, from)
    const powers = this.#hop.measure(this.#bands)
    const slot = this.#next % RING
    const before = this.#next > this.#first ? ((this.#next - 1) % RING) * BANDS : -1
    let square = 0
    for (let band = 0, at = slot * BANDS; band < BANDS; band++, at++) {
      const power = powers[band]!
      const loudness = loudnessOf(power)
      square += loudness * loudness
      this.loudness[at] = loudness
      this.mean[at] = (before < 0 ? 0 : KEEP * this.mean[before + band]!) + (1 - KEEP) * loudness
      this.lingering[at] = Math.max(power, before < 0 ? 0 : REVERB * this.lingering[before + band]!)
    }
    this.square[slot] = (before < 0 ? 0 : KEEP * this.square[before / BANDS]!) + (1 - KEEP) * square
    this.#next++
  }
}

const SILENCE = new Int16Array(HOP_SAMPLES)
