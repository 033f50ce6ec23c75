import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DigitCollector, type DigitEvent, type DigitState } from './collector.ts'
import type { DtmfDigit } from './contract.ts'

const account = new DigitCollector({ maxDigits: 6, interDigitMs: 3_000, firstDigitMs: 8_000 })
const key = fc.constantFrom<DtmfDigit>('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')

function play(collector: DigitCollector, keys: string, everyMs = 100): DigitState {
  let state = collector.open(0)
  Array.from(keys).forEach((digit, index) => (state = collector.step(state, { type: 'digit', digit: digit as DtmfDigit, nowMs: (index + 1) * everyMs })))
  return state
}

describe('digits that are keyed in', () => {
  it('are complete with the last one, with the terminator, or with the pause after them', () => {
    expect(play(account, '123456').outcome).toEqual({ type: 'complete', digits: '123456' })
    expect(play(account, '123#').outcome).toEqual({ type: 'complete', digits: '123' })
    const waiting = play(account, '12')
    expect(waiting.outcome).toBeNull()
    expect(account.nextDueMs(waiting)).toBe(3_200)
    expect(account.step(waiting, { type: 'timer', nowMs: 3_200 }).outcome).toEqual({ type: 'complete', digits: '12' })
  })

  it('time out when none is pressed, and are none when only the terminator is', () => {
    expect(account.step(account.open(0), { type: 'timer', nowMs: 8_000 }).outcome).toEqual({ type: 'timeout', digits: '' })
    expect(play(account, '#').outcome).toEqual({ type: 'invalid', digits: '' })
  })

  it('a digit that comes after its time does not count, even if no timer fired', () => {
    const state = account.step(play(account, '12'), { type: 'digit', digit: '3', nowMs: 9_000 })
    expect(state.outcome).toEqual({ type: 'complete', digits: '12' })
  })

  it('a menu refuses what it does not offer', () => {
    const menu = new DigitCollector({ maxDigits: 1, terminator: null, interDigitMs: 1_000, firstDigitMs: 5_000, validate: (digits) => '12'.includes(digits) })
    expect(play(menu, '1').outcome).toEqual({ type: 'complete', digits: '1' })
    expect(play(menu, '#').outcome).toEqual({ type: 'invalid', digits: '#' })
  })

  it('the clearing key begins anew, and speech cancels', () => {
    const collector = new DigitCollector({ maxDigits: 3, clear: '*', interDigitMs: 1_000, firstDigitMs: 5_000 })
    expect(play(collector, '12*987').outcome).toEqual({ type: 'complete', digits: '987' })
    expect(collector.step(play(collector, '12'), { type: 'cancel', nowMs: 300 }).outcome).toEqual({ type: 'cancelled', digits: '12' })
  })

  it('settings that cannot be met are refused', () => {
    expect(() => new DigitCollector({ maxDigits: 0, interDigitMs: 1, firstDigitMs: 1 })).toThrow(RangeError)
    expect(() => new DigitCollector({ maxDigits: 2, minDigits: 3, interDigitMs: 1, firstDigitMs: 1 })).toThrow(RangeError)
    expect(() => new DigitCollector({ maxDigits: 2, interDigitMs: 0, firstDigitMs: 1 })).toThrow(RangeError)
  })

  it('law: what is collected is a beginning of what was pressed, and an outcome is final', () => {
    const event = fc.record({ after: fc.integer({ min: 0, max: 5_000 }), digit: fc.option(key, { nil: null }) })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 20 }), (events) => {
        let [state, nowMs] = [account.open(0), 0]
        const pressed = events.flatMap(({ digit }) => digit ?? []).join('')
        for (const { after, digit } of events) {
          nowMs += after
          const step: DigitEvent = digit === null ? { type: 'timer', nowMs } : { type: 'digit', digit, nowMs }
          const next = account.step(state, step)
          if (state.outcome) expect(next).toBe(state)
          state = next
        }
        expect(pressed.startsWith(state.digits)).toBe(true)
        expect(state.outcome !== null || state.digits.length < 6).toBe(true)
        expect(account.step(state, { type: 'timer', nowMs: nowMs + 8_000 }).outcome).not.toBeNull()
      }),
    )
  })
})
