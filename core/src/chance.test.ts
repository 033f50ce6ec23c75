import { describe, expect, it } from 'vitest'
import { seededChance } from './chance.ts'

const drawn = (seed: number) => {
  const chance = seededChance(seed)
  return Array.from({ length: 1_000 }, () => chance.next())
}

describe('chance from a seed', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(drawn(7)).toEqual(drawn(7))
    expect(drawn(7)).not.toEqual(drawn(8))
  })

  it('lies between 0 and 1 and favours nothing', () => {
    const all = drawn(7)
    expect(all.every((each) => each >= 0 && each < 1)).toBe(true)
    expect(all.reduce((sum, each) => sum + each, 0) / all.length).toBeCloseTo(0.5, 1)
  })

  it('shuffles into the same things in another order', () => {
    const items = Array.from({ length: 50 }, (_, index) => index)
    const mixed = seededChance(7).shuffle(items)
    expect(mixed).not.toEqual(items)
    expect(mixed.toSorted((a, b) => a - b)).toEqual(items)
  })
})
