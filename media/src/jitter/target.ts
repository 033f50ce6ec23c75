/** How long to wait for a missing frame: as long as missing frames have lately taken to come, and a bit more. */
export class AdaptiveDelay {
  readonly #minMs: number
  readonly #maxMs: number
  #targetMs: number

  constructor(minMs: number, maxMs: number, initialMs: number) {
    this.#minMs = minMs
    this.#maxMs = maxMs
    this.#targetMs = Math.min(maxMs, Math.max(minMs, initialMs))
  }

  get targetMs(): number {
    return this.#targetMs
  }

  /** A frame came `latenessMs` after one that follows it. */
  overtaken(latenessMs: number): void {
    this.#targetMs = Math.min(this.#maxMs, Math.max(this.#targetMs, latenessMs * 1.25 + 5))
  }

  /** A frame came in its place. At 50 a second half of the target is forgotten in about ten seconds. */
  inOrder(): void {
    this.#targetMs = Math.max(this.#minMs, this.#targetMs * 0.9986)
  }
}
