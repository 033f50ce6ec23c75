import type { Pcm } from '../../frame.ts'
import { Fft } from './fft.ts'

/** Whisper's ears (openai/whisper, audio.py): 16 kHz, windows of 25 ms every 10 ms, 30 s at a time; of its relatives also fewer. */
export const WHISPER_RATE_HZ = 16_000
const WINDOW = 400
const HOP = 160
export const WHISPER_FRAMES = 3_000
const BINS = WINDOW / 2 + 1
/** Logarithm of what counts as nothing. */
const FLOOR = 1e-10

/** Sound to the input of the encoder: `bands` rows of `frames` frames of 10 ms. */
export class LogMel {
  readonly bands: number
  readonly frames: number
  readonly #fft = new Fft(WINDOW)
  readonly #filters: Filter[]
  readonly #hann = Float64Array.from({ length: WINDOW }, (_, index) => 0.5 - 0.5 * Math.cos((2 * Math.PI * index) / WINDOW))
  readonly #window = new Float64Array(WINDOW)
  readonly #power = new Float64Array(BINS)

  /** 80 bands, or 128 from large-v3 on. */
  constructor(bands: number, frames = WHISPER_FRAMES) {
    this.bands = bands
    this.frames = frames
    this.#filters = melFilters(bands)
  }

  /** At most as long as the frames; the rest is silence, and costs nothing. `unit`: the number that stands for 1. */
  features(pcm: Pcm | Float32Array, unit = 32_768): Float32Array {
    const features = new Float32Array(this.bands * this.frames)
    const frames = Math.min(this.frames, Math.ceil(pcm.length / HOP) + WINDOW / HOP)
    const silent = Math.log10(FLOOR)
    features.fill(silent)
    let loudest = silent
    for (let frame = 0; frame < frames; frame++) {
      this.#listen(pcm, frame * HOP - WINDOW / 2, unit)
      for (let band = 0; band < this.bands; band++) {
        const level = Math.log10(Math.max(FLOOR, this.#energy(this.#filters[band]!)))
        features[band * this.frames + frame] = level
        loudest = Math.max(loudest, level)
      }
    }
    for (let index = 0; index < features.length; index++) features[index] = (Math.max(features[index]!, loudest - 8) + 4) / 4
    return features
  }

  /** Power of one window. Before the beginning and behind the last frame the sound is mirrored, as torch.stft pads it. */
  #listen(pcm: Pcm | Float32Array, from: number, unit: number): void {
    const last = this.frames * HOP - 1
    for (let index = 0; index < WINDOW; index++) {
      const at = Math.abs(from + index)
      this.#window[index] = ((pcm[at > last ? 2 * last - at : at] ?? 0) / unit) * this.#hann[index]!
    }
    this.#fft.transform(this.#window)
    const { re, im } = this.#fft
    for (let bin = 0; bin < BINS; bin++) this.#power[bin] = re[bin]! ** 2 + im[bin]! ** 2
  }

  #energy({ from, weights }: Filter): number {
    let sum = 0
    for (let index = 0; index < weights.length; index++) sum += weights[index]! * this.#power[from + index]!
    return sum
  }
}

type Filter = { from: number; weights: Float64Array }

/** Slaney's scale (Auditory Toolbox): linear below 1 kHz, logarithmic above. */
const LINEAR_HZ = 200 / 3
const BREAK_HZ = 1_000
const BREAK_MEL = BREAK_HZ / LINEAR_HZ
const LOG_STEP = Math.log(6.4) / 27
const melOf = (hz: number): number => (hz < BREAK_HZ ? hz / LINEAR_HZ : BREAK_MEL + Math.log(hz / BREAK_HZ) / LOG_STEP)
const hzOf = (mel: number): number => (mel < BREAK_MEL ? mel * LINEAR_HZ : BREAK_HZ * Math.exp(LOG_STEP * (mel - BREAK_MEL)))

/** Triangles of equal area, evenly spread over the mel scale from 0 to 8 kHz, as librosa's `filters.mel` makes them. */
export function melFilters(bands: number): Filter[] {
  const top = melOf(WHISPER_RATE_HZ / 2)
  const edges = Array.from({ length: bands + 2 }, (_, index) => hzOf((top * index) / (bands + 1)))
  return Array.from({ length: bands }, (_, band) => triangle(edges[band]!, edges[band + 1]!, edges[band + 2]!))
}

function triangle(low: number, middle: number, high: number): Filter {
  const weights = Float64Array.from({ length: BINS }, (_, bin) => {
    const hz = (bin * WHISPER_RATE_HZ) / WINDOW
    return Math.max(0, Math.min((hz - low) / (middle - low), (high - hz) / (high - middle))) * (2 / (high - low))
  })
  const from = Math.max(0, weights.findIndex((weight) => weight > 0))
  return { from, weights: weights.slice(from, weights.findLastIndex((weight) => weight > 0) + 1) }
}
