import { silentLogger, systemClock } from '@trunkline/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CallCredit, type CallCreditOptions } from './credit.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const MINUTE_MS = 60_000

function watch(over: Partial<CallCreditOptions> = {}) {
  const reserve = vi.fn<CallCreditOptions['reserve']>(async () => 'held')
  const [onShort, onOver] = [vi.fn<() => void>(), vi.fn<() => void>()]
  const credit = new CallCredit({ clock: systemClock, log: silentLogger, callId: 'call', sinceMs: 0, holds: 1, reserve, onShort, onOver, ...over })
  credit.start()
  return { credit, reserve: over.reserve ?? reserve, onShort, onOver }
}

describe('the credit of a call', () => {
  it('is reserved a minute ahead, two minutes at a time', async () => {
    const { reserve, credit } = watch()
    await vi.advanceTimersByTimeAsync(0.9 * MINUTE_MS)
    expect(reserve).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(0.2 * MINUTE_MS)
    expect(reserve).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS)
    expect(reserve).toHaveBeenCalledTimes(6)
    credit.stop()
  })

  it('goes on from what was reserved when the sound of the call was away; bug: each return had two minutes for nothing', async () => {
    const { reserve, credit } = watch({ sinceMs: 3.5 * MINUTE_MS, holds: 2 })
    await vi.advanceTimersByTimeAsync(20_000)
    expect(reserve).toHaveBeenCalledTimes(1)
    credit.stop()
  })

  it('that is not there is told once, and so is a call that is not ours', async () => {
    const poor = watch({ reserve: async () => 'insufficient' })
    const lost = watch({ reserve: async () => 'over' })
    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS)
    expect([poor.onShort.mock.calls.length, poor.onOver.mock.calls.length, lost.onShort.mock.calls.length, lost.onOver.mock.calls.length]).toEqual([1, 0, 0, 1])
  })
})
