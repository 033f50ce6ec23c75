import { AppError } from '@trunkline/core'
import { LIVE_EVENT_TYPES, SCOPES, type Principal } from '@trunkline/db'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { filterOf, parseFrame } from './protocol.ts'

const everybody: Principal = { tenantId: 't', projectId: null, actor: { kind: 'user', id: 'u' }, scopes: new Set(SCOPES), role: 'owner', platformAdmin: false, sessionId: 's', projectRateLimitPerMinute: null }

/** What a frame becomes: a filter, a ping, or a refusal that says where. Anything else throws. */
function outcome(text: string): 'accepted' | 'refused' {
  try {
    const frame = parseFrame(text)
    if (frame.type === 'subscribe') filterOf(frame, everybody, 'frame')
    return 'accepted'
  } catch (error) {
    if (error instanceof AppError && error.status === 400 && error.param?.startsWith('frame')) return 'refused'
    throw error
  }
}

it('whatever a listener sends is understood or refused with its place', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), fc.jsonValue().map((value) => JSON.stringify({ type: 'subscribe', types: value })), fc.jsonValue().map((value) => JSON.stringify({ type: value }))), (text) => {
    expect(['accepted', 'refused']).toContain(outcome(text))
  }), { numRuns: 5_000 })
})

it('a good frame with any one character changed never passes for another kind of frame', () => {
  const good = JSON.stringify({ type: 'subscribe', types: ['message.*', 'call.ended'], conversation_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b' })
  fc.assert(fc.property(fc.nat(good.length - 1), fc.string({ minLength: 0, maxLength: 3 }), (at, other) => {
    const text = good.slice(0, at) + other + good.slice(at + 1)
    if (outcome(text) === 'accepted') expect(parseFrame(text).type).toBe('subscribe')
  }), { numRuns: 5_000 })
})

it('a kind names all its types, a name one, and nothing all that the credentials allow', () => {
  const typesOf = (...types: string[]) => [...filterOf({ types }, everybody, 'query').types!]
  expect(typesOf('lead.*')).toEqual(['lead.created', 'lead.updated'])
  expect(typesOf('call.*', 'message.*', 'conversation.*', 'lead.*')).toEqual([...LIVE_EVENT_TYPES])
  expect(typesOf('message.sent', 'message.sent')).toEqual(['message.sent'])
  expect(filterOf({}, everybody, 'query').types).toBeNull()
  for (const wrong of ['*', '.*', 'message', 'message.', 'essage.*', 'MESSAGE.SENT']) expect(() => typesOf(wrong)).toThrow('no events of type')
})
