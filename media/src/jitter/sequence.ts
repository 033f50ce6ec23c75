/**
 * Sequence numbers that wrap (RTP: 65,536) or do not (chunk numbers of carriers), made into numbers that only rise. A number
 * is taken for the one nearest to the last: up to half a turn ahead is new, else it is old (RFC 1982).
 */
export class SequenceUnwrapper {
  readonly #modulo: number
  #last: number | null = null

  constructor(modulo: number) {
    this.#modulo = modulo
  }

  /** Does not move: whether the number is believed is the caller's to say, with `accept`. */
  unwrap(sequence: number): number {
    if (this.#last === null || this.#modulo === Infinity) return sequence
    const ahead = (((sequence - this.#last) % this.#modulo) + this.#modulo) % this.#modulo
    return this.#last + (ahead < this.#modulo / 2 ? ahead : ahead - this.#modulo)
  }

  accept(unwrapped: number): void {
    if (this.#last === null || unwrapped > this.#last) this.#last = unwrapped
  }

  restart(sequence: number): void {
    this.#last = sequence
  }
}
