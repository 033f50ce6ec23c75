import { speechError } from './failure.ts'
import type { Deadlines, Said } from './part.ts'

/**
 * Passes on what a supplier says of one piece and gives up on it when it falls silent: connected, fed and saying nothing is a failure.
 * One timer per piece; `refresh` moves it without allocating.
 */
export async function* withDeadlines(engine: string, deadlines: Deadlines, signal: AbortSignal, say: (signal: AbortSignal) => AsyncIterable<Said>): AsyncGenerator<Said> {
  const watch = new Watch(engine, deadlines)
  const iterator = say(AbortSignal.any([signal, watch.signal]))[Symbol.asyncIterator]()
  let over = false
  try {
    for (;;) {
      const step = await Promise.race([iterator.next(), watch.breached])
      over = step.done === true
      if (step.done) return
      watch.saw(step.value)
      yield step.value
    }
  } finally {
    watch.stop()
    // Not awaited: a supplier that hangs would hang us; it has been told to stop.
    if (!over) iterator.return?.().then(undefined, () => undefined)
  }
}

class Watch {
  readonly breached: Promise<never>
  readonly #engine: string
  readonly #deadlines: Deadlines
  readonly #giveUp = new AbortController()
  #reject: (error: unknown) => void = () => undefined
  #timer: NodeJS.Timeout
  #stage: 'open' | 'first' | 'flow' = 'open'
  #requestId: string | null = null

  constructor(engine: string, deadlines: Deadlines) {
    this.#engine = engine
    this.#deadlines = deadlines
    this.breached = new Promise((_, reject) => (this.#reject = reject))
    this.breached.catch(() => undefined)
    this.#timer = setTimeout(() => this.#breach(), deadlines.openMs)
  }

  get signal(): AbortSignal {
    return this.#giveUp.signal
  }

  saw(said: Said): void {
    if (said.type === 'open') {
      this.#requestId = said.requestId
      if (this.#stage === 'open') this.#enter('first', this.#deadlines.firstAudioMs)
    } else if (said.type === 'audio' && this.#stage !== 'flow') this.#enter('flow', this.#deadlines.stallMs)
    else this.#timer.refresh()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#giveUp.abort()
  }

  #enter(stage: 'first' | 'flow', ms: number): void {
    this.#stage = stage
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#breach(), ms)
  }

  #breach(): void {
    const { openMs, firstAudioMs, stallMs } = this.#deadlines
    const [code, what] = { open: ['timeout', `did not answer within ${openMs} ms`], first: ['silent', `sent no sound within ${firstAudioMs} ms`], flow: ['silent', `fell silent for ${stallMs} ms`] }[this.#stage] as ['timeout' | 'silent', string]
    this.#reject(speechError(code, `${this.#engine} ${what}`, this.#requestId))
    this.#giveUp.abort()
  }
}
