import { describe, expect, it } from 'vitest'
import { contentId, id, joinedId, number, raw, text, timeMs, webUrl } from './json.ts'

const NOW = 1_790_000_000_000

describe('reading JSON from outside', () => {
  it('takes an id whole or not at all', () => {
    expect([id('wamid.A'), id(42), id('x'.repeat(512))]).toEqual(['wamid.A', '42', 'x'.repeat(512)])
    expect([id(''), id('x'.repeat(513)), id('a\nb'), id('a\u0000'), id('\ud83d'), id(1.5), id(1e300), id(null), id({}), id(['a'])].every((value) => value === undefined)).toBe(true)
  })

  it('makes text that can be stored', () => {
    expect(text('a\u0000b', 10)).toBe('ab')
    expect(text('half \ud83d', 10)).toBe('half \ufffd')
    expect(text('a😀', 2)).toBe('a')
    expect([text('', 5), text('\u0000', 5), text(7, 5)]).toEqual([undefined, undefined, undefined])
  })

  it('reads finite numbers only', () => {
    expect([number('12.5'), number(-0.5), number(JSON.parse('1e999')), number('NaN'), number(''), number(' '), number(null), number([1])]).toEqual([12.5, -0.5, undefined, undefined, undefined, undefined, undefined, undefined])
  })

  it('reads seconds and milliseconds, and takes now for what is no time', () => {
    expect([timeMs('1763640000', NOW), timeMs(1763640000123, NOW)]).toEqual([1_763_640_000_000, 1_763_640_000_123])
    for (const odd of ['NaN', null, {}, -1, 0, 1e30, '1e999', true]) expect(timeMs(odd, NOW)).toBe(NOW)
  })

  it('takes web addresses only', () => {
    expect(webUrl('https://a.example/b?c=d')).toBe('https://a.example/b?c=d')
    for (const odd of ['javascript:alert(1)', 'ftp://a.example', '//a.example', 'https://', 'https://a b', ' https://a.example', 'x', 7]) expect(webUrl(odd)).toBeUndefined()
  })
})

describe('keeping the raw object', () => {
  it('drops what would change an object, and depth without end', () => {
    const kept = raw(JSON.parse('{"__proto__": {"admin": true}, "a": {"__proto__": 1, "b": [1e999, "x\\u0000"]}}'))
    expect(kept).toEqual({ a: { b: [null, 'x'] } })
    expect((kept as { admin?: boolean }).admin).toBeUndefined()
    const deep = JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)) as unknown
    expect(JSON.stringify(raw(deep)).length).toBeLessThan(200)
  })

  it('wraps what is no object', () => {
    expect([raw(7), raw(null), raw([1])]).toEqual([{ value: 7 }, { value: null }, { value: [1] }])
  })
})

describe('ids of content', () => {
  it('are the same for the same content and differ for other', () => {
    expect(contentId('x', { a: 1 })).toBe(contentId('x', { a: 1 }))
    expect(contentId('x', { a: 1 })).not.toBe(contentId('x', { a: 2 }))
  })

  it('stay within 512 characters', () => {
    expect(joinedId('a', 'b', 1)).toBe('a:b:1')
    expect(joinedId('deleted', 'm'.repeat(600)).length).toBeLessThanOrEqual(512)
    expect(joinedId('deleted', 'm'.repeat(600))).not.toBe(joinedId('deleted', 'm'.repeat(601)))
  })
})
