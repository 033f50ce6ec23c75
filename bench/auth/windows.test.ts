import { expect, it } from 'vitest'
import { overAdmitted } from './windows.ts'

const at = (askedMs: number, tookMs = 1) => ({ askedMs, toldMs: askedMs + tookMs })

it('one more than the limit in a window is over it, spread wider is not', () => {
  expect(overAdmitted([at(0), at(10), at(20)], 2, 1_000)).toBe(1)
  expect(overAdmitted([at(0), at(10), at(1_000)], 2, 1_000)).toBe(0)
  expect(overAdmitted([at(20), at(0), at(10), at(30)], 2, 1_000)).toBe(2)
})

it('what may have been decided outside of the window is no proof', () => {
  expect(overAdmitted([at(0, 5), at(10), at(900, 200)], 2, 1_000)).toBe(0)
  expect(overAdmitted([], 2, 1_000)).toBe(0)
})
