import { describe, expect, it } from 'vitest'
import { Beats, differsAt, startMetronome, STEADY, unsteadiness } from './steady.ts'

/** Frames from 0 ms on, each so much late. */
function beatsOf(count: number, late: (frame: number) => number): Beats {
  const beats = new Beats()
  for (let frame = 0; frame < count; frame++) beats.note(frame * 20 + late(frame))
  return beats
}
const span = { fromMs: 0, atMs: 4_000, toMs: 8_000 }

describe('steadiness', () => {
  it('is 0 for who is as late as before, or as the machine is', () => {
    expect(unsteadiness(beatsOf(400, () => 0), beatsOf(400, () => 0), span)).toEqual(STEADY)
    expect(unsteadiness(beatsOf(400, (frame) => (frame % 10 === 0 ? 90 : 0)), beatsOf(400, () => 0), span)).toEqual(STEADY)
    expect(unsteadiness(beatsOf(400, (frame) => (frame > 300 ? 190 : 0)), beatsOf(400, (frame) => (frame > 350 ? 190 : 0)), span)).toEqual(STEADY)
  })

  it('counts what comes later since the fault: held up for a while, or a frame less for ever', () => {
    expect(unsteadiness(beatsOf(400, (frame) => (frame > 300 && frame < 320 ? 90 : 0)), beatsOf(400, () => 0), span)).toEqual({ jitterMs: 70, holeMs: 0 })
    expect(unsteadiness(beatsOf(400, (frame) => (frame > 300 ? 60 : 0)), beatsOf(400, () => 0), span)).toEqual({ jitterMs: 40, holeMs: 0 })
  })

  it('has holes where nothing comes for longer than what was sent ahead, be it once', () => {
    expect(unsteadiness(beatsOf(400, (frame) => (frame === 300 ? 220 : 0)), beatsOf(400, () => 0), span)).toEqual({ jitterMs: 0, holeMs: 40 })
  })

  it('is nothing that silence has', () => {
    expect(() => unsteadiness(beatsOf(100, () => 0), beatsOf(400, () => 0), span)).toThrow(/Nothing came/)
  })

  it('is what a metronome has', async () => {
    const metronome = await startMetronome()
    const fromMs = performance.now()
    await expect.poll(() => metronome.beats.count).toBeGreaterThan(40)
    expect(metronome.beats.late(fromMs, performance.now()).maxMs).toBeGreaterThanOrEqual(0)
    await metronome.stop()
  })
})

describe('sound', () => {
  const whole = Buffer.from(Array.from({ length: 1_600 }, (_, at) => (at * 7 + Math.floor(at / 160)) % 251))
  const frame = (nth: number) => whole.subarray(nth * 160, (nth + 1) * 160)

  it('is whole as far as it goes', () => {
    expect(differsAt(whole.subarray(0, 800), whole)).toBeNull()
  })

  it('has a frame too few, one too many, or another one', () => {
    expect(differsAt(Buffer.concat([frame(0), frame(2), frame(3)]), whole)).toBe('frame 1 of 3')
    expect(differsAt(Buffer.concat([frame(0), frame(1), frame(1), frame(2)]), whole)).toBe('frame 2 of 4')
    expect(differsAt(Buffer.concat([frame(0), Buffer.alloc(160, 0xff)]), whole)).toBe('frame 1 of 2')
    expect(differsAt(Buffer.concat([whole, frame(0)]), whole)).toBe('1760 bytes, of 1600 that there are')
  })
})
