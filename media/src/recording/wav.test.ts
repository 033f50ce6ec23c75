import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { joinWavs, WAV_HEADER_BYTES, wavContainer } from './wav.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trunkline-wav-'))
})
afterAll(() => rm(folder, { recursive: true }))

let made = 0
/** So many milliseconds of one loudness. */
async function piece(level: number, ms: number, rate = 8_000): Promise<string> {
  const path = join(folder, `${++made}.wav`)
  const { begin, encode } = wavContainer(rate)
  await writeFile(path, Buffer.concat([begin(), encode(new Int16Array((ms * rate) / 1_000 * 2).fill(level))]))
  return path
}
async function samplesOf(path: string): Promise<Int16Array> {
  const bytes = await readFile(path)
  return new Int16Array(bytes.buffer.slice(bytes.byteOffset + WAV_HEADER_BYTES, bytes.byteOffset + bytes.length))
}
/** At a moment of the left side. */
const at = (samples: Int16Array, ms: number): number => samples[ms * 8 * 2]!

describe('pieces of one recording', () => {
  it('are where they were in the call, with silence between them', async () => {
    const target = join(folder, 'whole.wav')
    const { durationMs } = await joinWavs(target, [{ path: await piece(100, 200), startMs: 0 }, { path: await piece(300, 100), startMs: 1_000 }])
    expect(durationMs).toBe(1_100)
    const samples = await samplesOf(target)
    expect([0, 199, 200, 999, 1_000, 1_099].map((ms) => at(samples, ms))).toEqual([100, 100, 0, 0, 300, 300])
  })

  it('follow one another where they would overlap: nothing that was said is lost', async () => {
    const target = join(folder, 'close.wav')
    expect(await joinWavs(target, [{ path: await piece(1, 500), startMs: 0 }, { path: await piece(2, 500), startMs: 300 }])).toMatchObject({ durationMs: 1_000 })
  })

  it('are joined the same way again, and stay as they are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ ms: fc.integer({ min: 0, max: 60 }), gapMs: fc.integer({ min: 0, max: 80 }) }), { minLength: 1, maxLength: 4 }), async (parts) => {
        let startMs = 0
        const pieces = []
        for (const { ms, gapMs } of parts) {
          pieces.push({ path: await piece(7, ms), startMs: (startMs += gapMs) })
          startMs += ms
        }
        const [first, second] = [join(folder, 'first.wav'), join(folder, 'second.wav')]
        expect(await joinWavs(first, pieces)).toMatchObject({ durationMs: startMs })
        await joinWavs(second, pieces)
        await joinWavs(second, pieces)
        expect((await readFile(first)).equals(await readFile(second))).toBe(true)
        expect((await samplesOf(first)).filter((sample) => sample === 7).length).toBe(parts.reduce((sum, { ms }) => sum + ms * 16, 0))
      }),
      { numRuns: 25 },
    )
  })

  it('of different rates are refused, and nothing is written', async () => {
    const target = join(folder, 'never.wav')
    await expect(joinWavs(target, [{ path: await piece(1, 10), startMs: 0 }, { path: await piece(1, 10, 16_000), startMs: 10 }])).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(readFile(target)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
