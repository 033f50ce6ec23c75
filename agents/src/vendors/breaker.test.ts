import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../testing/index.ts'
import { Breakers } from './breaker.ts'

const KEY = 'openai https://api.example'
function opened() {
  const clock = new ManualClock()
  const breakers = new Breakers(clock)
  for (let i = 0; i < 5; i++) breakers.enter(KEY)!.failed()
  return { clock, breakers }
}

describe('circuit breaker', () => {
  it('opens after five failures in a row, not after four', () => {
    const breakers = new Breakers(new ManualClock())
    for (let i = 0; i < 4; i++) breakers.enter(KEY)!.failed()
    expect(breakers.state(KEY)).toBe('closed')
    breakers.enter(KEY)!.failed()
    expect(breakers.state(KEY)).toBe('open')
    expect(breakers.enter(KEY)).toBeNull()
  })

  it('counts from zero after a success', () => {
    const breakers = new Breakers(new ManualClock())
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 4; i++) breakers.enter(KEY)!.failed()
      breakers.enter(KEY)!.succeeded()
    }
    expect(breakers.state(KEY)).toBe('closed')
  })

  it('lets one probe through after 30 seconds, not before', () => {
    const { clock, breakers } = opened()
    clock.advance(29_999)
    expect(breakers.enter(KEY)).toBeNull()
    clock.advance(1)
    expect(breakers.enter(KEY)).not.toBeNull()
    expect(breakers.enter(KEY)).toBeNull()
  })

  it('closes when the probe succeeds, opens for another 30 seconds when it fails', () => {
    const good = opened()
    good.clock.advance(30_000)
    good.breakers.enter(KEY)!.succeeded()
    expect(good.breakers.state(KEY)).toBe('closed')
    const bad = opened()
    bad.clock.advance(30_000)
    bad.breakers.enter(KEY)!.failed()
    expect(bad.breakers.state(KEY)).toBe('open')
    bad.clock.advance(30_000)
    expect(bad.breakers.enter(KEY)).not.toBeNull()
  })

  it('gives the probe back when it was aborted', () => {
    const { clock, breakers } = opened()
    clock.advance(30_000)
    breakers.enter(KEY)!.released()
    expect(breakers.enter(KEY)).not.toBeNull()
  })

  it('is not closed by a late success from before it opened', () => {
    const breakers = new Breakers(new ManualClock())
    const late = breakers.enter(KEY)!
    for (let i = 0; i < 5; i++) breakers.enter(KEY)!.failed()
    late.succeeded()
    expect(breakers.state(KEY)).toBe('open')
  })

  it('keeps one vendor\'s faults from another\'s', () => {
    const { breakers } = opened()
    expect(breakers.enter('anthropic https://api.example')).not.toBeNull()
  })

  it('never has two probes out at once and never passes while open, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constant('fail'), fc.constant('ok'), fc.constant('release'), fc.constant('enter'), fc.nat(40_000)), { maxLength: 60 }), (moves) => {
        const clock = new ManualClock()
        const breakers = new Breakers(clock)
        const out: { permit: NonNullable<ReturnType<Breakers['enter']>>; probe: boolean }[] = []
        for (const move of moves) {
          if (typeof move === 'number') clock.advance(move)
          else if (move === 'enter') {
            const before = breakers.state(KEY)
            const permit = breakers.enter(KEY)
            if (before === 'open') expect(permit).toBeNull()
            if (before === 'closed') expect(permit).not.toBeNull()
            if (permit) out.push({ permit, probe: before === 'half_open' })
          } else {
            const { permit } = out.shift() ?? {}
            if (move === 'fail') permit?.failed()
            else if (move === 'ok') permit?.succeeded()
            else permit?.released()
          }
          if (breakers.state(KEY) !== 'closed') expect(out.filter((entry) => entry.probe).length).toBeLessThanOrEqual(1)
        }
      }),
    )
  })
})
