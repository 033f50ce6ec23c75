import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { eventTable } from './table.ts'

it('README.md shows the table that the schemas make', () => {
  const text = readFileSync(new URL('./README.md', import.meta.url), 'utf8')
  expect(text).toContain(`<!-- table -->\n${eventTable()}\n<!-- /table -->`)
})
