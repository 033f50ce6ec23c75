import { frameSamples, type Pcm, type SampleRateHz } from '@trunkline/media'

/** A first voice that was heard so long ago is silent. */
const SILENT_AFTER_MS = 60
/** Frames of the second voice that wait for the first; a clock that runs faster than ours does not make more of them. */
const WAITING_MAX = 8
/** Frames that are there before the first of them is sent: a network that jitters by less makes no hole in a word. */
const CUSHION = 3
/** Softer than this is an open microphone. After so many frames of it nothing more is sent, so that what was sent ahead is played meanwhile. */
const AUDIBLE_PEAK = 300
const PAUSE_FRAMES = 25

/**
 * Two voices on one line: the second is added to what the first says, and goes by itself while the first is silent. A line takes one frame each
 * 20 ms, so never both of them.
 */
export class SecondVoice {
  readonly #out: Pcm
  #waiting: Pcm[] = []
  #firstMs = -Infinity
  /** The second goes by itself. */
  #flows = false
  #quietFrames = PAUSE_FRAMES

  constructor(sampleRateHz: SampleRateHz) {
    this.#out = new Int16Array(frameSamples(sampleRateHz))
  }

  /** The second says something, or paused for a moment only. */
  get speaks(): boolean {
    return this.#quietFrames < PAUSE_FRAMES
  }

  /** A frame of the first voice leaves: what leaves instead. Valid until the next call. */
  first(pcm: Pcm, nowMs: number): Pcm {
    this.#firstMs = nowMs
    this.#flows = false
    const second = this.#waiting.shift()
    if (!second) return pcm
    for (let n = 0; n < this.#out.length; n++) this.#out[n] = Math.max(-32_768, Math.min(32_767, pcm[n]! + second[n]!))
    return this.#out
  }

  /** A frame of the second voice, lent: what leaves now. */
  second(pcm: Pcm, nowMs: number): readonly Pcm[] {
    this.#quietFrames = isAudible(pcm) ? 0 : this.#quietFrames + 1
    const isPause = this.#quietFrames >= PAUSE_FRAMES
    if (this.#flows && !isPause) return [pcm]
    this.#flows = false
    if (isPause) this.#waiting = []
    else this.#waiting.push(pcm.slice())
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift()
    return nowMs - this.#firstMs > SILENT_AFTER_MS && this.#waiting.length >= CUSHION ? this.#begin() : []
  }

  #begin(): readonly Pcm[] {
    this.#flows = true
    const held = this.#waiting
    this.#waiting = []
    return held
  }
}

function isAudible(pcm: Pcm): boolean {
  for (const sample of pcm) if (sample > AUDIBLE_PEAK || sample < -AUDIBLE_PEAK) return true
  return false
}
