import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { HttpTool, systemClock } from '@trunkline/core'
import type { Tool } from '@trunkline/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { guardedNetwork } from '../net/connect.ts'
import type { GuardedNetwork } from '../net/connect.ts'
import { ManualClock } from '../testing/index.ts'
import { ToolBelt } from './belt.ts'
import { OUTPUT_CHARS_MAX, RESPONSE_BYTES_MAX, createHttpTools } from './http.ts'
import type { HttpToolCall, ToolResult } from './http.ts'
import { checkArguments, schemaFault } from './schema.ts'

type Seen = { method: string; url: string; headers: IncomingMessage['headers']; body: string }
let seen: Seen[]
let answer: (response: ServerResponse, request: Seen) => void
let server: ReturnType<typeof createServer>
let network: GuardedNetwork
let origin: string

beforeEach(async () => {
  seen = []
  answer = (response) => response.setHeader('content-type', 'application/json').end('{ "state": "sent" }')
  server = createServer((request, response) => {
    void text(request).then((body) => {
      const entry = { method: request.method!, url: request.url!, headers: request.headers, body }
      seen.push(entry)
      answer(response, entry)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  network = guardedNetwork({ allow: [origin.slice(7)] })
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  await network.close()
})

const tool = (fields: Record<string, unknown> = {}) => HttpTool.parse({ type: 'http', name: 'find_order', description: 'Finds an order', parameters: { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'], additionalProperties: false }, url: `${origin}/orders`, ...fields })
const secrets = async (_tenantId: string, name: string) => (name === 'CRM' ? 'top-secret-value' : null)
const http = () => createHttpTools({ network, secrets, clock: systemClock })
const call = (fields: Partial<HttpToolCall> = {}, signal = new AbortController().signal): Promise<ToolResult> => http()({ tenantId: 't1', tool: tool(), args: { id: 7 }, idempotencyKey: 'key-1', ...fields }, signal)

describe('an HTTP tool', () => {
  it('posts the arguments with an Idempotency-Key and gives compact JSON to the model', async () => {
    expect(await call()).toEqual({ ok: true, output: '{"state":"sent"}', fault: null, status: 200 })
    expect(seen[0]).toMatchObject({ method: 'POST', url: '/orders', body: '{"id":7}' })
    expect(seen[0]!.headers['idempotency-key']).toBe('key-1')
  })

  it('puts the arguments of GET into the query', async () => {
    await call({ tool: tool({ method: 'GET', url: `${origin}/orders?source=chat` }), args: { id: 7, tags: ['a', 'b'], name: 'Ann & Co' } })
    expect(seen[0]!.method).toBe('GET')
    expect(Object.fromEntries(new URLSearchParams(seen[0]!.url.split('?')[1]))).toEqual({ source: 'chat', id: '7', tags: '["a","b"]', name: 'Ann & Co' })
  })

  it('fills secrets into headers and keeps them from the model when a server echoes them', async () => {
    answer = (response, request) => response.setHeader('content-type', 'text/plain').end(`you sent ${request.headers.authorization}`)
    const result = await call({ tool: tool({ headers: { Authorization: 'Bearer {{secret.CRM}}' } }) })
    expect(seen[0]!.headers.authorization).toBe('Bearer top-secret-value')
    expect(result.output).toBe('you sent Bearer [secret]')
  })

  it('does not call when a secret is missing or a header is ours', async () => {
    expect(await call({ tool: tool({ headers: { 'X-Key': '{{secret.OTHER}}' } }) })).toMatchObject({ ok: false, fault: 'secret_missing' })
    expect(await call({ tool: tool({ headers: { Host: 'inner' } }) })).toMatchObject({ ok: false, fault: 'header_refused' })
    expect(seen).toHaveLength(0)
  })

  it('tells a refusal of the tool with its status', async () => {
    answer = (response) => response.writeHead(404, { 'content-type': 'application/json' }).end('{"why":"no such order"}')
    const result = await call()
    expect(result).toMatchObject({ ok: false, fault: 'http_404', status: 404 })
    expect(result.output).toContain('no such order')
  })

  it('shortens a long text, refuses a huge one and one that is no text', async () => {
    answer = (response) => response.setHeader('content-type', 'text/plain').end('x'.repeat(OUTPUT_CHARS_MAX * 2))
    expect((await call()).output.length).toBeLessThan(OUTPUT_CHARS_MAX + 100)
    answer = (response) => response.setHeader('content-type', 'text/plain').end('x'.repeat(RESPONSE_BYTES_MAX + 1))
    expect(await call()).toMatchObject({ fault: 'response_too_large' })
    answer = (response) => response.setHeader('content-type', 'image/png').end('PNG')
    expect(await call()).toMatchObject({ fault: 'content_type_refused' })
    answer = (response) => response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip' }).end('zip')
    expect(await call()).toMatchObject({ fault: 'content_encoding_refused' })
  })

  it('gives up after its deadline, also when the body trickles', async () => {
    const clock = new ManualClock()
    const started = Promise.withResolvers<void>()
    answer = (response) => {
      response.setHeader('content-type', 'text/plain').write('a little')
      started.resolve()
    }
    const result = createHttpTools({ network, secrets, clock })({ tenantId: 't1', tool: tool({ timeoutMs: 2_000 }), args: { id: 7 }, idempotencyKey: 'k' }, new AbortController().signal)
    await started.promise
    clock.advance(2_000)
    expect(await result).toMatchObject({ ok: false, fault: 'timeout' })
  })

  it('tells an unreachable one', async () => {
    const away = guardedNetwork({ allow: ['127.0.0.1:1'] })
    const result = await createHttpTools({ network: away, secrets, clock: systemClock })({ tenantId: 't1', tool: tool({ url: 'http://127.0.0.1:1/' }), args: {}, idempotencyKey: 'k' }, new AbortController().signal)
    expect(result).toMatchObject({ ok: false, fault: 'unreachable' })
    await away.close()
  })
})

describe('arguments', () => {
  const schema = tool0().parameters
  it('are checked before a call leaves, and the fault says where', () => {
    expect(checkArguments('{"id":7}', schema)).toEqual({ ok: true, args: { id: 7 } })
    expect(checkArguments('{"id":"7"}', schema)).toMatchObject({ ok: false, fault: expect.stringContaining('/id') })
    expect(checkArguments('{"id":7,"x":1}', schema)).toMatchObject({ ok: false })
    for (const json of ['', '[]', 'null', '{', '7']) expect(checkArguments(json, schema)).toMatchObject({ ok: false })
    expect(checkArguments(`{"id":7,"x":"${'y'.repeat(70_000)}"}`, schema)).toMatchObject({ ok: false, fault: 'the arguments are too large' })
  })

  it('a schema that cannot be used is found beforehand', () => {
    expect(schemaFault({ type: 'object', properties: { a: { type: 'text' } } })).not.toBeNull()
    expect(schemaFault({ type: 'string' })).not.toBeNull()
    expect(schemaFault({ type: 'object', properties: { a: { $ref: 'https://example.com/x.json' } } })).not.toBeNull()
    expect(schemaFault({ type: 'object', $id: 'same', properties: {} })).toBeNull()
    expect(schemaFault({ type: 'object', $id: 'same', properties: { a: {} } })).toBeNull()
  })

  it('a tenant\'s regular expression never runs on our thread', () => {
    const slow = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } }
    expect(checkArguments(JSON.stringify({ a: `${'a'.repeat(40)}!` }), slow)).toMatchObject({ ok: true })
  })
})

function tool0() {
  return HttpTool.parse({ type: 'http', name: 'x', description: 'd', parameters: { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'], additionalProperties: false }, url: 'https://example.com/' })
}

describe('the tool belt', () => {
  const builtIns: Tool[] = [{ type: 'builtin', name: 'handover_to_human' }, { type: 'builtin', name: 'capture_lead_field' }, { type: 'builtin', name: 'end_conversation' }]
  const keys: string[] = []
  const belt = (turnId = 'turn-1') => {
    keys.length = 0
    return new ToolBelt([tool0(), ...builtIns], {
      tenantId: 't1',
      turnId,
      clock: systemClock,
      http: async (one) => {
        keys.push(one.idempotencyKey)
        return { ok: true, output: 'fine', fault: null, status: 200 }
      },
    })
  }
  const signal = new AbortController().signal

  it('gives every call an output, in order, also unknown and wrong ones', async () => {
    const records = await belt().run(
      [
        { callId: '1', name: 'nothing', argumentsJson: '{}' },
        { callId: '2', name: 'x', argumentsJson: '{"id":"seven"}' },
        { callId: '3', name: 'x', argumentsJson: '{"id":7}' },
        { callId: '4', name: 'capture_lead_field', argumentsJson: '{"field":"shoe_size","value":"44"}' },
      ],
      signal,
    )
    expect(records.map((record) => [record.callId, record.fault])).toEqual([['1', 'unknown_tool'], ['2', 'invalid_arguments'], ['3', null], ['4', 'invalid_arguments']])
    expect(keys).toHaveLength(1)
  })

  it('turns built-ins into effects', async () => {
    const one = belt()
    await one.run(
      [
        { callId: '1', name: 'capture_lead_field', argumentsJson: '{"field":"email","value":"a@b.example"}' },
        { callId: '2', name: 'handover_to_human', argumentsJson: '{"reason":"angry"}' },
        { callId: '3', name: 'end_conversation', argumentsJson: '' },
      ],
      signal,
    )
    expect(one.effects).toEqual([
      { type: 'lead_field', field: 'email', value: 'a@b.example' },
      { type: 'handover', reason: 'angry', summary: null },
      { type: 'end_conversation', reason: null },
    ])
  })

  it('has the same key for the same call of a turn that runs again, another for a second equal call', async () => {
    const twice = [
      { callId: 'a', name: 'x', argumentsJson: '{"id":7}' },
      { callId: 'b', name: 'x', argumentsJson: '{ "id": 7 }' },
    ]
    await belt().run(twice, signal)
    const before = [...keys]
    expect(new Set(before).size).toBe(2)
    await belt().run(twice.map((one) => ({ ...one, callId: `${one.callId}-again` })), signal)
    expect(keys).toEqual(before)
    await belt('turn-2').run(twice, signal)
    expect(keys).not.toContain(before[0])
  })

  it('refuses more than sixteen calls at once, with an output for each', async () => {
    const many = Array.from({ length: 20 }, (_, id) => ({ callId: String(id), name: 'x', argumentsJson: JSON.stringify({ id }) }))
    const records = await belt().run(many, signal)
    expect(records).toHaveLength(20)
    expect(records.filter((record) => record.fault === 'too_many_calls')).toHaveLength(4)
  })
})
