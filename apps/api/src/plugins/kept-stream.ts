import { once } from 'node:events'
import { Readable } from 'node:stream'

/** What became of an answer: whole, more than can be kept, or broken off. */
export type Fate = { whole: Buffer } | 'too_large' | 'broken'

type Parts = AsyncIterator<Uint8Array | string>

/**
 * The same stream, of which a copy is kept. `settle` hears what became of it before its reader hears the end. When its reader goes away it is read to its
 * end all the same, unless there is more of it than can be kept: then nobody would get it.
 */
export const keptStream = (source: Readable, bytesMax: number, settle: (fate: Fate) => Promise<void>): Readable => Readable.from(copied(source, bytesMax, settle), { objectMode: false })

async function* copied(source: Readable, bytesMax: number, settle: (fate: Fate) => Promise<void>): AsyncGenerator<Buffer> {
  const parts: Parts = source[Symbol.asyncIterator]()
  let kept: Buffer[] | null = []
  let bytes = 0
  let over = false
  const next = async (): Promise<Buffer | null> => {
    try {
      const step = await parts.next()
      if (step.done) {
        over = true
        await settle(kept ? { whole: Buffer.concat(kept) } : 'too_large')
        return null
      }
      const part = Buffer.from(step.value)
      bytes += part.length
      if (bytes > bytesMax) kept = null
      kept?.push(part)
      return part
    } catch (error) {
      if (!over) {
        over = true
        await settle('broken')
      }
      throw error
    }
  }
  try {
    for (let part = await next(); part; part = await next()) yield part
  } finally {
    while (!over && kept) await next().catch(() => null)
    if (!over) await given(source, settle)
  }
}

/** What ends a source, its bill among it, comes before it is closed. */
async function given(source: Readable, settle: (fate: Fate) => Promise<void>): Promise<void> {
  source.destroy()
  if (!source.closed) await once(source, 'close').catch(() => {})
  await settle('broken')
}
