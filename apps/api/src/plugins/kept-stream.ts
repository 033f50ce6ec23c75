import { once } from 'node:events'
import { Readable } from 'node:stream'

/** What became of an answer: whole, more than can be kept, or broken off. */
export type Fate = { whole: Buffer } | 'too_large' | 'broken'

/**
 * The same stream, of which a copy is kept. `settle` hears what became of it before its reader hears the end. When its reader goes away it is read to its
 * end all the same, unless there is more of it than can be kept: then nobody would get it.
 */
export const keptStream = (source: Readable, bytesMax: number, settle: (fate: Fate) => Promise<void>): Readable => Readable.from(read(new Copy(source, bytesMax, settle)), { objectMode: false })

async function* read(copy: Copy): AsyncGenerator<Buffer> {
  try {
    for (let part = await copy.next(); part; part = await copy.next()) yield part
  } finally {
    await copy.finish()
  }
}

class Copy {
  readonly #source: Readable
  readonly #parts: AsyncIterator<Uint8Array | string>
  readonly #bytesMax: number
  readonly #settle: (fate: Fate) => Promise<void>
  #kept: Buffer[] | null = []
  #bytes = 0
  #isOver = false

  constructor(source: Readable, bytesMax: number, settle: (fate: Fate) => Promise<void>) {
    this.#source = source
    this.#parts = source[Symbol.asyncIterator]()
    this.#bytesMax = bytesMax
    this.#settle = settle
  }

  /** Null: that was all, and it is settled. Rejects when the source breaks off. */
  async next(): Promise<Buffer | null> {
    const step = await this.#step()
    if (step.done) {
      await this.#end(this.#kept ? { whole: Buffer.concat(this.#kept) } : 'too_large')
      return null
    }
    const part = Buffer.from(step.value)
    this.#bytes += part.length
    if (this.#bytes > this.#bytesMax) this.#kept = null
    this.#kept?.push(part)
    return part
  }

  /** Nobody reads any more. */
  async finish(): Promise<void> {
    while (!this.#isOver && this.#kept) await this.next().catch(() => null)
    if (this.#isOver) return
    this.#source.destroy()
    // What ends a source, its bill among it, comes before it is closed.
    if (!this.#source.closed) await once(this.#source, 'close').catch(() => {})
    await this.#end('broken')
  }

  async #step(): Promise<IteratorResult<Uint8Array | string>> {
    try {
      return await this.#parts.next()
    } catch (error) {
      await this.#end('broken')
      throw error
    }
  }

  async #end(fate: Fate): Promise<void> {
    this.#isOver = true
    await this.#settle(fate)
  }
}
