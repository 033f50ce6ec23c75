import { newId } from '@trunkline/core'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { decodeCursor, decodeIdCursor, encodeCursor, fromWire, toPage, toWire } from './wire.ts'

describe('the wire', () => {
  it('is snake_case at every depth, with dates and bigints as strings', () => {
    const row = { tenantId: 'a', createdAt: new Date(0), amountMicros: 12n, nested: [{ lastFour: 'x', none: null }] }
    expect(toWire(row)).toEqual({ tenant_id: 'a', created_at: '1970-01-01T00:00:00.000Z', amount_micros: '12', nested: [{ last_four: 'x', none: null }] })
  })

  it('comes back as camelCase', () => {
    expect(fromWire({ rate_limit_per_minute: 3, nested: { order_mode: 'number' }, list: [{ a_b: 1 }] })).toEqual({ rateLimitPerMinute: 3, nested: { orderMode: 'number' }, list: [{ aB: 1 }] })
  })

  it('leaves alone what belongs to somebody else, in both directions', () => {
    const settings = { phone_number_id: '1', someKey: { inner_key: 2, innerKey: 3 } }
    expect(toWire({ settings, vendorState: settings })).toEqual({ settings, vendor_state: settings })
    expect(fromWire({ settings, vendor_state: settings })).toEqual({ settings, vendorState: settings })
  })

  it('has cursors that only we can make', () => {
    const id = newId()
    expect(decodeIdCursor(encodeCursor(id))).toBe(id)
    expect(decodeCursor(encodeCursor('a', 'b'), z.tuple([z.string(), z.string()]))).toEqual(['a', 'b'])
    for (const forged of ['', 'x', encodeCursor('not an id'), encodeCursor(id, id), Buffer.from('{"a":1}').toString('base64url')]) expect(() => decodeIdCursor(forged)).toThrow('cursor')
  })

  it('has pages that say whether there is more', () => {
    const rows = [{ id: '3' }, { id: '2' }, { id: '1' }]
    expect(toPage(rows, 2, (row) => row.id)).toEqual({ data: [{ id: '3' }, { id: '2' }], has_more: true, next_cursor: '2' })
    expect(toPage(rows, 3, (row) => row.id)).toMatchObject({ has_more: false, next_cursor: null })
  })
})
