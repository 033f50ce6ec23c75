/** An event line with one reader. `end` lets the reader finish what is waiting; `drop` forgets that too. */
export class EventQueue<Event> implements AsyncIterable<Event> {
  #waiting: Event[] = []
  #reader: PromiseWithResolvers<void> | null = null
  #ended = false
  readonly #onRead: ((event: Event) => void) | undefined

  /** `onRead` hears of every event that the reader took: back-pressure is counted there. */
  constructor(onRead?: (event: Event) => void) {
    this.#onRead = onRead
  }

  push(event: Event): void {
    if (this.#ended) return
    this.#waiting.push(event)
    this.#wake()
  }

  end(): void {
    this.#ended = true
    this.#wake()
  }

  drop(): void {
    this.#waiting = []
    this.end()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Event> {
    for (;;) {
      while (this.#waiting.length > 0) {
        const event = this.#waiting.shift()!
        this.#onRead?.(event)
        yield event
      }
      if (this.#ended) return
      this.#reader = Promise.withResolvers()
      await this.#reader.promise
    }
  }

  #wake(): void {
    this.#reader?.resolve()
    this.#reader = null
  }
}
