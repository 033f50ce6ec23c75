import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { leadAndBody } from './rendering.ts'
import { clip, measure, shorten, splitText, type TextUnit } from './text.ts'

const FAMILY = '👩‍👩‍👧‍👦'
const UNITS: TextUnit[] = ['characters', 'utf8_bytes']
const pieces = fc.array(fc.constantFrom('a', 'word', ' ', '\n', '\n\n', '. ', '!', 'ß', '語', '🇳🇴', FAMILY, 'é', '\r\n', ' \u0301'), { maxLength: 300, size: 'max' }).map((list) => list.join(''))

const graphemes = (text: string): string[] => Array.from(new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text), ({ segment }) => segment)

describe('splitText', () => {
  it('loses nothing, keeps to the limit and cuts no grapheme', () => {
    fc.assert(
      fc.property(pieces, fc.integer({ min: 60, max: 200 }), fc.constantFrom(...UNITS), (text, max, unit) => {
        const parts = splitText(text, max, unit)
        expect(parts.join('')).toBe(text)
        for (const part of parts) expect(measure(part, unit)).toBeLessThanOrEqual(max)
        expect(parts.flatMap(graphemes)).toEqual(graphemes(text))
      }),
      { numRuns: 1000, seed: 7 },
    )
  })

  it('prefers paragraphs to sentences, sentences to words, words to graphemes', () => {
    expect(splitText('One two. Three.\n\nFour five. Six.', 24, 'characters')).toEqual(['One two. Three.\n\n', 'Four five. Six.'])
    expect(splitText('One two three. Four five six.', 20, 'characters')).toEqual(['One two three. ', 'Four five six.'])
    expect(splitText('alpha beta gamma delta', 13, 'characters')).toEqual(['alpha beta ', 'gamma delta'])
    expect(splitText(FAMILY.repeat(3), 25, 'characters')).toEqual([FAMILY.repeat(2), FAMILY])
  })

  it('does not break early for a paragraph that would leave the part nearly empty', () => {
    expect(splitText(`Hi\n\n${'word '.repeat(10)}`, 30, 'characters')[0]!.length).toBeGreaterThan(20)
  })

  it('counts bytes where the platform counts bytes', () => {
    expect(splitText('ß'.repeat(10), 10, 'utf8_bytes')).toEqual(['ßßßßß', 'ßßßßß'])
    expect(splitText('ß'.repeat(10), 10, 'characters')).toEqual(['ß'.repeat(10)])
  })

  it('keeps a run of flags whole, wherever the run starts', () => {
    expect(splitText(`x${'🇳🇴'.repeat(200)}`, 11, 'characters').every((part) => part.replace('x', '').length % 4 === 0)).toBe(true)
  })

  it('breaks a grapheme that is longer than a whole part between code points, never inside one', () => {
    const zalgo = `a${'\u0301'.repeat(3_000)}`
    const parts = splitText(`${zalgo}😀`, 1_000, 'utf8_bytes')
    expect(parts.join('')).toBe(`${zalgo}😀`)
    for (const part of parts) expect([part.isWellFormed(), measure(part, 'utf8_bytes') <= 1_000]).toEqual([true, true])
  })

  it('gives nothing for nothing and refuses a limit that holds no character', () => {
    expect(splitText('', 10, 'characters')).toEqual([])
    expect(() => splitText('x', 3, 'utf8_bytes')).toThrow(RangeError)
  })
})

describe('shorten and clip', () => {
  it('keep to the limit, in whole graphemes where a reader sees it', () => {
    expect(shorten('A rather long title', 10, 'characters')).toBe('A rather…')
    expect(shorten(`ab${FAMILY}`, 6, 'characters')).toBe('ab…')
    expect(shorten('short', 10, 'characters')).toBe('short')
    expect(measure(shorten('語'.repeat(50), 20, 'utf8_bytes'), 'utf8_bytes')).toBeLessThanOrEqual(20)
    expect(clip('a😀', 2)).toBe('a')
  })
})

describe('leadAndBody', () => {
  const limits = { body: 1024, text: 4096, unit: 'characters' } as const

  it('fills the body to its last character and no further', () => {
    for (const length of [1, 1023, 1024]) expect(leadAndBody('x'.repeat(length), limits)).toEqual({ lead: [], body: 'x'.repeat(length) })
    for (const length of [1025, 2048, 2049, 4096, 5120, 5121]) {
      const { lead, body } = leadAndBody('x'.repeat(length), limits)
      expect(body.length).toBeLessThanOrEqual(1024)
      expect(lead.join('').length + body.length).toBe(length)
      for (const part of lead) expect(part.length).toBeLessThanOrEqual(4096)
    }
  })

  it('uses no more bubbles than needed', () => {
    expect(leadAndBody('x'.repeat(4096 + 1024), limits).lead).toHaveLength(1)
  })

  it('never leaves the body empty', () => {
    expect(leadAndBody('  \n', limits)).toEqual({ lead: [], body: '…' })
  })
})
