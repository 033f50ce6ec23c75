import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mintKey, readKey } from './key-text.ts'

const [newest, older] = [randomBytes(32), randomBytes(32)]

describe('the text of an API key', () => {
  it('reads back what it minted, under the newest and under an older master secret', () => {
    for (const serverKey of [newest, older]) {
      const minted = mintKey(serverKey, 'production')
      expect(minted.text).toMatch(/^tl_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{48}$/)
      expect(readKey([newest, older], minted.text)).toEqual({ keyId: minted.keyId, digest: minted.digest.toString('hex') })
    }
    expect(readKey([newest], mintKey(older, 'production').text)).toBeNull()
  })

  it('refuses a key with any one character changed', () => {
    const { text } = mintKey(newest, 'staging')
    for (let i = 0; i < text.length; i++) {
      const other = text[i] === 'a' ? 'b' : 'a'
      expect(readKey([newest], text.slice(0, i) + other + text.slice(i + 1))).toBeNull()
    }
  })

  it('refuses any other text without throwing', () => {
    fc.assert(fc.property(fc.oneof(fc.string({ maxLength: 200 }), fc.string({ maxLength: 100 }).map((tail) => `tl_live_${tail}`)), (text) => readKey([newest], text) === null), { numRuns: 5_000 })
    expect(readKey([newest], `tl_live_${'a'.repeat(1_000_000)}`)).toBeNull()
  })

  it('keeps no digest that the text would give away', () => {
    const { text, digest } = mintKey(newest, 'development')
    expect(text).not.toContain(digest.toString('hex').slice(0, 8))
  })
})
