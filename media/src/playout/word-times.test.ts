import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { wordsOf, wordTimes } from './word-times.ts'
import type { ToldSpan } from './word-times.ts'

const PACE = 0.015
const at = (text: string, words: { charStart: number; charEnd: number }[]): string[] => words.map(({ charStart, charEnd }) => text.slice(charStart, charEnd))
const measured = (charStart: number, charEnd: number, startMs: number, endMs: number): ToldSpan => ({ charStart, charEnd, startMs, endMs, estimated: false })

describe('words of a text', () => {
  it('are without the marks around them, and whole with those inside', () => {
    const text = '“Well-known” cafés: 9:30, don’t call info@harbour.no — and/or pay 4.50!'
    expect(at(text, wordsOf(text))).toEqual(['Well-known', 'cafés', '9:30', 'don’t', 'call', 'info@harbour.no', 'and/or', 'pay', '4.50'])
  })

  it('are known in scripts without spaces', () => {
    const text = '今天天气很好'
    const words = at(text, wordsOf(text))
    expect([words.length > 1, words.join('')]).toEqual([true, text])
  })

  it('marks alone are none', () => {
    expect(wordsOf('… — ?!')).toEqual([])
  })
})

describe('when words are spoken', () => {
  it('is what the engine measured, with the marks that it counted to a word', () => {
    expect(wordTimes('One, two.', [measured(0, 4, 10, 300), measured(5, 9, 350, 700)], 800, PACE)).toEqual([
      { charStart: 0, charEnd: 3, startMs: 10, endMs: 300, estimated: false },
      { charStart: 5, charEnd: 8, startMs: 350, endMs: 700, estimated: false },
    ])
  })

  it('is divided by characters where several words were told as one, and said to be estimated', () => {
    expect(wordTimes('of the sea', [measured(0, 6, 0, 600), measured(7, 10, 600, 900)], 900, PACE)).toEqual([
      { charStart: 0, charEnd: 2, startMs: 0, endMs: 200, estimated: true },
      { charStart: 3, charEnd: 6, startMs: 300, endMs: 600, estimated: true },
      { charStart: 7, charEnd: 10, startMs: 600, endMs: 900, estimated: false },
    ])
  })

  it('joins the times of single characters', () => {
    const text = 'one two'
    const spans = Array.from(text, (_, i) => measured(i, i + 1, i * 100, i * 100 + 100))
    expect(wordTimes(text, spans, 700, PACE).map(({ startMs, endMs, estimated }) => [startMs, endMs, estimated])).toEqual([[0, 300, false], [400, 700, false]])
  })

  it('goes by the length of the sound where nothing was told, else by the usual pace', () => {
    expect(wordTimes('one two', [], 700, PACE).map(({ startMs, endMs, estimated }) => [startMs, endMs, estimated])).toEqual([[0, 300, true], [400, 700, true]])
    expect(wordTimes('one two', [], null, 0.01).at(-1)).toMatchObject({ endMs: 700, estimated: true })
  })

  it('shares the time between measured neighbours among words that no span tells of', () => {
    const times = wordTimes('one two three four', [measured(0, 3, 0, 300), measured(14, 18, 1_400, 1_800)], 1_800, PACE)
    expect(times.map(({ startMs, endMs, estimated }) => [Math.round(startMs), Math.round(endMs), estimated])).toEqual([[0, 300, false], [400, 700, true], [800, 1_300, true], [1_400, 1_800, false]])
  })

  it('is in order, without overlap and within the sound, whatever an engine tells', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '9', "'", '-'), minLength: 1, maxLength: 6 })
    const text = fc.array(fc.tuple(word, fc.constantFrom(' ', ', ', '. ', ' — ', '\n')), { maxLength: 12 }).map((parts) => parts.flat().join(''))
    const spans = fc.array(fc.tuple(fc.nat(60), fc.nat(12), fc.nat(5_000), fc.nat(900), fc.boolean()), { maxLength: 15 }).map((all): ToldSpan[] =>
      all.map(([charStart, chars, startMs, ms, estimated]) => ({ charStart, charEnd: charStart + chars + 1, startMs, endMs: startMs + ms, estimated })).toSorted((one, other) => one.charStart - other.charStart))
    fc.assert(
      fc.property(text, spans, fc.option(fc.integer({ min: 0, max: 6_000 })), (text, spans, totalMs) => {
        const words = wordTimes(text, spans, totalMs, PACE)
        expect(words.map(({ charStart, charEnd }) => ({ charStart, charEnd }))).toEqual(wordsOf(text))
        let passed = { charEnd: 0, endMs: 0 }
        for (const each of words) {
          expect(each.charStart).toBeGreaterThanOrEqual(passed.charEnd)
          expect(each.startMs).toBeGreaterThanOrEqual(passed.endMs)
          expect(each.endMs).toBeGreaterThanOrEqual(each.startMs)
          passed = each
        }
        const latestMs = Math.max(totalMs ?? 0, ...spans.map(({ endMs }) => endMs))
        if (totalMs !== null) expect(passed.endMs).toBeLessThanOrEqual(latestMs + 1e-6)
      }),
    )
  })
})
