import { describe, expect, it } from 'vitest'
import { createDecoder, createEncoder, openDecoder, openEncoder } from '../codec/index.ts'
import type { PlainFormat } from '../codec/index.ts'
import type { Pcm } from '../frame.ts'
import { VoiceInput } from './voice-input.ts'

const PCMU: PlainFormat = { encoding: 'pcmu', sampleRateHz: 8_000 }
const OPUS = { encoding: 'opus', sampleRateHz: 48_000 } as const
type Frame = { pcm: Pcm; timestampMs: number; concealed: boolean }

function setup(format = PCMU) {
  const frames: Frame[] = []
  const input = new VoiceInput({ decoder: createDecoder(format), jitter: { firstSequence: 1 }, onFrame: (pcm, timestampMs, concealed) => frames.push({ pcm, timestampMs, concealed }) })
  return { input, frames }
}

const bytesOf = (level: number, samples = 160): Uint8Array => createEncoder(PCMU).encode(new Int16Array(samples).fill(level))

describe('voice input', () => {
  it('turns carrier frames into sound, and a lost one into silence of its length', () => {
    const { input, frames } = setup()
    input.push(1, 0, bytesOf(1_000), 0)
    input.push(3, 40, bytesOf(1_000), 40)
    input.tick(60)
    expect(frames.length).toBe(1)
    input.tick(80)
    expect(frames.map(({ timestampMs, concealed, pcm }) => [timestampMs, concealed, pcm.length, pcm[0] === 0])).toEqual([[0, false, 160, false], [20, true, 160, true], [40, false, 160, false]])
  })

  it('cuts pieces of any length into whole frames with their times', () => {
    const { input, frames } = setup()
    input.push(1, 0, bytesOf(1_000, 400), 0)
    input.push(2, 50, bytesOf(1_000, 80), 50)
    expect(frames.map(({ timestampMs, pcm }) => [timestampMs, pcm.length])).toEqual([[0, 160], [20, 160], [40, 160]])
  })

  it('conceals bytes that are no sound, and goes on', () => {
    const { input, frames } = setup({ encoding: 'pcm_s16be', sampleRateHz: 8_000 })
    input.push(1, 0, new Uint8Array(3), 0)
    input.push(2, 20, new Uint8Array(320), 20)
    expect(frames.map(({ concealed }) => concealed)).toEqual([true, false])
    expect(input.stats()).toMatchObject({ undecodable: 1, lastArrivalMs: 20 })
  })

  it('fills a lost Opus frame from the one after it', async () => {
    const encoder = await openEncoder(OPUS, { fec: true })
    const tone = (n: number): Pcm => Int16Array.from({ length: 960 }, (_, i) => (n < 20 ? 0 : 12_000 * Math.sin((2 * Math.PI * 300 * (n * 960 + i)) / 48_000)))
    const frames: Frame[] = []
    const input = new VoiceInput({ decoder: await openDecoder(OPUS), jitter: { firstSequence: 0 }, onFrame: (pcm, timestampMs, concealed) => frames.push({ pcm, timestampMs, concealed }) })
    for (let n = 0; n < 22; n++) {
      const packet = encoder.encode(tone(n))
      if (n !== 20) input.push(n, n * 20, packet, n * 20)
    }
    input.tick(1_000)
    expect(frames.length).toBe(22)
    expect(frames[20]!.concealed).toBe(true)
    expect(Math.max(...frames[20]!.pcm)).toBeGreaterThan(3_000)
  })
})
