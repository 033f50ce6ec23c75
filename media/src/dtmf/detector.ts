import { meanSquare, offsetHz, Probe, toneMeanSquare } from '../dsp/probe.ts'
import { Windows } from '../dsp/windows.ts'
import type { Pcm, SampleRateHz } from '../frame.ts'
import { digitAt, HIGH_HZ, LOW_HZ, type DtmfDigit } from './contract.ts'

export type DtmfOptions = {
  sampleRateHz: SampleRateHz
  /** Told once per key, when it is sure; `atMs` is where its tone was first seen, of the sound that was pushed. */
  onDigit: (digit: DtmfDigit, atMs: number) => void
  /** The tone has ended; `durationMs` is good to 10 ms. */
  onRelease?: (digit: DtmfDigit, durationMs: number) => void
}

/** Keys that were pressed, as they sound in a line. */
export type DtmfDetector = {
  push(pcm: Pcm): void
  /** Idempotent. */
  close(): void
}

/** 20 ms, moved by 10: of a tone of 40 ms (which Q.24 wants to be known) two windows see nothing else, of one under 30 ms (which it does not want) never two. */
const WINDOW = 160
const HOP = 80
const HOP_MS = 10
/** A receiver takes signals down to -25 dBm0 (Q.24 table A-1); a little more for lines that are faint. */
const MIN_POWER = toneMeanSquare(-32)
/** High over low group. The widest of the table: 4 dB over (AT&T), 10 dB under (Australia); here with room for handsets that differ. */
const TWIST_MAX_DB = 6
const TWIST_MIN_DB = -10
/** Q.24: 1.5 % beside is to be taken, 3.5 % is not. */
const OFFSET_SHARE = 0.025
/** Both tones are so much of all that is heard; a voice is never (its harmonics lie elsewhere, too). 12 dB of noise are left room for. */
const MIN_SHARE = 0.88
/** A tone is steady; a voice that passes through is not. */
const STEADY_DB = 3
/** So many windows without it: three are what an interruption of 10 ms spoils (Q.24), five what a pause of 40 ms does. */
const GONE_WINDOWS = 4

const db = (ratio: number): number => 10 * Math.log10(ratio)

/** Which two tones a window holds; written anew with every window. */
type Look = { key: number; power: number; sure: boolean }

export function createDtmfDetector(options: DtmfOptions): DtmfDetector {
  const detector = new Detector(options)
  return new Windows({ sampleRateHz: options.sampleRateHz, windowSamples: WINDOW, hopSamples: HOP, onWindow: (window, endMs) => detector.window(window, endMs) })
}

class Detector {
  readonly #options: DtmfOptions
  readonly #low = new Group(LOW_HZ)
  readonly #high = new Group(HIGH_HZ)
  readonly #look: Look = { key: -1, power: 0, sure: false }
  #lastKey = -1
  #lastPower = 0
  /** The key that is down, when it was first and last seen, and how many windows have not seen it since. */
  #down: DtmfDigit | null = null
  #downKey = -1
  #downMs = 0
  #seenMs = 0
  #missed = 0

  constructor(options: DtmfOptions) {
    this.#options = options
  }

  window(window: Float64Array, endMs: number): void {
    this.#take(window)
    const { key, power, sure } = this.#look
    const holds = sure && key === this.#lastKey && Math.abs(db(power / this.#lastPower)) < STEADY_DB
    this.#lastKey = key
    this.#lastPower = power
    if (holds) this.#hit(key, endMs)
    else if (key !== this.#downKey) this.#miss()
  }

  /** Cheapest first: most windows of a call are silence or speech. */
  #take(window: Float64Array): void {
    const look = this.#look
    look.key = -1
    look.sure = false
    const total = meanSquare(window)
    if (total < 2 * MIN_POWER) return
    const low = this.#low.measure(window)
    const high = this.#high.measure(window)
    const [lowPower, highPower] = [low.power, high.power]
    look.power = lowPower + highPower
    if (look.power < MIN_SHARE * total || lowPower < MIN_POWER || highPower < MIN_POWER) return
    const twistDb = db(highPower / lowPower)
    if (twistDb > TWIST_MAX_DB || twistDb < TWIST_MIN_DB) return
    look.key = low.index * 4 + high.index
    look.sure = low.near && high.near
  }

  #hit(key: number, endMs: number): void {
    this.#missed = 0
    this.#seenMs = endMs
    if (this.#downKey === key) return
    this.#release()
    this.#downKey = key
    this.#down = digitAt(key >> 2, key & 3)
    this.#downMs = endMs - HOP_MS - (WINDOW / 8)
    this.#options.onDigit(this.#down, this.#downMs)
  }

  #miss(): void {
    if (this.#down !== null && ++this.#missed >= GONE_WINDOWS) this.#release()
  }

  #release(): void {
    if (this.#down !== null) this.#options.onRelease?.(this.#down, this.#seenMs - this.#downMs)
    this.#down = null
    this.#downKey = -1
    this.#missed = 0
  }
}

/** Four tones of which one is there. */
class Group {
  readonly #hz: readonly number[]
  readonly #probes: Probe[]
  readonly #phases: Float64Array
  index = 0
  power = 0
  /** Its frequency is the nominal one, within the tolerance. Only true of a tone that was there one hop before. */
  near = false

  constructor(hz: readonly number[]) {
    this.#hz = hz
    this.#probes = hz.map((one) => new Probe(WINDOW).tune(one))
    this.#phases = new Float64Array(hz.length)
  }

  measure(window: Float64Array): this {
    let best = -1
    for (let n = 0; n < this.#probes.length; n++) {
      const { re, im } = this.#probes[n]!.measure(window)
      const power = re * re + im * im
      if (power > best) this.index = n
      best = Math.max(best, power)
    }
    this.#locate()
    return this
  }

  #locate(): void {
    const probe = this.#probes[this.index]!
    const hz = this.#hz[this.index]!
    const beside = offsetHz(hz, this.#phases[this.index]!, probe.phase, HOP)
    this.near = Math.abs(beside) <= OFFSET_SHARE * hz
    // Further off it is another tone, or none: then nothing is made up for.
    this.power = probe.tonePower(this.near ? beside : 0)
    for (let n = 0; n < this.#probes.length; n++) this.#phases[n] = this.#probes[n]!.phase
  }
}
