import { describe, expect, it } from 'vitest'
import { credentialOf, socketCredentialOf } from './credential.ts'

describe('credentials', () => {
  it('are found in either header, the bearer first', () => {
    expect(credentialOf({ authorization: 'bearer   tl_live_a', 'x-api-key': 'tl_live_b' })).toEqual({ kind: 'api_key', text: 'tl_live_a' })
    expect(credentialOf({ 'x-api-key': 'tl_live_b' })).toEqual({ kind: 'api_key', text: 'tl_live_b' })
    expect(credentialOf({ authorization: 'Bearer eyJ.a.b' })).toEqual({ kind: 'access_token', text: 'eyJ.a.b' })
  })

  it.each([{}, { authorization: 'Basic abc' }, { authorization: 'Bearer' }, { authorization: 'Bearer a b' }, { 'x-api-key': ['a', 'b'] }, { 'x-api-key': '' }])('are none in %j', (headers) => {
    expect(credentialOf(headers)).toBeNull()
  })

  it('of a socket may stand in its query', () => {
    expect(socketCredentialOf({}, '/v1/stream?access_token=tl_live_c&x=1')).toEqual({ kind: 'api_key', text: 'tl_live_c' })
    expect(socketCredentialOf({ 'x-api-key': 'tl_live_b' }, '/v1/stream?access_token=tl_live_c')).toMatchObject({ text: 'tl_live_b' })
    expect(socketCredentialOf({}, '/v1/stream')).toBeNull()
  })
})
