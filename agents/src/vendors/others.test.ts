import { systemClock } from '@trunkline/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { guardedFetch, guardedNetwork } from '../net/connect.ts'
import { anthropicText, chatText, errorStep, garbage, reset, startScriptedVendor } from '../testing/index.ts'
import type { ScriptedVendor, Step } from '../testing/index.ts'
import type { ModelEvent, ModelItem, ModelRequest } from './contract.ts'
import { ClientCache } from './connection.ts'
import { createVendors } from './index.ts'
import type { RemoteVendorId } from './index.ts'

let server: ScriptedVendor
beforeEach(async () => {
  server = await startScriptedVendor()
})
afterEach(() => server.close())

const items: ModelItem[] = [
  { type: 'message', role: 'system', text: 'Earlier: they like blue.' },
  { type: 'message', role: 'assistant', text: 'Welcome!' },
  { type: 'message', role: 'user', text: 'Where is my order?' },
  { type: 'tool_call', callId: 'c1', name: 'find_order', argumentsJson: '{"id":7}' },
  { type: 'tool_call', callId: 'c2', name: 'find_order', argumentsJson: '{"id":8}' },
  { type: 'tool_output', callId: 'c1', output: 'sent' },
  { type: 'tool_output', callId: 'c2', output: 'packed' },
]
const tools = [{ name: 'find_order', description: 'Finds an order', parameters: { type: 'object', properties: { id: { type: 'number' } } } }]
const base: ModelRequest = { purpose: 'turn', model: 'some-model', instructions: 'Be kind.', items, tools, maxOutputTokens: 64, remember: true }

async function run(id: RemoteVendorId, request: Partial<ModelRequest> = {}, apiKey: string | null = 'key-1') {
  const baseUrl = id === 'compatible' ? `${server.origin}/v1` : server.origin
  const vendor = createVendors(systemClock).open(id, { baseUrl, apiKey })
  const events: ModelEvent[] = []
  for await (const event of vendor.stream({ ...base, ...request }, new AbortController().signal)) events.push(event)
  const done = events.at(-1)
  if (done?.type !== 'done') throw new Error('no done event')
  return { done, calls: events.filter((event) => event.type === 'tool_call'), text: events.map((event) => (event.type === 'text_delta' ? event.text : '')).join('') }
}

/** Every vendor passes the same cases; only the wire format differs. */
type Dialect = { id: RemoteVendorId; path: string; say: (text: string) => Step; call: Step; refuse: Step | null; length: (text: string) => Step; tokens: [number, number, number] }
const dialects: Dialect[] = [
  {
    id: 'anthropic',
    path: '/v1/messages',
    say: (text) => anthropicText(text),
    call: anthropicText('Let me look.', { calls: [{ name: 'find_order', input: { id: 9 }, id: 'toolu_1' }] }),
    refuse: anthropicText('', { stop: 'refusal' }),
    length: (text) => anthropicText(text, { stop: 'max_tokens' }),
    tokens: [14, 4, 12],
  },
  {
    id: 'groq',
    path: '/openai/v1/chat/completions',
    say: (text) => chatText(text, { groq: true }),
    call: chatText('', { groq: true, calls: [{ name: 'find_order', arguments: { id: 9 }, id: 'toolu_1' }] }),
    refuse: null,
    length: (text) => chatText(text, { groq: true, finish: 'length' }),
    tokens: [11, 0, 5],
  },
  {
    id: 'compatible',
    path: '/v1/chat/completions',
    say: (text) => chatText(text),
    call: chatText('', { calls: [{ name: 'find_order', arguments: { id: 9 }, id: 'toolu_1' }] }),
    refuse: null,
    length: (text) => chatText(text, { finish: 'length' }),
    tokens: [11, 0, 5],
  },
]

for (const dialect of dialects) {
  describe(dialect.id, () => {
    it('answers and measures', async () => {
      server.script(dialect.say('Your order is on its way.'))
      const { text, done } = await run(dialect.id)
      expect(text).toBe('Your order is on its way.')
      expect(server.calls()[0]!.path).toBe(dialect.path)
      const [inputTokens, cachedInputTokens, outputTokens] = dialect.tokens
      expect(done).toMatchObject({ outcome: 'ok', usage: [{ vendor: dialect.id, inputTokens, cachedInputTokens, outputTokens, outcome: 'ok', requestId: 'req_scripted' }] })
    })

    it('tells a tool call with its whole arguments', async () => {
      server.script(dialect.call)
      expect((await run(dialect.id)).calls).toEqual([{ type: 'tool_call', callId: 'toolu_1', name: 'find_order', argumentsJson: '{"id":9}' }])
    })

    it('keeps a usable cut-off answer, asks once more for an unusable one', async () => {
      server.script(dialect.length('We are open from nine to five on'))
      expect((await run(dialect.id)).done.outcome).toBe('incomplete')
      server.script(dialect.length('We'), dialect.say('whole answer'))
      const { done } = await run(dialect.id)
      expect(done.usage.map((usage) => usage.outcome)).toEqual(['incomplete', 'ok'])
    })

    it('fails in our words on 401, 500, a torn socket and bytes that are no events', async () => {
      const cases: [Step, string][] = [
        [errorStep(401, { type: 'authentication_error', message: 'invalid x-api-key', code: 'invalid_api_key' }), 'bad_key'],
        [errorStep(500, { type: 'api_error', message: 'oops' }), 'server_error'],
        [reset, 'connection'],
      ]
      for (const [step, code] of cases) {
        server.script(step)
        expect((await run(dialect.id)).done.failure?.code).toBe(code)
      }
      server.script(garbage)
      expect((await run(dialect.id)).done.failure).toMatchObject({ blame: 'vendor' })
    })

    if (dialect.refuse) {
      it('tells a refusal', async () => {
        server.script(dialect.refuse!)
        expect((await run(dialect.id)).done.outcome).toBe('refused')
      })
    }
  })
}

