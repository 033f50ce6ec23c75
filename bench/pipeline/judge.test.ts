import { expect, it } from 'vitest'
import { countDisorder } from './judge.ts'

it('an answer that leaves its number after a later one is counted; other numbers do not matter', () => {
  const facts = new Map([['a1', { id: 'a1', numberId: 'a', firstSeq: 1 }], ['a2', { id: 'a2', numberId: 'a', firstSeq: 2 }], ['b1', { id: 'b1', numberId: 'b', firstSeq: 1 }]])
  const sends = (...ids: string[]) => ids.map((id, index) => ({ seq: index, number: '', callback_data: id }))
  expect(countDisorder(sends('a1', 'b1', 'a2'), facts)).toBe(0)
  expect(countDisorder(sends('a2', 'b1', 'a1'), facts)).toBe(1)
  expect(countDisorder(sends('a1', 'a1', 'a2', 'a2'), facts)).toBe(0)
})
