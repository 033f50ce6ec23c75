import { describe, expect, it } from 'vitest'
import { suggestedWorkers, type Load } from './scale.ts'

const calm: Load = { workers: 2, waiting: 0, oldestAgeMs: 0, cpu: 0.1, turnsInFlight: 0, maxTurnsInFlight: 1_000 }

describe('the suggested number of workers', () => {
  it('is the least when nothing is to do', () => expect(suggestedWorkers(calm)).toBe(1))
  it('follows the CPU', () => expect(suggestedWorkers({ ...calm, workers: 4, cpu: 0.95 })).toBe(6))
  it('follows the slots when turns wait for suppliers', () => expect(suggestedWorkers({ ...calm, cpu: 0.2, turnsInFlight: 1_000 })).toBe(3))
  it('grows with a line that grows old under busy workers', () => expect(suggestedWorkers({ ...calm, cpu: 0.7, waiting: 50_000, oldestAgeMs: 60_000 })).toBe(4))
  it('does not grow for a line that is old because of one slow conversation', () => expect(suggestedWorkers({ ...calm, waiting: 50, oldestAgeMs: 60_000 })).toBe(1))
  it('keeps within its rules', () => expect(suggestedWorkers({ ...calm, workers: 40, cpu: 1 })).toBe(32))
})
