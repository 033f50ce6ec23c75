import { meanSquare, offsetHz, Probe, toneMeanSquare } from '../dsp/probe.ts'
import { ANALYSIS_HZ, Windows } from '../dsp/windows.ts'
import type { Pcm, SampleRateHz } from '../frame.ts'

/** One steady tone. `atMs`: where it began, of the sound that was pushed. */
export type Beep = { hz: number; atMs: number; durationMs: number }

export type BeepOptions = {
  sampleRateHz: SampleRateHz
  /** It lasts for `MIN_BEEP_MS` now. */
  onStart?: (beep: Beep) => void
  /** It is over: now one may speak. */
  onEnd: (beep: Beep) => void
}

export type BeepDetector = {
  push(pcm: Pcm): void
  /** Idempotent. */
  close(): void
}

/** A shorter one may be a voice. */
export const MIN_BEEP_MS = 120
/** Beeps of machines lie within; a facsimile machine answers with 2100 Hz (T.30 §4.1), which is to be told from them. */
const [MIN_HZ, MAX_HZ] = [340, 2_150]

/** 20 ms and half of it again: phases of two looks, 10 ms apart, tell the frequency to a hertz. */
const LOOK = 160
const HOP = 80
const WINDOW = LOOK + HOP
const WINDOW_MS = 30
const MIN_POWER = toneMeanSquare(-40)
const MIN_SHARE = 0.85
/** A voice sings, a machine does not. */
const STEADY_HZ = 8
const STEADY_DB = 3
const GONE_WINDOWS = 3

export function createBeepDetector(options: BeepOptions): BeepDetector {
  const detector = new Detector(options)
  return new Windows({ sampleRateHz: options.sampleRateHz, windowSamples: WINDOW, hopSamples: HOP, onWindow: (window, endMs) => detector.window(window, endMs) })
}

class Detector {
  readonly #options: BeepOptions
  readonly #probe = new Probe(LOOK)
  #hz = 0
  #power = 0
  #sinceMs = 0
  #seenMs = 0
  #missed = 0
  #told = false

  constructor(options: BeepOptions) {
    this.#options = options
  }

  window(window: Float64Array, endMs: number): void {
    const hz = this.#toneOf(window)
    if (hz === 0) return this.#miss()
    const power = this.#probe.tonePower(0)
    if (this.#hz > 0 && Math.abs(hz - this.#hz) <= STEADY_HZ && Math.abs(10 * Math.log10(power / this.#power)) <= STEADY_DB) return this.#goesOn(hz, power, endMs)
    this.#end()
    this.#hz = hz
    this.#power = power
    this.#sinceMs = endMs - WINDOW_MS
    this.#seenMs = endMs
  }

  #goesOn(hz: number, power: number, endMs: number): void {
    this.#hz += 0.2 * (hz - this.#hz)
    this.#power = power
    this.#seenMs = endMs
    this.#missed = 0
    if (this.#told || endMs - this.#sinceMs < MIN_BEEP_MS) return
    this.#told = true
    this.#options.onStart?.(this.#beep())
  }

  #miss(): void {
    if (this.#hz > 0 && ++this.#missed >= GONE_WINDOWS) this.#end()
  }

  #end(): void {
    if (this.#told) this.#options.onEnd(this.#beep())
    this.#hz = 0
    this.#missed = 0
    this.#told = false
  }

  #beep(): Beep {
    return { hz: Math.round(this.#hz), atMs: this.#sinceMs, durationMs: this.#seenMs - this.#sinceMs }
  }

  /** Frequency of the one tone that a window holds, 0 when it holds something else. */
  #toneOf(window: Float64Array): number {
    const total = meanSquare(window)
    if (total < MIN_POWER) return 0
    const guess = guessHz(window)
    if (guess < MIN_HZ - 50 || guess > MAX_HZ + 50) return 0
    const before = this.#probe.tune(guess).measure(window).phase
    const hz = guess + offsetHz(guess, before, this.#probe.measure(window, HOP).phase, HOP)
    if (hz < MIN_HZ || hz > MAX_HZ) return 0
    return this.#probe.tonePower(hz - guess) >= MIN_SHARE * meanSquare(window, HOP, LOOK) ? hz : 0
  }
}

/** Of a sine the neighbours of a sample add up to it times 2 cos(turn): the best such turn in the sense of least squares. Noise draws it aside a little. */
function guessHz(window: Float64Array): number {
  let [both, own] = [0, 0]
  for (let n = 1; n < window.length - 1; n++) {
    both += window[n]! * (window[n - 1]! + window[n + 1]!)
    own += window[n]! * window[n]!
  }
  return (Math.acos(Math.max(-1, Math.min(1, both / (2 * own)))) * ANALYSIS_HZ) / (2 * Math.PI)
}

