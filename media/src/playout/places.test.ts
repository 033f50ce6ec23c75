import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SoundPlaces } from './places.ts'

const RATE = 8_000
const FRAME = 160

/** Frames of 20 ms from `fromFrame` on, one after the other. */
function put(places: SoundPlaces, fromFrame: number, frames: number, atMs: number): void {
  for (let n = 0; n < frames; n++) places.put((fromFrame + n) * FRAME, FRAME, atMs + n * 20)
}

describe('where sound lies on the clock', () => {
  it('tells the time of every sample between its first and its last', () => {
    const places = new SoundPlaces({ sampleRateHz: RATE })
    expect([places.startMs, places.endMs, places.beginOf(0), places.endBefore(0)]).toEqual([null, null, null, null])
    put(places, 0, 5, 1_000)
    expect([places.startMs, places.endMs]).toEqual([1_000, 1_100])
    expect([0, 400, 799].map((sample) => places.beginOf(sample))).toEqual([1_000, 1_050, 1_099.875])
    expect([160, 800, 9_999].map((sample) => places.endBefore(sample))).toEqual([1_020, 1_100, 1_100])
  })

  it('a word that begins after a pause begins after it, one that ends before it does not wait', () => {
    const places = new SoundPlaces({ sampleRateHz: RATE })
    put(places, 0, 5, 1_000)
    put(places, 5, 5, 3_000)
    expect([places.endBefore(5 * FRAME), places.beginOf(5 * FRAME)]).toEqual([1_100, 3_000])
  })

  it('sound that is sent again after a cut keeps the place where it was heard first', () => {
    const places = new SoundPlaces({ sampleRateHz: RATE })
    put(places, 0, 10, 1_000)
    places.cut(1_150)
    expect(places.endMs).toBe(1_150)
    put(places, 5, 10, 2_000)
    expect([places.beginOf(6 * FRAME), places.beginOf(1_200), places.endMs]).toEqual([1_120, 2_050, 2_200])
  })

  it('a cut before all of it leaves nothing', () => {
    const places = new SoundPlaces({ sampleRateHz: RATE })
    put(places, 0, 3, 1_000)
    places.cut(990)
    expect([places.startMs, places.endMs]).toEqual([null, null])
  })

  it('keeps the order of samples in time, and its memory, whatever pauses and cuts there are', () => {
    const step = fc.record({ frames: fc.integer({ min: 1, max: 20 }), pauseMs: fc.integer({ min: 0, max: 500 }), cutMs: fc.option(fc.integer({ min: 0, max: 600 })), back: fc.integer({ min: 0, max: 5 }) })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 100 }), (steps) => {
        const places = new SoundPlaces({ sampleRateHz: RATE, stretchesMax: 1_000 })
        let [frame, nowMs] = [0, 1_000]
        for (const { frames, pauseMs, cutMs, back } of steps) {
          frame = Math.max(0, frame - back)
          put(places, frame, frames, nowMs)
          frame += frames
          nowMs += frames * 20 + pauseMs
          if (cutMs !== null) places.cut(nowMs - cutMs)
        }
        const samples = Array.from({ length: frame * 4 }, (_, n) => n * 40)
        const begins = samples.map((sample) => places.beginOf(sample) ?? 0)
        const ends = samples.map((sample) => places.endBefore(sample) ?? 0)
        for (let n = 1; n < samples.length; n++) {
          expect(begins[n]!).toBeGreaterThanOrEqual(begins[n - 1]!)
          expect(ends[n]!).toBeGreaterThanOrEqual(ends[n - 1]!)
        }
      }),
    )
  })

  it('follows a clock that is judged anew, and does not begin a stretch with every frame of it', () => {
    const places = new SoundPlaces({ sampleRateHz: RATE, stretchesMax: 2 })
    put(places, 0, 10, 1_000)
    put(places, 10, 100, 1_190)
    expect([places.startMs, places.endMs, places.beginOf(9 * FRAME), places.beginOf(10 * FRAME)]).toEqual([1_000, 3_190, 1_180, 1_190])
  })

  it('forgets the oldest stretches when there are more than it may keep', () => {
    const places = new SoundPlaces({ sampleRateHz: RATE, stretchesMax: 2 })
    for (let n = 0; n < 5; n++) put(places, n, 1, n * 1_000)
    expect([places.startMs, places.endMs]).toEqual([3_000, 4_020])
  })
})
