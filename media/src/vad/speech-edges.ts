export type SpeechEdge = { type: 'start' | 'stop'; /** Of the stream: where speech began, or where it ended. */ atMs: number }

export type SpeechEdgesOptions = {
  /** Speech begins above, and goes on until it falls below `stopBelow`: a doubtful frame changes nothing. */
  startAbove?: number
  stopBelow?: number
  /** A shorter sound is none. */
  minSpeechMs?: number
  /** A shorter silence is a breath. */
  minSilenceMs?: number
  /** Weight of the newest probability, 0 to 1: smooths single frames. */
  newest?: number
}

const DEFAULTS = { startAbove: 0.5, stopBelow: 0.35, minSpeechMs: 60, minSilenceMs: 200, newest: 0.65 }

/** Probabilities in, beginnings and ends of speech out. Pure state: the same stream gives the same edges. */
export class SpeechEdges {
  readonly #options: Required<SpeechEdgesOptions>
  #speaking = false
  #smooth = 0
  #lastMs = 0
  /** Since when the other state has been seen without a break. */
  #changeSinceMs: number | null = null

  constructor(options: SpeechEdgesOptions = {}) {
    this.#options = { ...DEFAULTS, ...options }
  }

  get speaking(): boolean {
    return this.#speaking
  }

  push(probability: number, endMs: number): SpeechEdge[] {
    const { startAbove, stopBelow, minSpeechMs, minSilenceMs, newest } = this.#options
    const fromMs = this.#lastMs
    this.#lastMs = endMs
    this.#smooth += newest * (probability - this.#smooth)
    const changes = this.#speaking ? this.#smooth < stopBelow : this.#smooth > startAbove
    if (!changes) {
      this.#changeSinceMs = null
      return []
    }
    this.#changeSinceMs ??= fromMs
    if (endMs - this.#changeSinceMs < (this.#speaking ? minSilenceMs : minSpeechMs)) return []
    const edge: SpeechEdge = { type: this.#speaking ? 'stop' : 'start', atMs: this.#changeSinceMs }
    this.#speaking = !this.#speaking
    this.#changeSinceMs = null
    return [edge]
  }
}
