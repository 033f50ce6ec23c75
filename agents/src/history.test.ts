import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SILENCE_MS, contextStartMs, extractiveSummary, presentContext, toCompress, toModelItems } from './history.ts'
import type { HistoryItem } from './history.ts'
import { compactItems, pairedStart } from './vendors/compact.ts'
import type { ModelItem } from './vendors/contract.ts'

const NOW = Date.UTC(2026, 10, 20)
const DAY = 24 * 3_600_000
const items = (count: number, firstMs = NOW - count * 1_000): HistoryItem[] => Array.from({ length: count }, (_, index) => ({ messageId: `m${index}`, role: index % 2 ? 'agent' : 'customer', text: `text number ${index}`, atMs: firstMs + index * 1_000 }))

describe('the start of the context', () => {
  it('is open without a long silence', () => {
    expect(contextStartMs([], NOW)).toBe(-Infinity)
    expect(contextStartMs([NOW - 20 * DAY], NOW)).toBe(-Infinity)
  })

  it('is now when the last message is 21 days old, and the first message after the last long silence otherwise', () => {
    expect(contextStartMs([NOW - SILENCE_MS], NOW)).toBe(NOW)
    expect(contextStartMs([NOW - 60 * DAY, NOW - 30 * DAY, NOW - 2 * DAY, NOW - DAY], NOW)).toBe(NOW - 2 * DAY)
  })

  it('never leaves a silence of 21 days inside, and never cuts without one', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 40 * DAY }), { maxLength: 30 }), (gaps) => {
        const atMs: number[] = []
        let at = NOW - gaps.reduce((sum, gap) => sum + gap, 0)
        for (const gap of gaps) {
          atMs.push(at)
          at += gap
        }
        const start = contextStartMs(atMs, NOW)
        const kept = [...atMs.filter((time) => time >= start), NOW]
        for (let i = 1; i < kept.length; i++) expect(kept[i]! - kept[i - 1]!).toBeLessThan(SILENCE_MS)
        const cut = atMs.filter((time) => time < start)
        if (cut.length > 0) expect(Math.min(start, NOW) - cut.at(-1)!).toBeGreaterThanOrEqual(SILENCE_MS)
      }),
    )
  })
})

describe('compression', () => {
  it('begins above fifty and keeps twenty', () => {
    expect(toCompress(items(50))).toBeNull()
    const split = toCompress(items(51))!
    expect([split.older.length, split.recent.length]).toEqual([31, 20])
  })

  it('reads what follows the summary, whether the app loads all or only that', () => {
    const all = items(40)
    const summary = { text: 'before', throughMessageId: 'm29' }
    expect(presentContext(all, summary, NOW).items).toHaveLength(10)
    expect(presentContext(all.slice(30), summary, NOW)).toMatchObject({ summary })
  })

  it('by rules keeps the newest within its space', () => {
    const summary = extractiveSummary(items(500), { text: 'p'.repeat(10_000), throughMessageId: 'x' })
    expect(summary.text.length).toBeLessThanOrEqual(4_001)
    expect(summary.text).toContain('text number 499')
    expect(summary.throughMessageId).toBe('m499')
  })
})

describe('what a model reads', () => {
  it('is told by a colleague what the customer does not hear, and never takes it for its own words', () => {
    const told = [...items(2), { messageId: 'n', role: 'note' as const, text: 'Offer the loan bike.', atMs: NOW }, { messageId: 'h', role: 'human' as const, text: 'Kari here.', atMs: NOW }]
    expect(toModelItems(told, null).map((item) => item.type === 'message' && [item.role, item.text])).toEqual([
      ['user', 'text number 0'], ['assistant', 'text number 1'], ['system', expect.stringMatching(/does not hear.*: Offer the loan bike\.$/)], ['assistant', 'Kari here.'],
    ])
  })
})

const modelItem: fc.Arbitrary<ModelItem[]> = fc.oneof(
  fc.string().map((text): ModelItem[] => [{ type: 'message', role: 'user', text }]),
  fc.tuple(fc.uuid(), fc.nat(3)).map(([callId, between]): ModelItem[] => [
    { type: 'tool_call', callId, name: 'x', argumentsJson: '{}' },
    ...Array.from({ length: between }, (): ModelItem => ({ type: 'message', role: 'user', text: 'between' })),
    { type: 'tool_output', callId, output: 'y' },
  ]),
)

describe('compacting a context that a vendor refused', () => {
  it('never separates a tool output from its call, and keeps the newest item', () => {
    fc.assert(
      fc.property(fc.array(modelItem, { minLength: 1, maxLength: 40 }), (groups) => {
        const before = groups.flat()
        const after = compactItems(before)
        const calls = new Set(after.flatMap((item) => (item.type === 'tool_call' ? [item.callId] : [])))
        for (const item of after) if (item.type === 'tool_output') expect(calls).toContain(item.callId)
        expect(after.length).toBeLessThanOrEqual(before.length + 1)
        expect(after.at(-1)!.type).toBe(before.at(-1)!.type)
        expect(pairedStart(before, before.length)).toBe(before.length)
      }),
    )
  })
})
