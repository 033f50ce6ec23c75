import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createDecoder } from '../codec/index.ts'
import { PcmBytes, linesOf } from './bytes.ts'
import { speechBytes, wavBytes, wavHeader, wavPcm } from './container.ts'

const pcm = fc.int16Array({ maxLength: 500 })
/** The same bytes in pieces. */
const cut = (bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] => {
  const pieces: Uint8Array[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}
const sizes = fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1, maxLength: 20 })

describe('containers', () => {
  it('WAV is read as it was written, of unknown length too', () => {
    fc.assert(
      fc.property(pcm, fc.constantFrom(8_000 as const, 24_000 as const), (sound, sampleRateHz) => {
        const bytes = wavBytes(sound, sampleRateHz)
        expect(wavPcm(bytes)).toEqual({ pcm: sound, sampleRateHz })
        expect(wavPcm(Buffer.concat([wavHeader(sampleRateHz, null), bytes.subarray(44)]))).toEqual({ pcm: sound, sampleRateHz })
      }),
    )
  })

  it('anything else is none, and no crash', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => wavPcm(bytes) === null))
    const valid = wavBytes(new Int16Array(50), 8_000)
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(43), fc.nat(255)), { maxLength: 5 }), (changes) => {
      const bytes = Uint8Array.from(valid)
      for (const [at, value] of changes) bytes[at] = value
      wavPcm(bytes)
    }))
  })

  it.each([['pcmu', 'pcmu', 1], ['pcma', 'pcma', 1], ['pcm', 'pcm_s16le', 2]] as const)('%s is what its decoder reads', (format, encoding, width) => {
    const sound = Int16Array.from({ length: 160 }, (_, n) => Math.round(8_000 * Math.sin(n / 5)))
    const bytes = speechBytes(sound, 8_000, format)
    expect(bytes.length).toBe(160 * width)
    const back = createDecoder({ encoding, sampleRateHz: 8_000 }).decode(bytes)
    for (const [n, sample] of sound.entries()) expect(Math.abs(back[n]! - sample)).toBeLessThan(300)
  })
})

describe('streams of bytes', () => {
  it('samples survive any cut', () => {
    fc.assert(
      fc.property(pcm, sizes, (sound, sizes) => {
        const reader = new PcmBytes()
        const heard = cut(new Uint8Array(sound.buffer), sizes).flatMap((piece) => Array.from(reader.push(piece)))
        expect(heard).toEqual(Array.from(sound))
      }),
    )
  })

  it('lines survive any cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme' }).filter((line) => !line.includes('\n') && line.isWellFormed())), sizes, async (lines, sizes) => {
        const text = lines.map((line) => `${line}\n`).join('')
        const source = async function* (): AsyncGenerator<Uint8Array> {
          yield* cut(Buffer.from(text), sizes)
        }
        const seen: string[] = []
        for await (const line of linesOf(source(), 10_000)) seen.push(line)
        expect(seen).toEqual(lines)
      }),
    )
  })

  it('a line without an end is refused', async () => {
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      for (;;) yield Buffer.alloc(1_000, 65)
    }
    const read = async () => {
      for await (const line of linesOf(endless(), 5_000)) expect(line).toBeUndefined()
    }
    await expect(read()).rejects.toThrow(RangeError)
  })
})
