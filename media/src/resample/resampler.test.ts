import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createResampler } from './resampler.ts'
import type { Resampler } from './resampler.ts'

const RATES = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000] as const
const rate = fc.constantFrom(...RATES)

function sine(hz: number, rateHz: number, samples: number, amplitude = 16_000): Int16Array {
  return Int16Array.from({ length: samples }, (_, i) => Math.round(amplitude * Math.sin((2 * Math.PI * hz * i) / rateHz)))
}

function concat(parts: Int16Array[]): Int16Array {
  const out = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** Cuts `pcm` into pieces of the given sizes, again and again, and feeds them. */
function feed(stream: Resampler, pcm: Int16Array, sizes: readonly number[]): Int16Array[] {
  const parts: Int16Array[] = []
  for (let at = 0, n = 0; at < pcm.length; n++) {
    const size = sizes[n % sizes.length]!
    parts.push(stream.process(pcm.subarray(at, at + size)))
    at += size
  }
  return parts
}

/** The sine of `hz` that fits best, and what is left when it is taken away, in decibels. */
function fit(pcm: Int16Array, hz: number, rateHz: number): { amplitude: number; delaySamples: number; snrDb: number } {
  const phase = (i: number): number => (2 * Math.PI * hz * i) / rateHz
  const part = (of: (x: number) => number): number => (2 / pcm.length) * pcm.reduce((sum, value, i) => sum + value * of(phase(i)), 0)
  const [s, c] = [part(Math.sin), part(Math.cos)]
  const rest = pcm.reduce((sum, value, i) => sum + (value - s * Math.sin(phase(i)) - c * Math.cos(phase(i))) ** 2, 0) / pcm.length
  const period = rateHz / hz
  const delaySamples = ((((-Math.atan2(c, s) / (2 * Math.PI)) * period) % period) + period) % period
  return { amplitude: Math.hypot(s, c), delaySamples, snrDb: 10 * Math.log10((s * s + c * c) / 2 / rest) }
}

describe('resampler', () => {
  it('makes as many samples as the ratio says, however the input is cut (live: at once)', () => {
    fc.assert(
      fc.property(rate, rate, fc.array(fc.integer({ min: 1, max: 6_000 }), { minLength: 1, maxLength: 12 }), (fromHz, toHz, sizes) => {
        const stream = createResampler({ fromHz, toHz })
        let [samplesIn, samplesOut] = [0, 0]
        for (const size of sizes) {
          samplesIn += size
          samplesOut += stream.process(new Int16Array(size)).length
          expect(Math.abs(samplesOut - (samplesIn * toHz) / fromHz)).toBeLessThanOrEqual(1)
        }
        stream.close()
      }),
    )
  })

  it('turns every frame of 20 ms into exactly one of 20 ms, for an hour', () => {
    const stream = createResampler({ fromHz: 8_000, toHz: 24_000 })
    const frame = new Int16Array(160)
    const odd = Array.from({ length: 50 * 3_600 }, () => stream.process(frame).length).filter((length) => length !== 480)
    expect(odd).toEqual([])
  })

  it('aligned: flush brings the length to the ratio exactly, and the stream begins anew', () => {
    fc.assert(
      fc.property(rate, rate, fc.integer({ min: 1, max: 9_000 }), fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 }), (fromHz, toHz, length, sizes) => {
        const stream = createResampler({ fromHz, toHz, aligned: true })
        const pcm = sine(440, fromHz, length)
        const once = concat([...feed(stream, pcm, sizes), stream.flush()])
        expect(once.length).toBe(Math.round((length * toHz) / fromHz))
        expect(concat([stream.process(pcm), stream.flush()])).toEqual(once)
        stream.close()
      }),
    )
  })

  it('does not care how the input is cut', () => {
    fc.assert(
      fc.property(rate, rate, fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 6 }), (fromHz, toHz, sizes) => {
        const pcm = sine(700, fromHz, 10_000)
        const whole = createResampler({ fromHz, toHz }).process(pcm)
        expect(concat(feed(createResampler({ fromHz, toHz }), pcm, sizes))).toEqual(whole)
      }),
      { numRuns: 40 },
    )
  })

  it.each(RATES.flatMap((from) => RATES.filter((to) => to !== from).map((to) => [from, to] as const)))('a sine stays a sine, %i to %i Hz, late by what it says', (fromHz, toHz) => {
    const stream = createResampler({ fromHz, toHz })
    const out = concat(feed(stream, sine(1_000, fromHz, fromHz), [Math.round(fromHz / 50)]))
    // The filter's beginning is left out: a whole number of milliseconds, so that the phase of 1 kHz stays.
    const skip = toHz % 1_000 === 0 ? toHz / 25 : (toHz / 50) * 2
    const { amplitude, delaySamples, snrDb } = fit(out.subarray(skip), 1_000, toHz)
    expect(snrDb).toBeGreaterThan(80)
    expect(amplitude).toBeCloseTo(16_000, -2)
    const period = toHz / 1_000
    const wrong = Math.abs(delaySamples - ((stream.delayMs * period) % period))
    expect(Math.min(wrong, period - wrong)).toBeLessThan(1.5)
  })

  it.each([[16_000, 8_000, 5_500], [24_000, 8_000, 5_500], [48_000, 8_000, 5_500], [48_000, 16_000, 9_500], [24_000, 16_000, 9_500]])('from %i to %i Hz keeps a tone of %i Hz, which would come back as another, 60 dB down', (fromHz, toHz, hz) => {
    const out = createResampler({ fromHz, toHz }).process(sine(hz, fromHz, fromHz)).subarray(1_000)
    const rms = Math.sqrt(out.reduce((sum, value) => sum + value * value, 0) / out.length)
    expect(20 * Math.log10(rms / (16_000 / Math.SQRT2))).toBeLessThan(-60)
  })

  it('passes telephone voice (300 to 3,400 Hz) within 1 dB', () => {
    for (const hz of [300, 1_000, 2_000, 3_000, 3_400]) {
      const out = createResampler({ fromHz: 24_000, toHz: 8_000 }).process(sine(hz, 24_000, 24_000))
      expect(Math.abs(20 * Math.log10(fit(out.subarray(800), hz, 8_000).amplitude / 16_000))).toBeLessThan(1)
    }
  })

  it('clips instead of wrapping round', () => {
    const square = Int16Array.from({ length: 4_000 }, (_, i) => (i % 40 < 20 ? 32_767 : -32_768))
    const out = createResampler({ fromHz: 8_000, toHz: 24_000, aligned: true }).process(square)
    const wrongSign = out.filter((value, i) => i % 120 > 20 && i % 120 < 40 && value < 0)
    expect(wrongSign.length).toBe(0)
  })

  it('refuses rates that are none, and work after close', () => {
    expect(() => createResampler({ fromHz: 0, toHz: 8_000 })).toThrow(RangeError)
    expect(() => createResampler({ fromHz: 8_000, toHz: 16_000, quality: 11 })).toThrow(RangeError)
    const stream = createResampler({ fromHz: 8_000, toHz: 16_000 })
    stream.close()
    stream.close()
    expect(() => stream.process(new Int16Array(160))).toThrow('closed')
  })

  it('leaves equal rates alone', () => {
    const pcm = sine(440, 8_000, 160)
    expect(createResampler({ fromHz: 8_000, toHz: 8_000 }).process(pcm)).toBe(pcm)
  })
})
