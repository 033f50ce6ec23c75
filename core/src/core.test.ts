import { describe, expect, it } from 'vitest'
import { AppError, conversationKey, formatCredits, newId, toWireError } from './index.ts'

describe('ids', () => {
  it('sort by creation time and are UUIDv7', () => {
    const early = newId(1_700_000_000_000)
    const late = newId(1_700_000_000_001)
    expect(early < late).toBe(true)
    expect(early).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
  it('do not repeat within a millisecond', () => {
    expect(new Set(Array.from({ length: 10_000 }, () => newId(1))).size).toBe(10_000)
  })
})

describe('errors', () => {
  it('carry type, status and retry from the code table', () => {
    const error = new AppError('system_busy', { retryAfterMs: 1500 })
    expect([error.type, error.status, error.retry]).toEqual(['system_busy_error', 503, true])
    expect(toWireError(error, 'req_1').error).toMatchObject({ code: 'system_busy', request_id: 'req_1', retry_after_ms: 1500 })
  })
  it('tell nothing about an unknown error', () => {
    expect(JSON.stringify(toWireError(new Error('relation "secrets" does not exist'), 'req_2'))).not.toContain('secrets')
  })
})

describe('money', () => {
  it('prints micro-credits without rounding', () => {
    expect([formatCredits(1_234_567n), formatCredits(-1n), formatCredits(2_000_000n)]).toEqual(['1.234567', '-0.000001', '2'])
  })
})

describe('conversations', () => {
  it('are named by the strongest identity', () => {
    expect(conversationKey({ identities: [{ kind: 'wa_user_id', value: 'US.1' }, { kind: 'phone', value: '+1' }] })).toBe('wa_user_id:US.1')
  })
})
