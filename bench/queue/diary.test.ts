import { expect, it } from 'vitest'
import { errands, giveAll, openDiary } from './diary.ts'

it('one first try in twenty fails, and a second one does not', () => {
  const list = errands(2_000, 100)
  const diary = openDiary(2_000, 100)
  const failed = list.filter((errand) => {
    try {
      diary.attempt(errand)
      return false
    } catch {
      return true
    }
  })
  expect(failed).toHaveLength(100)
  expect(new Set(failed.map(({ number }) => number)).size).toBeGreaterThan(50)
  for (const errand of failed) diary.attempt(errand)
  expect(diary.totals().failedFirst).toBe(100)
})

it('counts what came late and what came twice, and ends with the last one', async () => {
  const diary = openDiary(3, 1)
  for (const place of [0, 2, 1, 1]) diary.done({ number: 0, place })
  await diary.finished
  expect(diary.totals()).toEqual({ done: 4, doubled: 1, failedFirst: 0, outOfOrder: 2 })
})

it('errands are given in their order', async () => {
  const given: number[] = []
  await giveAll(errands(10, 2), 3, async ({ number, place }) => given.push(place * 2 + number))
  expect(given).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})
