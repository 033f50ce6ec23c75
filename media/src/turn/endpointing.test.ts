import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { endpointWaitMs, type EndpointInput } from './endpointing.ts'

const LONGEST_MS = { low: 8_000, medium: 4_000, high: 2_000, auto: 3_000 }
const probability = fc.double({ min: 0, max: 1, noNaN: true })
const input: fc.Arbitrary<EndpointInput & { mode: { type: 'semantic' } }> = fc.record({
  transcript: fc.constantFrom('', 'I would like a table', 'I would like a table.', 'My number is', 'yes', '12 34', 'well,'),
  isFinal: fc.boolean(),
  expectation: fc.constantFrom({ kind: 'free' as const }, { kind: 'yes_no' as const }, { kind: 'digits' as const, count: 4 }, { kind: 'email' as const }),
  pauses: fc.record({ meanMs: fc.integer({ min: 200, max: 3_000 }), count: fc.integer({ min: 0, max: 10 }) }),
  mode: fc.record({ type: fc.constant('semantic' as const), eagerness: fc.constantFrom('low' as const, 'medium' as const, 'high' as const, 'auto' as const) }),
  sttFinalP99Ms: fc.integer({ min: 100, max: 3_000 }),
  language: fc.constantFrom(null, 'en', 'de'),
})

describe('the model of the melody', () => {
  it('the surer it is of the end, the shorter the wait; never outside of what is waited at all', () => {
    fc.assert(fc.property(input, probability, probability, (one, a, b) => {
      const [less, more] = [Math.min(a, b), Math.max(a, b)].map((smartTurnProbability) => endpointWaitMs({ ...one, smartTurnProbability })) as [number, number]
      expect(more).toBeLessThanOrEqual(less)
      expect(more).toBeGreaterThanOrEqual(200)
      expect(less).toBeLessThanOrEqual(LONGEST_MS[one.mode.eagerness])
    }))
  })

  it('without a verdict the wait lies between those of a sure end and a sure hesitation', () => {
    fc.assert(fc.property(input, (one) => {
      const waitMs = endpointWaitMs(one)
      expect(endpointWaitMs({ ...one, smartTurnProbability: 1 })).toBeLessThanOrEqual(waitMs)
      expect(endpointWaitMs({ ...one, smartTurnProbability: 0 })).toBeGreaterThanOrEqual(waitMs)
    }))
  })

  it('more complete words never wait longer, whatever it says', () => {
    fc.assert(fc.property(input, fc.option(probability, { nil: undefined }), (one, smartTurnProbability) => {
      const of = (transcript: string) => endpointWaitMs({ ...one, transcript, expectation: { kind: 'free' }, ...(smartTurnProbability === undefined ? {} : { smartTurnProbability }) })
      expect(of('I would like a table.')).toBeLessThanOrEqual(of('I would like a table'))
      expect(of('I would like a table')).toBeLessThanOrEqual(of('I would like a table and'))
    }))
  })

  it('is not asked where silence alone counts', () => {
    fc.assert(fc.property(input, probability, (one, smartTurnProbability) => {
      expect(endpointWaitMs({ ...one, mode: { type: 'server_vad', silenceMs: 512 }, smartTurnProbability })).toBe(512)
    }))
  })
})
