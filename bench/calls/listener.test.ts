import { describe, expect, it } from 'vitest'
import { Histogram } from '../measure/histogram.ts'
import { Findings, Listener } from './listener.ts'

const FRAME_MS = 20

function heard(play: (listener: Listener) => void) {
  const findings = new Findings()
  const listener = new Listener(findings)
  play(listener)
  listener.over()
  const report = findings.take()
  const jitter = new Histogram()
  jitter.merge(report.jitter)
  return { ...report, jitter: jitter.summary() }
}

const frames = (listener: Listener, count: number, atMs: (frame: number) => number) => {
  for (let frame = 0; frame < count; frame++) listener.sound(atMs(frame), FRAME_MS)
}

describe('the ear of the bench', () => {
  it('finds nothing in frames that come on their time', () => {
    expect(heard((listener) => frames(listener, 100, (frame) => 1_000 + frame * FRAME_MS))).toMatchObject({ frames: 100, underruns: 0, jitter: { count: 90, max: 0 } })
  })

  it('finds a late frame, and no hole as long as sound was sent ahead', () => {
    const found = heard((listener) => frames(listener, 100, (frame) => (frame < 9 ? 1_000 : 1_000 + (frame - 8) * FRAME_MS + (frame === 50 ? 35 : 0))))
    expect(found).toMatchObject({ underruns: 0, jitter: { count: 90, max: 35 } })
  })

  it('finds the hole that a late frame makes when nothing was put by', () => {
    expect(heard((listener) => frames(listener, 100, (frame) => 1_000 + frame * FRAME_MS + (frame >= 50 ? 30 : 0))).underruns).toBe(1)
  })

  it('takes silence between two utterances for no hole', () => {
    const found = heard((listener) => {
      frames(listener, 50, (frame) => frame * FRAME_MS)
      listener.over()
      frames(listener, 50, (frame) => 5_000 + frame * FRAME_MS)
    })
    expect(found.underruns).toBe(0)
  })

  it('throws away what was not played when it is told to', () => {
    const found = heard((listener) => {
      frames(listener, 9, () => 0)
      listener.clear(50)
      expect(listener.endsMs).toBe(50)
      frames(listener, 9, () => 400)
    })
    expect(found.underruns).toBe(0)
  })
})
