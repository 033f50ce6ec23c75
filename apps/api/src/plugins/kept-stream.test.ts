import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { keptStream, type Fate } from './kept-stream.ts'

/** Tells when it is closed, as what is spoken settles its bill then. */
function source(parts: readonly string[], closed: () => void, fault?: Error): Readable {
  async function* told(): AsyncGenerator<string> {
    try {
      for (const part of parts) yield part
      if (fault) throw fault
    } finally {
      closed()
    }
  }
  return Readable.from(told())
}

function kept(parts: readonly string[], bytesMax: number, fault?: Error) {
  const story: string[] = []
  const { promise: settled, resolve } = Promise.withResolvers<Fate>()
  const stream = keptStream(source(parts, () => story.push('closed'), fault), bytesMax, async (fate) => {
    story.push('settled')
    resolve(fate)
  })
  return { stream, story, settled }
}
const whole = async (stream: Readable) => Buffer.concat(await stream.toArray()).toString()

describe('a stream of which a copy is kept', () => {
  it('is the same to its reader, who hears the end after it is settled', async () => {
    const { stream, story, settled } = kept(['a', 'bc', 'd'], 100)
    stream.once('end', () => story.push('end'))
    expect(await whole(stream)).toBe('abcd')
    expect(await settled).toEqual({ whole: Buffer.from('abcd') })
    expect(story).toEqual(['closed', 'settled', 'end'])
  })

  it('that is larger than can be kept is given all the same', async () => {
    const { stream, settled } = kept(['abc', 'def'], 5)
    expect(await whole(stream)).toBe('abcdef')
    expect(await settled).toBe('too_large')
  })

  it('that breaks off breaks off', async () => {
    const { stream, settled } = kept(['abc'], 100, new Error('cut'))
    await expect(whole(stream)).rejects.toThrow('cut')
    expect(await settled).toBe('broken')
  })

  it.each([[undefined], [new Error('the client went away')]])('whose reader goes away (%s) is read to its end for whoever asks again', async (reason) => {
    const { stream, settled } = kept(['a', 'bc', 'd'], 100)
    stream.on('error', () => {})
    stream.once('data', () => stream.destroy(reason))
    expect(await settled).toEqual({ whole: Buffer.from('abcd') })
  })

  it('whose reader goes away and of which there is more than can be kept is ended, and its bill comes before the verdict', async () => {
    const { stream, story, settled } = kept(Array.from({ length: 1_000 }, () => 'abc'), 10)
    stream.once('data', () => stream.destroy())
    expect(await settled).toBe('broken')
    expect(story).toEqual(['closed', 'settled'])
  })

  it('whose reader goes away before it breaks off is broken, and no error is left alone', async () => {
    const { stream, settled } = kept(['abc', 'd'], 100, new Error('cut'))
    stream.once('data', () => stream.destroy())
    expect(await settled).toBe('broken')
  })
})
