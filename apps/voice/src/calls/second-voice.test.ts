import type { Pcm } from '@trunkline/media'
import { describe, expect, it } from 'vitest'
import { SecondVoice } from './second-voice.ts'

const level = (value: number): Pcm => new Int16Array(160).fill(value)
const levels = (frames: readonly Pcm[]): number[] => frames.map((frame) => frame[0]!)

describe('a second voice on a line', () => {
  it('goes by itself while the first is silent, some frames behind, and an open microphone does not', () => {
    const voices = new SecondVoice(8_000)
    const sent = [40, 1_000, 1_001, 40, 1_003, 1_004].map((value, n) => levels(voices.second(level(value), n * 20)))
    expect(sent).toEqual([[], [], [], [1_000, 1_001, 40], [1_003], [1_004]])
    const silence = Array.from({ length: 40 }, (_, n) => voices.second(level(0), 200 + n * 20).length)
    expect(silence.filter((frames) => frames > 0).length).toBeLessThan(25)
    expect(silence.slice(25).every((frames) => frames === 0)).toBe(true)
  })

  it('is added to the first, frame for frame, without turning loud sums over', () => {
    const voices = new SecondVoice(8_000)
    expect(voices.first(level(500), 0)[0]).toBe(500)
    expect(voices.second(level(1_000), 5)).toEqual([])
    expect(voices.second(level(30_000), 25)).toEqual([])
    expect([voices.first(level(500), 20)[0], voices.first(level(30_000), 40)[0], voices.first(level(7), 60)[0]]).toEqual([1_500, 32_767, 7])
  })

  it('never goes beside the first as a frame of its own', () => {
    const voices = new SecondVoice(8_000)
    let sent = 0
    for (let n = 0; n < 50; n++) {
      voices.first(level(500), n * 20)
      sent += voices.second(level(1_000), n * 20 + 10).length
    }
    expect(sent).toBe(0)
  })

  it('does not change the frames of the first voice', () => {
    const voices = new SecondVoice(8_000)
    voices.first(level(1), 0)
    voices.second(level(1_000), 5)
    const first = level(500)
    voices.first(first, 20)
    expect(first[0]).toBe(500)
  })

  it('does not grow when its clock runs faster', () => {
    const voices = new SecondVoice(8_000)
    for (let n = 0; n < 100; n++) {
      voices.first(level(0), n * 20)
      voices.second(level(1_000 + n), n * 20)
      voices.second(level(1_000 + n), n * 20 + 10)
    }
    // The oldest gave way: what is heard now is at most eight frames old.
    expect(voices.first(level(0), 2_000)[0]).toBeGreaterThanOrEqual(1_095)
  })
})
