import { describe, expect, it } from 'vitest'
import { atPitch, createNoise, voiceLevel, type NoiseKind } from './index.ts'

const HZ = 8_000
const second = (kind: NoiseKind, seed: number, rms = 500, seconds = 4) => {
  const noise = createNoise({ kind, sampleRateHz: HZ, rms, seed })
  const pcm = new Int16Array(HZ * seconds)
  for (let at = 0; at < pcm.length; at += 160) noise.addTo(pcm.subarray(at, at + 160))
  return pcm
}
const rms = (pcm: Int16Array) => Math.sqrt(pcm.reduce((sum, sample) => sum + sample ** 2, 0) / pcm.length)
const tone = (hz: number, rateHz: number, seconds = 1) => Int16Array.from({ length: rateHz * seconds }, (_, n) => Math.round(8_000 * Math.sin((2 * Math.PI * hz * n) / rateHz)))
/** Crossings of zero, upwards, in a second. */
const hzOf = (pcm: Int16Array, rateHz: number) => (pcm.reduce((count, sample, n) => count + (n > 0 && pcm[n - 1]! < 0 && sample >= 0 ? 1 : 0), 0) * rateHz) / pcm.length

describe.each(['white', 'street', 'babble'] as const)('%s noise', (kind) => {
  it('has the level that was asked for', () => {
    expect(rms(second(kind, 7)) / 500).toBeCloseTo(1, 1)
    expect(rms(second(kind, 7, 2_000)) / 2_000).toBeCloseTo(1, 1)
  })

  it('is the same for a seed, and another for another', () => {
    expect(second(kind, 3)).toEqual(second(kind, 3))
    expect(second(kind, 3)).not.toEqual(second(kind, 4))
  })

  it('is added to what is there, and clips as a microphone does', () => {
    const noise = createNoise({ kind, sampleRateHz: HZ, rms: 3_000, seed: 1 })
    const loud = new Int16Array(HZ).fill(32_000)
    noise.addTo(loud)
    expect(Math.max(...loud)).toBe(32_767)
    expect(loud.some((sample) => sample < 32_000)).toBe(true)
  })
})

it('the three kinds differ where an ear hears it: street rumbles, white hisses', () => {
  const [hiss, rumble] = [hzOf(second('white', 1), HZ), hzOf(second('street', 1), HZ)]
  expect(rumble).toBeLessThan(hiss * 0.8)
})

it('the level of a voice does not depend on its pauses', () => {
  const voice = tone(300, HZ)
  const paused = new Int16Array(HZ * 3)
  paused.set(voice, HZ)
  expect(voiceLevel(paused, HZ)).toBeCloseTo(voiceLevel(voice, HZ), 3)
  expect(voiceLevel(new Int16Array(HZ), HZ)).toBe(0)
})

describe('another pitch', () => {
  it.each([0.8, 1.25, 1.6])('x %f moves a tone by as much and keeps its level', (pitch) => {
    const moved = atPitch(tone(400, 24_000), pitch)
    expect(hzOf(moved, 24_000) / (400 * pitch)).toBeCloseTo(1, 2)
    expect(moved.length).toBe(Math.floor(24_000 / pitch))
    expect(rms(moved) / rms(tone(400, 24_000))).toBeCloseTo(1, 2)
  })
})
