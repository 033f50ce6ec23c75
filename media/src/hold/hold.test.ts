import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rmsOf, shareOf } from '../dsp/testing.ts'
import { frameSamples, type Pcm, type SampleRateHz } from '../frame.ts'
import { comfortNoise } from './comfort-noise.ts'
import { loopFrames, type FrameSource } from './loop.ts'
import { holdMusic } from './music.ts'
import { signalRegion, telephoneSignal } from './signals.ts'

const RATES = [8_000, 16_000, 24_000, 48_000] as const

function take(source: FrameSource, frames: number, sampleRateHz: SampleRateHz): Pcm {
  const size = frameSamples(sampleRateHz)
  const all = new Int16Array(frames * size)
  for (let frame = 0; frame < frames; frame++) source.next(all.subarray(frame * size, (frame + 1) * size))
  return all
}
/** The largest jump from one sample to the next. */
const largestStep = (pcm: Pcm): number => pcm.reduce((largest, sample, n) => (n === 0 ? 0 : Math.max(largest, Math.abs(sample - pcm[n - 1]!))), 0)

describe('signals of telephones', () => {
  it.each([
    ['ringback', 'us', 6_000, [440, 480]], ['busy', 'us', 1_000, [480, 620]], ['congestion', 'us', 500, [480, 620]],
    ['ringback', 'gb', 3_000, [400, 450]], ['busy', 'gb', 750, [400]], ['congestion', 'gb', 1_500, [400]],
    ['ringback', 'de', 5_000, [425]], ['busy', 'de', 960, [425]], ['congestion', 'de', 480, [425]],
    ['ringback', 'fr', 5_000, [440]], ['busy', 'fr', 1_000, [440]], ['congestion', 'fr', 500, [440]],
  ] as const)('%s of %s lasts %i ms at every rate and has its tones', (name, region, ms, hz) => {
    for (const rate of RATES) expect(telephoneSignal(name, rate, region).length).toBe((ms / 1_000) * rate)
    const beginning = telephoneSignal(name, 8_000, region).slice(0, 225 * 8)
    expect(hz.reduce((sum, one) => sum + shareOf(beginning, one, 8_000), 0)).toBeGreaterThan(0.8)
  })

  it('trouble is three rising notes', () => {
    const pcm = telephoneSignal('trouble', 8_000)
    for (const [index, hz] of [950, 1_400, 1_800].entries()) expect(shareOf(pcm.slice(index * 2_640, (index + 1) * 2_640), hz, 8_000)).toBeGreaterThan(0.9)
  })

  it('a country has its own, or those that E.180 recommends', () => {
    expect(['US', 'ca', 'GB', 'FR', 'DE', 'AT', 'zz', null].map(signalRegion)).toEqual(['us', 'us', 'gb', 'fr', 'de', 'de', 'de', 'de'])
  })
})

describe('hold music', () => {
  it('is as long at every rate, never too loud, and never the loudness of nothing', () => {
    for (const rate of RATES) {
      const pcm = holdMusic(rate)
      expect(pcm.length).toBe(12.8 * rate)
      expect(pcm.reduce((loudest, sample) => Math.max(loudest, Math.abs(sample)), 0)).toBeLessThan(20_000)
      for (let at = 0; at < pcm.length; at += rate) expect(rmsOf(pcm.subarray(at, at + rate))).toBeGreaterThan(500)
    }
  })

  it('is made once for each rate', () => {
    expect(holdMusic(8_000)).toBe(holdMusic(8_000))
  })

  it.each(RATES)('repeats without a click at %i Hz', (rate) => {
    const pcm = holdMusic(rate)
    expect(Math.abs(pcm[0]! - pcm.at(-1)!)).toBeLessThanOrEqual(largestStep(pcm))
  })
})

describe('comfort noise', () => {
  it('is soft, steady and the same for the same seed', () => {
    const pcm = comfortNoise(8_000, 1_000)
    expect(pcm).toEqual(comfortNoise(8_000, 1_000))
    expect(pcm).not.toEqual(comfortNoise(8_000, 1_000, 2))
    expect(rmsOf(pcm)).toBeGreaterThan(5)
    expect(rmsOf(pcm)).toBeLessThan(60)
    expect(Math.abs(pcm.reduce((sum, sample) => sum + sample, 0) / pcm.length)).toBeLessThan(3)
  })
})

describe('a loop, frame by frame', () => {
  const sound = fc.int16Array({ minLength: 1, maxLength: 2_000 })

  it('law: goes round and round, whatever its length is', () => {
    fc.assert(fc.property(sound, fc.integer({ min: 1, max: 30 }), (pcm, frames) => {
      const played = take(loopFrames(pcm, { sampleRateHz: 8_000 }), frames, 8_000)
      expect(played.findIndex((sample, n) => sample !== pcm[n % pcm.length])).toBe(-1)
    }))
  })

  it('law: a fade never makes a larger step than the sound has and its slope allows, and ends in silence', () => {
    fc.assert(fc.property(fc.integer({ min: 5, max: 300 }), fc.integer({ min: 5, max: 300 }), (fadeInMs, fadeOutMs) => {
      const pcm = holdMusic(8_000)
      const source = loopFrames(pcm, { sampleRateHz: 8_000, fadeInMs })
      const before = take(source, 20, 8_000)
      source.fadeOut(fadeOutMs)
      const after = take(source, 20, 8_000)
      const slope = 20_000 / (8 * Math.min(fadeInMs, fadeOutMs))
      expect(largestStep(Int16Array.of(0, ...before, ...after))).toBeLessThanOrEqual(largestStep(pcm) + slope + 1)
      expect(source.next(new Int16Array(160))).toBe(false)
      expect(rmsOf(after.subarray(-320))).toBe(0)
    }), { numRuns: 30 })
  })

  it('is clipped and not wrapped where it is made too loud, and wants whole frames', () => {
    const source = loopFrames(Int16Array.of(30_000, -30_000), { sampleRateHz: 8_000, gainDb: 12 })
    expect([...take(source, 1, 8_000).subarray(0, 2)]).toEqual([32_767, -32_768])
    expect(() => source.next(new Int16Array(80))).toThrow(RangeError)
    expect(() => loopFrames(new Int16Array(0), { sampleRateHz: 8_000 })).toThrow(RangeError)
  })
})
