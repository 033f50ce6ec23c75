/** How far a sender's clock may run away from ours before its sound is moved. Smaller steps are not heard as echo or gap. */
const MAX_DRIFT_MS = 40
const WINDOW_MS = 10_000

/**
 * Puts a sender's timestamps onto our clock, so that both sides of a recording lie on one line. The first frame sets the
 * distance; afterwards the quickest arrivals of each ten seconds show whether the sender's clock runs faster or slower
 * than ours (50 millionths are 180 ms an hour), and only then the distance is set anew.
 */
export class StreamAnchor {
  #offsetMs: number | null = null
  #quickestMs = Infinity
  #windowEndMs = 0

  /** When, by our clock, the frame with this timestamp began; it arrived at `nowMs`. */
  place(timestampMs: number, nowMs: number): number {
    const distanceMs = nowMs - timestampMs
    if (this.#offsetMs === null) {
      this.#offsetMs = distanceMs
      this.#windowEndMs = nowMs + WINDOW_MS
    }
    this.#quickestMs = Math.min(this.#quickestMs, distanceMs)
    if (nowMs >= this.#windowEndMs) this.#judge(nowMs)
    return timestampMs + this.#offsetMs
  }

  /** The sender began to count anew. */
  restart(): void {
    this.#offsetMs = null
    this.#quickestMs = Infinity
  }

  #judge(nowMs: number): void {
    if (Math.abs(this.#quickestMs - this.#offsetMs!) > MAX_DRIFT_MS) this.#offsetMs = this.#quickestMs
    this.#quickestMs = Infinity
    this.#windowEndMs = nowMs + WINDOW_MS
  }
}
