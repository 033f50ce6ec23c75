import { expect, it } from 'vitest'
import { figureOf } from '../figure.ts'
import { readFileSync } from 'node:fs'
import { withHeadlines, withResults } from './readme.ts'
import { keptResults } from './results.ts'

const machine = { date: '2026-01-02T03:04:05.000Z', cores: 2, cpu: 'Some CPU', memoryGiB: 24, kernel: '6', node: 'v24', redis: '7', postgres: '18', loadAtStart: 0.1 }

it('results replace what stood between the marks and nothing else', () => {
  const before = 'Above\n<!-- results: written by report/readme.ts, never by hand -->\nold\n<!-- end of results -->\nBelow\n'
  const figures = [figureOf('ingest', { figure: 'rate', value: 300, unit: 'requests/s', better: 'higher', baseline: { name: 'bare', value: 200 }, floor: 1.5 })]
  const after = withResults(before, [{ bench: 'ingest', machine, figures, tables: [], notes: ['a note'] }])
  expect(after).toContain('| rate | 300 requests/s | bare: 200 | 1.50 | >= 1.50x |  | floor held |')
  expect(after).toContain('- a note')
  expect(after).not.toContain('old')
  expect([after.startsWith('Above\n'), after.endsWith('\nBelow\n')]).toEqual([true, true])
  expect(withResults(after, [])).not.toContain('rate')
})

it.each([['of the benches', '../README.md', withResults], ['of the whole', '../../README.md', withHeadlines]] as const)('the table in the README %s is the one of the kept results', (_name, file, written) => {
  const text = readFileSync(new URL(file, import.meta.url), 'utf8')
  expect(text).toBe(written(text, keptResults()))
})
