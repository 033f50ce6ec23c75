import { expect, it } from 'vitest'
import { interleave } from './rounds.ts'

it('every contender runs once per round, and each round begins with the next one', async () => {
  const order: string[] = []
  const runs = (name: string) => async (round: number) => {
    order.push(`${name}${round}`)
    return round * 10
  }
  const results = await interleave({ a: runs('a'), b: runs('b'), c: runs('c') }, 3)
  expect(order).toEqual(['a0', 'b0', 'c0', 'b1', 'c1', 'a1', 'c2', 'a2', 'b2'])
  expect(results).toEqual({ a: [0, 10, 20], b: [0, 10, 20], c: [0, 10, 20] })
})
