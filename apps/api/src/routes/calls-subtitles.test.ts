import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asSrt, asText, asVtt, type Line } from './calls-subtitles.ts'

const line = (over: Partial<Line> = {}): Line => ({ by: 'agent', text: 'Hello.', start_ms: 0, end_ms: 1_000, words: [], ...over })

describe('a transcript as subtitles', () => {
  it('counts hours, and shows what has no length for a moment', () => {
    const late = line({ start_ms: 3_723_004, end_ms: 3_723_004 })
    expect(asSrt([late])).toBe('1\n01:02:03,004 --> 01:02:03,204\nAgent: Hello.\n\n')
    expect(asVtt([late])).toBe('WEBVTT\n\n01:02:03.004 --> 01:02:03.204\n<v Agent>Hello.\n\n')
    expect(asText([late])).toBe('[01:02:03] Agent: Hello.\n')
  })

  it('is in the order in which it was said, not in which it was known', () => {
    expect(asText([line({ start_ms: 2_000 }), line({ by: 'customer', text: 'Yes?', start_ms: 1_000 })])).toBe('[00:00:01] Customer: Yes?\n[00:00:02] Agent: Hello.\n')
  })

  it('lets no words end a cue, begin another or open a tag', () => {
    const text = fc.string({ unit: fc.constantFrom('a', ' ', '\n', '\r', '<', '>', '&', '-', '1', ':', '\u2028'), maxLength: 40 })
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), (texts) => {
        const lines = texts.map((text, index) => line({ text, start_ms: index * 1_000, end_ms: index * 1_000 + 500 }))
        const cues = asVtt(lines).split(/\r\n|\r|\n/).filter((row) => row.includes('-->'))
        expect(cues).toHaveLength(texts.length)
        expect(asSrt(lines).match(/\n\n/g)).toHaveLength(texts.length)
        for (const row of asVtt(lines).split('\n').filter((row) => row.startsWith('<v '))) expect(row.replace('<v Agent>', '')).not.toMatch(/[<>]/)
      }),
    )
  })

  describe('cuts what is long', () => {
    /** Each word takes 250 ms. */
    const spoken = (text: string): Line => {
      const words = [...text.matchAll(/[\w']+/g)].map((match, n) => ({ char_start: match.index, char_end: match.index + match[0].length, start_ms: n * 250, end_ms: n * 250 + 200 }))
      return line({ text, end_ms: words.length * 250, words })
    }
    const textsOf = (srt: string): string[] => srt.split('\n\n').filter(Boolean).map((cue) => cue.split('\n')[2]!.replace('Agent: ', ''))

    it('at sentences where there is one, at the times of its words', () => {
      const text = 'We open at nine in the morning on every day of the week. On Sundays the workshop is closed, and only the shop is there for you.'
      expect(asSrt([spoken(text)])).toBe(
        '1\n00:00:00,000 --> 00:00:03,200\nAgent: We open at nine in the morning on every day of the week.\n\n2\n00:00:03,250 --> 00:00:06,750\nAgent: On Sundays the workshop is closed, and only the shop is there for you.\n\n',
      )
    })

    it('between words, never in them, and loses none', () => {
      const word = fc.stringMatching(/^[a-z]{1,14}[.,]?$/)
      fc.assert(
        fc.property(fc.array(word, { minLength: 1, maxLength: 60 }), (words) => {
          const text = words.join(' ')
          const texts = textsOf(asSrt([spoken(text)]))
          expect(texts.join(' ')).toBe(text)
          for (const each of texts) expect(each.length).toBeLessThanOrEqual(85)
        }),
      )
    })

    it('not where nobody knows when its words were said, and not in the reading version', () => {
      const text = 'word '.repeat(60).trim()
      expect(textsOf(asSrt([line({ text })]))).toEqual([text])
      expect(asText([spoken(text)]).match(/Agent: /g)).toHaveLength(1)
    })
  })
})
