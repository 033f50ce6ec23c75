import type { Pcm, SttEngine, SttEvent } from '@trunkline/media'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CallerEar } from './ear.ts'
import { Playout } from './playout.ts'
import { Way } from './way.ts'

describe('the way of a caller’s frames', () => {
  const carried = (settings: { packetLoss: number; jitterMs: number; seed: number }, count: number): { way: Way; arrived: { frame: string; atMs: number }[] } => {
    const arrived: { frame: string; atMs: number }[] = []
    let nowMs = 0
    const way = new Way(settings, (frame) => arrived.push({ frame, atMs: nowMs }))
    for (let n = 0; n < count; n++) {
      nowMs = n * 20
      way.tick(nowMs)
      way.send(String(n), nowMs)
    }
    nowMs = Infinity
    way.flush()
    return { way, arrived }
  }

  it('loses as much as it is told to, never changes the order, and does the same for the same seed', () => {
    fc.assert(fc.property(fc.double({ min: 0, max: 0.3, noNaN: true }), fc.integer({ min: 0, max: 500 }), fc.nat(1_000), (packetLoss, jitterMs, seed) => {
      const { way, arrived } = carried({ packetLoss, jitterMs, seed }, 1_000)
      const order = arrived.map(({ frame }) => Number(frame))
      expect(order).toEqual(order.toSorted((a, b) => a - b))
      expect(arrived.length + way.lost).toBe(1_000)
      expect(Math.abs(way.lost / 1_000 - packetLoss)).toBeLessThan(0.06)
      expect(carried({ packetLoss, jitterMs, seed }, 1_000).arrived).toEqual(arrived)
    }), { numRuns: 30 })
  })

  it('is late by the jitter at most, and at all only with some', () => {
    const lateness = (jitterMs: number) => carried({ packetLoss: 0, jitterMs, seed: 5 }, 500).arrived.slice(0, 400).map(({ frame, atMs }) => atMs - Number(frame) * 20)
    expect(Math.max(...lateness(0))).toBe(0)
    expect(Math.max(...lateness(100))).toBeGreaterThan(40)
    expect(Math.max(...lateness(100))).toBeLessThanOrEqual(120)
  })

  it('never loses what is no sound', () => {
    const told: string[] = []
    const way = new Way({ packetLoss: 0.3, jitterMs: 50, seed: 1 }, (text) => told.push(text))
    for (let n = 0; n < 100; n++) way.sendSurely(`mark ${n}`, n * 20)
    way.flush()
    expect(told).toHaveLength(100)
  })
})

describe('what waits to be heard', () => {
  it('comes out whole and in order, and marks come back when all before them was heard', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 }), (lengths) => {
      const playout = new Playout()
      let next = 1
      for (const [n, length] of lengths.entries()) {
        playout.push(Int16Array.from({ length }, () => next++))
        playout.mark(`after ${n}`)
      }
      const [heard, marks, out] = [[] as number[], [] as string[], new Int16Array(160)]
      while (!playout.isEmpty) {
        playout.pull(out)
        heard.push(...out)
        for (const name of playout.reached()) {
          const before = lengths.slice(0, Number(name.slice(6)) + 1).reduce((sum, length) => sum + length, 0)
          expect(heard.filter((sample) => sample !== 0).length).toBeGreaterThanOrEqual(before)
          marks.push(name)
        }
      }
      expect(heard.filter((sample) => sample !== 0)).toEqual(Array.from({ length: next - 1 }, (_, n) => n + 1))
      expect(marks).toEqual(lengths.map((_, n) => `after ${n}`))
    }))
  })

  it('gives the marks of what was thrown away back, too', () => {
    const playout = new Playout()
    playout.push(new Int16Array(1_000).fill(1))
    playout.mark('end')
    playout.clear()
    expect(playout.reached()).toEqual(['end'])
    expect(playout.isEmpty).toBe(true)
  })
})

describe('a caller’s ear', () => {
  const loud = new Int16Array(160).fill(3_000)
  const soft = new Int16Array(160)
  /** A recogniser that says what the test tells it to. */
  function listening(): { ear: CallerEar; says: (event: SttEvent) => Promise<void>; frames: (pcm: Pcm, ms: number, callerSounds?: boolean) => void } {
    let tell: (event: SttEvent) => void = () => {}
    const events = new ReadableStream<SttEvent>({
      start(controller) {
        tell = (event) => controller.enqueue(event)
      },
    })
    const stt = { id: 'whisper', model: 'test', finalP99Ms: 0, open: () => ({ push: () => {}, finish: () => {}, close: () => {}, events }) } as unknown as SttEngine
    const ear = new CallerEar(stt, null, new AbortController().signal)
    return {
      ear,
      async says(event) {
        tell(event)
        await new Promise((resolve) => setImmediate(resolve))
      },
      frames(pcm, ms, callerSounds = false) {
        for (let at = 0; at < ms; at += 20) ear.frame(pcm, callerSounds)
      },
    }
  }

  it('measures from the caller’s last sound to the agent’s first', () => {
    const { ear, frames } = listening()
    frames(loud, 1_000)
    frames(soft, 1_000)
    ear.turn()
    frames(soft, 500, true)
    frames(soft, 640)
    frames(loud, 400)
    frames(soft, 200)
    frames(loud, 400)
    expect(ear.responsesMs).toEqual([640])
    expect(ear.hasAnswered).toBe(true)
  })

  it('measures how long the agent spoke on when it was interrupted, over the pauses between its words', () => {
    const { ear, frames } = listening()
    frames(loud, 600)
    ear.turn()
    frames(loud, 200, true)
    frames(soft, 200, true)
    frames(loud, 100, true)
    frames(soft, 500)
    expect(ear.interruptions).toEqual([{ atMs: 600, silentAfterMs: 500 }])
  })

  it('knows an agent that went on', () => {
    const { ear, frames } = listening()
    frames(loud, 600)
    ear.turn()
    frames(loud, 3_000, true)
    expect(ear.interruptions).toEqual([{ atMs: 600, silentAfterMs: null }])
  })

  it('tells the words since the caller last spoke', async () => {
    const { ear, says } = listening()
    const final = (text: string): SttEvent => ({ type: 'final', text, confidence: 1, words: [], language: null, startMs: 0, endMs: 0, endOfTurn: false })
    await says(final('Hello there.'))
    ear.turn()
    await says({ type: 'partial', text: 'We open', confidence: 1 })
    expect(ear.words).toBe('We open')
    await says(final('We open at nine.'))
    expect([ear.words, ear.everything]).toEqual(['We open at nine.', 'Hello there. We open at nine.'])
  })
})
