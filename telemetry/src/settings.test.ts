import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { count, list, readSettings, webUrl } from './settings.ts'

const schema = z.object({ URL: webUrl, NAMES: list.default([]), MANY: count(3, { max: 9 }), KEY: z.string().min(8).optional() })

describe('the settings of a process', () => {
  it('are read with their defaults, and what is empty is not set', () => {
    expect(readSettings(schema, { URL: 'https://example.com//', NAMES: 'a, b,,', MANY: '', KEY: undefined })).toEqual({ URL: 'https://example.com', NAMES: ['a', 'b'], MANY: 3 })
  })
  it('that are wrong are all named at once, without what was given', () => {
    const read = () => readSettings(schema, { MANY: '10', KEY: 'secret' })
    expect(read).toThrow(/URL: is missing[\s\S]*MANY: [\s\S]*KEY: /)
    expect(read).not.toThrow(/secret/)
  })
})
