import type { Pcm } from '../frame.ts'

/** A loop behind or between speech: hold music, room noise, typing. Sound at the rate of the queue. */
export type Background = {
  pcm: Pcm
  /** While nobody speaks. */
  gainDb: number
  /** While the agent speaks. Default: 12 dB less. */
  underSpeechDb?: number
}

const UNDER_SPEECH_DB = 12

export const gainOfDb = (db: number): number => 10 ** (db / 20)

/** A loudness that moves to its target within one frame, sample by sample: a jump would click. */
export class Fader {
  #gain: number
  target: number

  constructor(gain: number) {
    this.#gain = gain
    this.target = gain
  }

  /** The gain before sample 0, and how much to add per sample; the frame ends at the target. */
  ramp(samples: number): { from: number; step: number } {
    const from = this.#gain
    this.#gain = this.target
    return { from, step: (this.target - from) / samples }
  }

  get still(): boolean {
    return this.#gain === this.target
  }
}

/** Multiplies `out` in place. At a steady gain of 1 it is left alone, which is the usual case. */
export function applyGain(out: Pcm, fader: Fader): void {
  if (fader.still && fader.target === 1) return
  const { from, step } = fader.ramp(out.length)
  for (let i = 0; i < out.length; i++) out[i] = clip(out[i]! * (from + step * (i + 1)))
}

const clip = (value: number): number => (value > 32_767 ? 32_767 : value < -32_768 ? -32_768 : value)

/** Plays one background round and round. Every change of level, its end included, takes one frame. */
export class BackgroundLoop {
  readonly #fader = new Fader(0)
  #background: Background | null = null
  #stopping = false
  #position = 0

  set(background: Background | null): void {
    if (background?.pcm.length === 0) throw new RangeError('A background has at least one sample.')
    this.#stopping = background === null
    if (!background) return
    if (this.#background?.pcm !== background.pcm) this.#position = 0
    this.#background = background
  }

  /** Whether a frame without speech has something to carry. */
  get audible(): boolean {
    return this.#background !== null
  }

  mixInto(out: Pcm, underSpeech: boolean): void {
    const background = this.#background
    if (!background) return
    this.#fader.target = this.#level(background, underSpeech)
    const { from, step } = this.#fader.ramp(out.length)
    const { pcm } = background
    for (let i = 0; i < out.length; i++) {
      out[i] = clip(out[i]! + pcm[this.#position]! * (from + step * (i + 1)))
      this.#position = this.#position + 1 === pcm.length ? 0 : this.#position + 1
    }
    if (this.#stopping) this.#background = null
  }

  #level({ gainDb, underSpeechDb = gainDb - UNDER_SPEECH_DB }: Background, underSpeech: boolean): number {
    return this.#stopping ? 0 : gainOfDb(underSpeech ? underSpeechDb : gainDb)
  }
}
