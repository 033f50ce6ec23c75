import type { Pcm } from '../frame.ts'
import type { Vad, VadOptions, VadStream } from './contract.ts'

/** The quietest a line is taken for: below it lies the noise of the codec (16-bit RMS). */
const FLOOR_MIN = 40
/** Speech is so much louder than the line's own noise; dB over the floor at which the probability is 0, and at which it is 1. */
const QUIET_DB = 6
const LOUD_DB = 16
/** How fast the floor follows: down at once, up slowly, so that a long sentence does not become the floor. */
const FLOOR_RISE_PER_SECOND_DB = 1.5
const START_FLOOR = 120

/**
 * Speech by loudness over an adaptive floor: for installs without the model, and for tests that must give the same every time. It takes
 * music and a slammed door for speech; the recogniser's words decide then.
 */
export function createEnergyVad(): Vad {
  return { open: (options) => new EnergyStream(options), close: async () => {} }
}

class EnergyStream implements VadStream {
  readonly #options: VadOptions
  #floor = START_FLOOR
  #samples = 0
  #closed = false

  constructor(options: VadOptions) {
    this.#options = options
  }

  push(pcm: Pcm): void {
    if (this.#closed || pcm.length === 0) return
    const { sampleRateHz, onProbability } = this.#options
    this.#samples += pcm.length
    const loudness = Math.max(1, rms(pcm))
    const riseDb = FLOOR_RISE_PER_SECOND_DB * (pcm.length / sampleRateHz)
    this.#floor = Math.max(FLOOR_MIN, Math.min(loudness, this.#floor * 10 ** (riseDb / 20)))
    const overDb = 20 * Math.log10(loudness / this.#floor)
    onProbability(Math.min(1, Math.max(0, (overDb - QUIET_DB) / (LOUD_DB - QUIET_DB))), (this.#samples / sampleRateHz) * 1_000)
  }

  close(): void {
    this.#closed = true
  }
}

function rms(pcm: Pcm): number {
  let sum = 0
  for (const sample of pcm) sum += sample * sample
  return Math.sqrt(sum / pcm.length)
}
