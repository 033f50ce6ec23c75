import { describe, expect, it } from 'vitest'
import { storableJson, storableText } from './storable.ts'

describe('storable text', () => {
  it('loses NULs and lone surrogates and nothing else', () => {
    expect(storableText('a\u0000b\ud800c😀')).toBe('ab\ufffdc😀')
  })
  it('is left alone in JSON that has neither', () => {
    expect(storableJson({ a: ['ü', 1, null] })).toBe('{"a":["ü",1,null]}')
  })
  it('is mended in keys and values at every depth', () => {
    expect(JSON.parse(storableJson({ 'k\u0000': [{ v: 'x\u0000' }, '\udc00'] }))).toEqual({ k: [{ v: 'x' }, '\ufffd'] })
  })
})
