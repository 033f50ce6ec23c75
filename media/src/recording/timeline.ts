import type { Pcm } from '../frame.ts'

export type Side = 'caller' | 'agent'

/** Two sides of a call on one line of samples, from `base` (all before it is written) over a window of fixed size. Gaps are silence. */
export class StereoTimeline {
  readonly #size: number
  readonly #snap: number
  readonly #rings: Record<Side, Pcm>
  /** Where each side's last sound ends. */
  readonly #ends: Record<Side, number> = { caller: 0, agent: 0 }
  #base = 0
  #lost = 0

  /** `snapSamples`: sound that begins this near to the end of the last is taken to follow it; rounded times would click. */
  constructor(windowSamples: number, snapSamples: number) {
    this.#size = windowSamples
    this.#snap = snapSamples
    this.#rings = { caller: new Int16Array(windowSamples), agent: new Int16Array(windowSamples) }
  }

  get base(): number {
    return this.#base
  }

  /** Where the later side's sound ends. */
  get end(): number {
    return Math.max(this.#base, this.#ends.caller, this.#ends.agent)
  }

  /** Samples that had no place: too late, or further ahead than the window reaches. */
  get lostSamples(): number {
    return this.#lost
  }

  place(side: Side, pcm: Pcm, at: number): void {
    const start = Math.abs(at - this.#ends[side]) <= this.#snap ? this.#ends[side] : at
    const from = Math.max(0, this.#base - start)
    const to = Math.min(pcm.length, this.#base + this.#size - start)
    this.#lost += pcm.length - Math.max(0, to - from)
    if (to <= from) return
    const ring = this.#rings[side]
    for (let i = from, slot = (start + from) % this.#size; i < to; i++) {
      ring[slot] = pcm[i]!
      slot = slot + 1 === this.#size ? 0 : slot + 1
    }
    this.#ends[side] = Math.max(this.#ends[side], start + to)
  }

  /** What one side has from `at` on was not heard after all. */
  cut(side: Side, at: number): void {
    const from = Math.max(at, this.#base)
    const ring = this.#rings[side]
    for (let sample = from; sample < this.#ends[side]; sample++) ring[sample % this.#size] = 0
    this.#ends[side] = Math.min(this.#ends[side], Math.max(from, this.#base))
  }

  /** Interleaved (caller left, agent right) up to `until`, at most a window of it; then forgets it. */
  take(until: number): Pcm {
    const frames = Math.min(this.#size, Math.max(0, until - this.#base))
    const out = new Int16Array(frames * 2)
    for (let i = 0, slot = this.#base % this.#size; i < frames; i++) {
      out[i * 2] = this.#takeSample(this.#rings.caller, slot)
      out[i * 2 + 1] = this.#takeSample(this.#rings.agent, slot)
      slot = slot + 1 === this.#size ? 0 : slot + 1
    }
    this.#base += frames
    return out
  }

  #takeSample(ring: Pcm, slot: number): number {
    const value = ring[slot]!
    ring[slot] = 0
    return value
  }
}
