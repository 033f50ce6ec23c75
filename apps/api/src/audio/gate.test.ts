import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createGate } from './gate.ts'

describe('the gate of requests that take long', () => {
  it('lets in so many of a tenant and so many of all, and others when those are gone', () => {
    const gate = createGate({ all: 3, tenant: 2 })
    const enter = (tenantId: string) => {
      const raw = new EventEmitter()
      gate({ auth: { tenantId } } as never, { raw } as never)
      return () => raw.emit('close')
    }
    const leave = enter('a')
    enter('a')
    expect(() => enter('a')).toThrow('At most 2')
    enter('b')
    expect(() => enter('b')).toThrow('Too much')
    leave()
    expect(() => enter('c')).not.toThrow()
    expect(() => enter('c')).toThrow('Too much')
  })
})
