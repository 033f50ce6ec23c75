import { expect, it } from 'vitest'
import { countDisorder } from './order.ts'

it('only what ends after a later one of its own number is out of order', () => {
  expect(countDisorder([{ number: 'a', nth: 0 }, { number: 'b', nth: 5 }, { number: 'a', nth: 2 }, { number: 'b', nth: 7 }])).toBe(0)
  expect(countDisorder([{ number: 'a', nth: 2 }, { number: 'a', nth: 0 }, { number: 'a', nth: 1 }, { number: 'a', nth: 3 }])).toBe(2)
})
