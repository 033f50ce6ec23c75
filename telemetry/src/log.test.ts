import { Writable } from 'node:stream'
import { API_KEY_PURPOSE, createKeyring, mintKey } from '@trunkline/db'
import { describe, expect, it } from 'vitest'
import { TEST_SECRET } from '../../tests/harness/database.ts'
import { createWorld } from '../../tests/isolation/world.ts'
import { createLog } from './log.ts'

function capture() {
  const lines: string[] = []
  const destination = new Writable({ write: (chunk: Buffer, _encoding, done) => (lines.push(chunk.toString()), done()) })
  return { log: createLog({ name: 'test', level: 'debug', destination }), text: () => lines.join(''), last: () => JSON.parse(lines.at(-1)!) as Record<string, unknown> }
}

const apiKey = mintKey(createKeyring([TEST_SECRET]).derive(API_KEY_PURPOSE), 'production').text

describe('the log', () => {
  it('writes a static message and plain fields', () => {
    const { log, last } = capture()
    log.info({ requestId: 'req_1', count: 3, amountMicros: 5n, tokenCount: 7, inputTokens: 9 }, 'something happened')
    expect(last()).toMatchObject({ name: 'test', message: 'something happened', requestId: 'req_1', count: 3, amountMicros: '5', tokenCount: 7, inputTokens: 9 })
  })

  it.each([
    ['a password', { password: 'canary-secret-1' }],
    ['a nested token', { request: { headers: { authorization: 'Basic canary-secret-2' } } }],
    ['credentials in a list', { numbers: [{ credentials: { access_token: 'canary-secret-3' } }] }],
    ['an API key in a sentence', { note: `used ${apiKey} twice` }],
    ['a bearer token in a header line', { line: 'Authorization: Bearer canary-secret-4' }],
    ['a JWT', { seen: 'eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOiJzZWNyZXQifQ.canary-secret-5' }],
    ['a refresh token', { seen: 'tlr_canary-secret-6-canary-secret-6-canary' }],
    ['a vendor key', { seen: 'sk-proj-canary-secret-7-abcdef' }],
    ['a password in a URL', { url: 'postgres://user:canary-secret-8@host/db' }],
    ['a token in a query', { url: '/socket?access_token=canary-secret-9' }],
    ['an e-mail address', { text: 'sent to canary-secret-10@example.com' }],
    ['personal data', { piiPhone: '+49canary-secret-11' }],
    ['the values of a failed query', { err: new Error("Failed query: select 1\nparams: canary-secret-12") }],
    ['the detail of a database error', { err: Object.assign(new Error('duplicate key'), { detail: 'Key (email)=(canary-secret-13) exists' }) }],
    ['the cause of an error', { err: new Error('outer', { cause: new Error('Bearer canary-secret-14') }) }],
    ['bytes', { body: Buffer.from('canary-secret-15') }],
  ])('never writes %s', (_name, fields) => {
    const { log, text } = capture()
    log.error(fields, 'a failure')
    const written = text()
    expect(written).toContain('a failure')
    expect(written).not.toContain('canary-secret')
    expect(written).not.toContain(apiKey.slice(20))
  })

  it('keeps enough of personal data to recognise it', () => {
    const { log, last } = capture()
    log.info({ piiEmail: 'ada@example.org', piiShort: 'ab' }, 'x')
    expect(last()).toMatchObject({ piiEmail: 'a***rg', piiShort: '***' })
  })

  it('holds none of the secrets that requests carry', async () => {
    const { log, text } = capture()
    const world = await createWorld({ log, provision: () => Promise.reject(new Error('fails with canary-password-1 of canary@example.com')) })
    const tenant = await world.newTenant('Logged')
    await world.call('POST', '/v1/auth/signup', { body: { email: 'canary@example.com', password: 'canary-password-2', name: 'Ada', tenant_name: 'T' } })
    await world.call('POST', '/v1/auth/login', { body: { email: 'canary@example.com', password: 'canary-password-3' } })
    await world.call('GET', `/v1/admin/projects?access_token=${tenant.key}`, { as: tenant.key })
    await world.call('PUT', '/v1/admin/vendor-keys/openai', { as: tenant.key, body: { key: 'sk-canary-password-4-abc' } })
    await world.close()
    const written = text()
    expect(written).toContain('a request failed')
    for (const secret of ['canary-password-2', 'canary-password-3', 'canary-password-4', 'canary@example.com', tenant.key.slice(20)]) expect(written).not.toContain(secret)
  })
})
