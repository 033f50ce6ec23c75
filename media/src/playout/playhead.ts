/** Where a far end that plays in real time is likely to be in our stream, in samples, by what it was sent and by our clock. */
export class Playhead {
  readonly #samplesPerMs: number
  readonly #latencyMs: number
  #position = 0
  #sent = 0
  /** `#position` was true at this moment; it may lie ahead, when the first sound of a burst is still under way. */
  #atMs = 0

  constructor(sampleRateHz: number, latencyMs: number) {
    this.#samplesPerMs = sampleRateHz / 1_000
    this.#latencyMs = latencyMs
  }

  sent(samples: number, nowMs: number): void {
    this.#advance(nowMs)
    // The far buffer has run dry: this sound is heard when it has arrived.
    if (this.#position >= this.#sent) this.#atMs = Math.max(this.#atMs, nowMs + this.#latencyMs)
    this.#sent += samples
  }

  /** The far end says that it has played so far: our guess was behind. */
  confirm(position: number, nowMs: number): void {
    this.#advance(nowMs)
    if (position <= this.#position) return
    this.#position = position
    this.#atMs = nowMs
  }

  /** What was not played by now never will be. */
  clear(nowMs: number): void {
    this.#position = this.#sent
    this.#atMs = nowMs
  }

  at(nowMs: number): number {
    this.#advance(nowMs)
    return Math.floor(this.#position)
  }

  #advance(nowMs: number): void {
    if (nowMs <= this.#atMs) return
    this.#position = Math.min(this.#sent, this.#position + (nowMs - this.#atMs) * this.#samplesPerMs)
    this.#atMs = nowMs
  }
}
