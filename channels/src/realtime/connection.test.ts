import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseConnection } from './index.ts'

const bearer = { authorization: 'Bearer tl_live_key' }
const parsed = (url: string, headers: Record<string, string | string[]> = bearer) => {
  const result = parseConnection(url, headers)
  return result.ok ? result.connection : { code: result.error.code, param: result.error.param }
}

describe('a connection', () => {
  it.each([
    ['a model', '/v1/realtime?model=gpt-realtime', { mode: 'realtime', model: 'gpt-realtime' }],
    ['a model of ours', 'wss://host/v1/realtime?model=agent%3A0198c', { mode: 'realtime', model: 'agent:0198c' }],
    ['transcription', '/v1/realtime?intent=transcription', { mode: 'transcription' }],
    ['a call', '/v1/realtime?call_id=rtc_123', { mode: 'call', callId: 'rtc_123' }],
  ])('names %s', (_, url, target) => {
    expect(parsed(url)).toEqual({ credential: { source: 'header', value: 'tl_live_key' }, target, sessionId: null, beta: false, subprotocolToEcho: null })
  })

  it.each([
    ['nothing', '/v1/realtime'],
    ['two things', '/v1/realtime?model=m&call_id=c'],
    ['the same thing twice', '/v1/realtime?model=m&model=n'],
    ['another intent', '/v1/realtime?intent=translation'],
    ['an empty model', '/v1/realtime?model='],
    ['a model with spaces', '/v1/realtime?model=a%20b'],
  ])('that names %s is refused', (_, url) => {
    expect(parsed(url)).toMatchObject({ code: 'invalid_request' })
  })

  it('comes back to a session, whatever else it names', () => {
    expect(parsed('/v1/realtime?session_id=sess_1a2b3c')).toMatchObject({ sessionId: 'sess_1a2b3c', target: { mode: 'session' } })
    expect(parsed('/v1/realtime?model=m&session_id=sess_1a2b3c')).toMatchObject({ sessionId: 'sess_1a2b3c', target: { mode: 'realtime' } })
    expect(parsed('/v1/realtime?model=m', { ...bearer, 'x-session-id': 'sess_1a2b3c' })).toMatchObject({ sessionId: 'sess_1a2b3c' })
    for (const url of ['/v1/realtime?session_id=', '/v1/realtime?session_id=sess_a&model=m', '/v1/realtime?session_id=../x', '/v1/realtime?session_id=sess_1a2b3c&session_id=sess_other1'])
      expect(parsed(url), url).toMatchObject({ code: 'invalid_request', param: 'query.session_id' })
  })

  it('carries its key in a subprotocol from a browser, which is not repeated to it', () => {
    expect(parsed('/v1/realtime?model=m', { 'sec-websocket-protocol': 'realtime, openai-insecure-api-key.ek_1' })).toMatchObject({
      credential: { source: 'subprotocol', value: 'ek_1' },
      beta: false,
      subprotocolToEcho: 'realtime',
    })
    expect(parsed('/v1/realtime?model=m', { 'sec-websocket-protocol': 'openai-insecure-api-key.ek_1' })).toMatchObject({ subprotocolToEcho: null })
  })

  it('carries its key in the query', () => {
    expect(parsed('/v1/realtime?model=m&access_token=ek_1', {})).toMatchObject({ credential: { source: 'query', value: 'ek_1' } })
  })

  it('asks for beta by header or subprotocol', () => {
    expect(parsed('/v1/realtime?model=m', { ...bearer, 'openai-beta': 'realtime=v1' })).toMatchObject({ beta: true })
    expect(
      parsed('/v1/realtime?model=m', { 'sec-websocket-protocol': ['realtime', 'openai-insecure-api-key.k', 'openai-beta.realtime-v1'].join(', ') }),
    ).toMatchObject({ beta: true, subprotocolToEcho: 'realtime' })
  })

  it('without a key, with two different ones, or with one that is none is refused', () => {
    expect(parsed('/v1/realtime?model=m', {})).toMatchObject({ code: 'missing_credentials' })
    expect(parsed('/v1/realtime?model=m&access_token=other')).toMatchObject({ code: 'invalid_request' })
    expect(parsed('/v1/realtime?model=m&access_token=tl_live_key')).toMatchObject({ credential: { source: 'header' } })
    for (const authorization of ['Basic abc', 'Bearer', 'Bearer a b', `Bearer ${'x'.repeat(5_000)}`])
      expect(parsed('/v1/realtime?model=m', { authorization }), authorization.slice(0, 20)).toMatchObject({ code: 'invalid_api_key' })
  })

  it('never makes us throw, and never makes us repeat its key', () => {
    const header = fc.oneof(fc.string(), fc.constantFrom('realtime', 'openai-insecure-api-key.k', 'Bearer k', 'realtime=v1', '%', ','))
    fc.assert(
      fc.property(
        fc.webUrl({ withQueryParameters: true }),
        fc.string(),
        fc.dictionary(fc.constantFrom('authorization', 'x-session-id', 'sec-websocket-protocol', 'openai-beta'), header),
        (url, query, headers) => {
          const result = parseConnection(`${url}?model=m&${query}`, headers)
          if (result.ok) expect(result.connection.subprotocolToEcho ?? '').not.toContain('openai-insecure-api-key.')
        },
      ),
    )
  })
})