describe('anthropic on the wire', () => {
  it('puts system notes behind the instructions, alternates turns and keeps results with their calls', async () => {
    server.script(anthropicText('ok'))
    await run('anthropic', { temperature: 1.7, toolChoice: 'none' })
    const { body, headers } = server.calls()[0]!
    // SDK 1.x sends the key as a bearer token, not as x-api-key.
    expect(headers.authorization).toBe('Bearer key-1')
    expect(body.temperature).toBe(1)
    expect(body.tool_choice).toEqual({ type: 'none' })
    expect(JSON.stringify(body.system)).toContain('Earlier: they like blue.')
    const messages = body.messages as { role: string; content: { type: string }[] }[]
    expect(messages.map((message) => message.role)).toEqual(['user', 'assistant', 'user', 'assistant', 'user'])
    expect(messages[3]!.content.map((block) => block.type)).toEqual(['tool_use', 'tool_use'])
    expect(messages[4]!.content.map((block) => block.type)).toEqual(['tool_result', 'tool_result'])
  })

  it('treats an overload in mid-stream as the vendor\'s fault', async () => {
    server.script(anthropicText('half', { errorType: 'overloaded_error' }))
    expect((await run('anthropic')).done.failure).toMatchObject({ code: 'server_error', blame: 'vendor' })
  })
})

describe('chat completions on the wire', () => {
  it('puts parallel calls into one assistant message before their outputs', async () => {
    server.script(chatText('ok'))
    await run('compatible', { responseFormat: { name: 'x', schema: { type: 'object' } } })
    const { body } = server.calls()[0]!
    const messages = body.messages as { role: string; tool_calls?: unknown[] }[]
    expect(messages.map((message) => message.role)).toEqual(['system', 'system', 'assistant', 'user', 'assistant', 'tool', 'tool'])
    expect(messages[4]!.tool_calls).toHaveLength(2)
    expect(body).toMatchObject({ max_tokens: 64, stream_options: { include_usage: true }, response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true } } })
  })

  it('sends no Authorization header to a server without a key', async () => {
    server.script(chatText('ok'), chatText('ok'))
    await run('compatible', {}, null)
    await run('compatible', {}, 'secret')
    expect(server.calls()[0]!.headers.authorization).toBeUndefined()
    expect(server.calls()[1]!.headers.authorization).toBe('Bearer secret')
  })

  it('does not let a tenant\'s base URL reach a private address: the call never leaves', async () => {
    const network = guardedNetwork()
    const vendor = createVendors(systemClock).open('compatible', { baseUrl: `${server.origin}/v1`, apiKey: null, fetch: guardedFetch(network) })
    const events: ModelEvent[] = []
    for await (const event of vendor.stream(base, new AbortController().signal)) events.push(event)
    expect(events.at(-1)).toMatchObject({ type: 'done', outcome: 'failed', failure: { code: 'address_refused', blame: 'tenant' } })
    expect(server.requests).toHaveLength(0)
    await network.close()
  })

  it('works through the guarded fetch when the operator allows the address', async () => {
    const network = guardedNetwork({ allow: [server.origin.slice(7)] })
    server.script(chatText('from within'))
    const vendor = createVendors(systemClock).open('compatible', { baseUrl: `${server.origin}/v1`, apiKey: null, fetch: guardedFetch(network) })
    const events: ModelEvent[] = []
    for await (const event of vendor.stream(base, new AbortController().signal)) events.push(event)
    expect(events.map((event) => (event.type === 'text_delta' ? event.text : '')).join('')).toBe('from within')
    await network.close()
  })

  it('calls a stream without an end a cut, not an answer', async () => {
    server.script(chatText('half an', { cut: true }))
    expect((await run('compatible')).done.failure).toMatchObject({ code: 'cut' })
  })
})

describe('clients', () => {
  it('are reused by address and key, and the least recently used one is dropped', () => {
    let built = 0
    const cache = new ClientCache(2, () => ({ number: ++built }))
    const one = cache.get({ baseUrl: 'http://a', apiKey: '1' })
    cache.get({ baseUrl: 'http://a', apiKey: '2' })
    expect(cache.get({ baseUrl: 'http://a', apiKey: '1' })).toBe(one)
    cache.get({ baseUrl: 'http://b', apiKey: '1' })
    expect(cache.size).toBe(2)
    expect(cache.get({ baseUrl: 'http://a', apiKey: '1' })).toBe(one)
    expect(cache.get({ baseUrl: 'http://a', apiKey: '2' }).number).toBe(4)
  })

  it('stop at once when the signal fires, with the call measured as aborted', async () => {
    server.script(() => undefined)
    const controller = new AbortController()
    const vendor = createVendors(systemClock).open('compatible', { baseUrl: `${server.origin}/v1`, apiKey: null })
    void server.arrived(1).then(() => controller.abort())
    const events: ModelEvent[] = []
    for await (const event of vendor.stream(base, controller.signal)) events.push(event)
    expect(events).toMatchObject([{ type: 'done', outcome: 'aborted', usage: [{ outcome: 'aborted' }] }])
  })
})
