import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Held } from './held.ts'

describe('what a reader holds', () => {
  it('misses exactly what is not in it, whatever the order of arrival', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 30 }), (positions) => {
        const held = Held.upTo(0)
        for (const position of positions) held.add(position)
        const asked = Array.from({ length: 45 }, (_, index) => index + 1).filter((position) => held.missing().some((span) => position > span.after && position < span.before))
        const lacking = Array.from({ length: 45 }, (_, index) => index + 1).filter((position) => !positions.includes(position))
        // Twenty holes are looked after; older ones are given up.
        expect(asked.slice(-20)).toEqual(lacking.slice(-20))
        expect(asked.every((position) => !positions.includes(position))).toBe(true)
        expect(held.last).toBe(Math.max(0, ...positions))
      }),
    )
  })

  it('reads what a client says it holds, and takes everything before it as held', () => {
    const held = Held.parse('3-4,6-9', 'frame.have')
    expect(held.missing()).toEqual([{ after: 4, before: 6 }, { after: 9, before: Number.MAX_SAFE_INTEGER }])
    held.add(5)
    expect(held.missing()).toEqual([{ after: 9, before: Number.MAX_SAFE_INTEGER }])
  })

  it.each(['4-3', '1-2,2-3', '5-6,1-2', '1-99999999999999999'])('refuses ranges that do not rise: %s', (text) => {
    expect(() => Held.parse(text, 'frame.have')).toThrow(/rising ranges/)
  })
})
