import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JitterBuffer } from './buffer.ts'
import type { JitterOptions, Released } from './buffer.ts'

type Out = { kind: string; n: number | null }

function drain(buffer: JitterBuffer<number>, nowMs: number): Out[] {
  const out: Out[] = []
  for (let released: Released<number> | null = buffer.pull(nowMs); released; released = buffer.pull(nowMs)) {
    out.push({ kind: released.kind, n: released.kind === 'frame' ? released.payload : released.kind === 'gap' ? released.timestampMs / 20 : null })
  }
  return out
}

const setup = (options: JitterOptions = {}): JitterBuffer<number> => new JitterBuffer<number>({ firstSequence: 0, ...options })
const push = (buffer: JitterBuffer<number>, n: number, nowMs: number): Out[] => {
  buffer.push(n, n * 20, n, nowMs)
  return drain(buffer, nowMs)
}
const frames = (...numbers: number[]): Out[] => numbers.map((n) => ({ kind: 'frame', n }))

describe('jitter buffer', () => {
  it('releases a frame in its place at once', () => {
    const buffer = setup()
    for (let n = 0; n < 100; n++) expect(push(buffer, n, n * 20)).toEqual(frames(n))
    expect(buffer.stats()).toMatchObject({ received: 100, late: 0, lost: 0, reordered: 0, waiting: 0 })
  })

  it('holds what came too early until the missing one comes', () => {
    const buffer = setup()
    push(buffer, 0, 0)
    expect(push(buffer, 2, 20)).toEqual([])
    expect(push(buffer, 3, 30)).toEqual([])
    expect(push(buffer, 1, 45)).toEqual(frames(1, 2, 3))
    expect(buffer.stats()).toMatchObject({ reordered: 1, lost: 0, late: 0 })
  })

  it('gives a missing frame up after the target delay, and tells what follows the gap', () => {
    const buffer = setup({ initialDelayMs: 40 })
    push(buffer, 0, 0)
    buffer.push(3, 60, 3, 60)
    expect(drain(buffer, 99)).toEqual([])
    expect([buffer.pull(100), buffer.pull(100), buffer.pull(100), buffer.pull(100)]).toEqual([
      { kind: 'gap', durationMs: 20, timestampMs: 20, following: null },
      { kind: 'gap', durationMs: 20, timestampMs: 40, following: 3 },
      { kind: 'frame', payload: 3, timestampMs: 60 },
      null,
    ])
    expect(buffer.stats().lost).toBe(2)
  })

  it('waits for the first frame when the protocol says which one it is', () => {
    const buffer = new JitterBuffer<number>({ firstSequence: 1 })
    expect(push(buffer, 2, 0)).toEqual([])
    expect(push(buffer, 1, 5)).toEqual(frames(1, 2))
  })

  it('tells a repeated frame from a late one', () => {
    const buffer = setup({ initialDelayMs: 0 })
    push(buffer, 0, 0)
    push(buffer, 2, 20)
    expect([buffer.push(2, 40, 2, 21), buffer.push(1, 20, 1, 22), buffer.push(0, 0, 0, 23)]).toEqual(['duplicate', 'late', 'duplicate'])
    buffer.push(4, 80, 4, 24)
    expect(buffer.push(4, 80, 4, 25)).toBe('duplicate')
  })

  it('waits longer when frames come late, at most the maximum, and shorter when they have long been in order', () => {
    const buffer = setup({ initialDelayMs: 0, maxDelayMs: 120 })
    push(buffer, 0, 0)
    for (let n = 1; n < 40; n += 2) {
      push(buffer, n + 1, n * 20)
      push(buffer, n, n * 20 + 70)
    }
    expect(buffer.stats().targetMs).toBeGreaterThan(70)
    expect(buffer.stats().targetMs).toBeLessThanOrEqual(120)
    for (let n = 41; n < 4_000; n++) push(buffer, n, n * 20)
    expect(buffer.stats().targetMs).toBeLessThan(1)
  })

  it('goes through the wrap of RTP numbers, out of order too', () => {
    const buffer = new JitterBuffer<number>({ modulo: 65_536, firstSequence: 65_533 })
    const out: number[] = []
    for (const n of [65_533, 65_535, 65_534, 1, 0, 2]) {
      buffer.push(n, 0, n, 0)
      out.push(...drain(buffer, 0).map(({ n }) => n ?? -1))
    }
    expect(out).toEqual([65_533, 65_534, 65_535, 0, 1, 2])
  })

  it('believes three frames in a row that the sender began anew, and no single number from nowhere', () => {
    const buffer = setup()
    for (let n = 0; n < 10; n++) push(buffer, n, n * 20)
    expect(buffer.push(9_000, 0, 9_000, 200)).toBe('stray')
    expect(push(buffer, 10, 200)).toEqual(frames(10))
    expect([5_000, 5_001, 5_002].map((n) => buffer.push(n, n * 20, n, 220))).toEqual(['stray', 'stray', 'restarted'])
    expect(drain(buffer, 220)).toEqual([{ kind: 'restart', n: null }, ...frames(5_002)])
    expect(push(buffer, 5_003, 240)).toEqual(frames(5_003))
  })

  it('a burst of late frames is late, not a new beginning', () => {
    const buffer = setup({ initialDelayMs: 0 })
    push(buffer, 0, 0)
    push(buffer, 10, 200)
    expect([3, 4, 5, 6].map((n) => buffer.push(n, n * 20, n, 201))).toEqual(['late', 'late', 'late', 'late'])
    expect(push(buffer, 11, 220)).toEqual(frames(11))
  })

  it('refuses a capacity that the numbers cannot tell apart', () => {
    expect(() => new JitterBuffer({ modulo: 100, capacity: 64 })).toThrow(RangeError)
  })

  /** A sender's frames on a network that loses, doubles and delays each for itself. */
  const network = fc.array(fc.record({ delayMs: fc.integer({ min: 0, max: 250 }), lost: fc.integer({ min: 0, max: 9 }).map((x) => x === 0), twice: fc.integer({ min: 0, max: 9 }).map((x) => x === 0) }), { minLength: 1, maxLength: 120 })
  const arrivals = (fates: { delayMs: number; lost: boolean; twice: boolean }[]) =>
    fates
      .flatMap(({ delayMs, lost, twice }, n) => (lost ? [] : [{ n, atMs: n * 20 + delayMs }, ...(twice ? [{ n, atMs: n * 20 + delayMs + 30 }] : [])]))
      .sort((a, b) => a.atMs - b.atMs)

  it('whatever the network does: every number once, in order, a frame or a gap; and the counts add up', () => {
    fc.assert(
      fc.property(network, fc.constantFrom(Infinity, 65_536), fc.integer({ min: 0, max: 65_535 }), (fates, modulo, first) => {
        const origin = modulo === Infinity ? 0 : first
        const buffer = new JitterBuffer<number>({ modulo, firstSequence: origin % modulo })
        const out: Out[] = []
        for (const { n, atMs } of arrivals(fates)) {
          buffer.push((origin + n) % modulo, n * 20, n, atMs)
          out.push(...drain(buffer, atMs))
          expect(buffer.stats().waiting).toBeLessThanOrEqual(14)
        }
        out.push(...drain(buffer, 1e9))
        expect(out.map(({ n }) => n)).toEqual(out.map((_, n) => n))
        const { received, late, duplicate, lost, stray, restarts } = buffer.stats()
        expect(out.filter(({ kind }) => kind === 'gap').length).toBe(lost)
        expect(out.filter(({ kind }) => kind === 'frame').length).toBe(received - late - duplicate)
        expect([stray, restarts]).toEqual([0, 0])
      }),
    )
  })

  it('loses nothing to delays below its shortest wait', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 100 }), (delays) => {
        const buffer = setup({ minDelayMs: 100 })
        const out: Out[] = []
        for (const { n, atMs } of arrivals(delays.map((delayMs) => ({ delayMs, lost: false, twice: false })))) out.push(...push(buffer, n, atMs))
        expect(out).toEqual(frames(...delays.keys()))
      }),
    )
  })

  it('survives any numbers', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 65_535 }), fc.nat(500)), { maxLength: 200 }), (pushes) => {
        const buffer = new JitterBuffer<number>({ modulo: 65_536 })
        let nowMs = 0
        for (const [sequence, passed] of pushes) {
          nowMs += passed
          buffer.push(sequence, sequence, sequence, nowMs)
          expect(drain(buffer, nowMs).length).toBeLessThanOrEqual(130)
          expect(buffer.stats().waiting).toBeLessThanOrEqual(64)
        }
      }),
    )
  })
})
