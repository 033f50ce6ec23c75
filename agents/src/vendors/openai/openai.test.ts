import { systemClock } from '@trunkline/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openaiCall, openaiResponse, openaiText, errorStep, startScriptedVendor } from '../../testing/index.ts'
import type { ScriptedVendor } from '../../testing/index.ts'
import type { ModelEvent, ModelItem, ModelRequest } from '../contract.ts'
import { createVendors } from '../index.ts'

let server: ScriptedVendor
beforeEach(async () => {
  server = await startScriptedVendor()
})
afterEach(() => server.close())

const user = (text: string): ModelItem => ({ type: 'message', role: 'user', text })
const assistant = (text: string): ModelItem => ({ type: 'message', role: 'assistant', text })
const base: ModelRequest = {
  purpose: 'turn',
  model: 'gpt-test',
  instructions: 'Be kind.',
  items: [user('hello')],
  tools: [],
  maxOutputTokens: 100,
  remember: true,
  safetyIdentifier: 'abc',
  metadata: { conversation_id: 'c1' },
}

async function run(request: Partial<ModelRequest> = {}) {
  const vendor = createVendors(systemClock).open('openai', { baseUrl: `${server.origin}/v1`, apiKey: 'sk-test' })
  const events: ModelEvent[] = []
  for await (const event of vendor.stream({ ...base, ...request }, new AbortController().signal)) events.push(event)
  const done = events.at(-1)
  if (done?.type !== 'done') throw new Error('no done event')
  return {
    events,
    done,
    text: events.reduce((text, event) => (event.type === 'text_delta' ? text + event.text : event.type === 'discard' ? '' : text), ''),
    recoveries: events.flatMap((event) => (event.type === 'recovery' ? [`${event.code}:${event.action}`] : [])),
    state: events.findLast((event) => event.type === 'state')?.state,
    calls: events.filter((event) => event.type === 'tool_call'),
  }
}
const input = (index: number) => server.calls()[index]!.body.input as Record<string, unknown>[]

describe('a plain answer', () => {
  it('streams the text, measures tokens and sends what the API wants', async () => {
    server.script(openaiText('Good morning to you', { usage: { input: 30, cached: 12, output: 4 } }))
    const { done, text, events } = await run({ temperature: 0.3 })
    expect(text).toBe('Good morning to you')
    expect(events.filter((event) => event.type === 'text_delta').length).toBeGreaterThan(2)
    expect(done).toMatchObject({ outcome: 'ok', failure: null })
    expect(done.usage).toMatchObject([{ vendor: 'openai', model: 'gpt-test', purpose: 'turn', inputTokens: 30, cachedInputTokens: 12, outputTokens: 4, outcome: 'ok', requestId: 'req_scripted' }])
    expect(done.usage[0]!.firstTokenMs).not.toBeNull()
    expect(server.calls()[0]!.body).toMatchObject({ model: 'gpt-test', instructions: 'Be kind.', stream: true, store: true, conversation: 'conv_1', safety_identifier: 'abc', temperature: 0.3, max_output_tokens: 100, metadata: { conversation_id: 'c1' } })
    expect(server.calls()[0]!.headers.authorization).toBe('Bearer sk-test')
  })

  it('leaves nothing behind when it shall not remember', async () => {
    server.script(openaiText('{}'))
    const { state } = await run({ remember: false, responseFormat: { name: 'lead', schema: { type: 'object' } } })
    expect(state).toBeNull()
    expect(server.requests).toHaveLength(1)
    expect(server.calls()[0]!.body).toMatchObject({ store: false, text: { format: { type: 'json_schema', strict: true, name: 'lead' } } })
    expect(server.calls()[0]!.body).not.toHaveProperty('conversation')
  })

  it('gives only the final answer to the customer, not the commentary', async () => {
    server.script(openaiResponse([{ text: 'I will look that up.', phase: 'commentary' }, { text: 'It is 12 euros.', phase: 'final_answer' }]))
    expect((await run()).text).toBe('It is 12 euros.')
  })

  it('takes commentary back when its phase is told only at the end', async () => {
    server.script(openaiResponse([{ text: 'I will look that up.', phase: 'commentary', latePhase: true }, { text: 'It is 12 euros.' }]))
    expect((await run()).text).toBe('It is 12 euros.')
  })

  it('tells tool calls whole', async () => {
    server.script(openaiCall('find_order', { id: 7 }, 'call_a'))
    expect((await run()).calls).toEqual([{ type: 'tool_call', callId: 'call_a', name: 'find_order', argumentsJson: '{"id":7}' }])
  })

  it('passes a legacy prompt object through instead of our model and instructions', async () => {
    server.script(openaiText('hi'))
    await run({ legacyPrompt: { id: 'pmpt_1', version: '2' }, promptVariables: { city: 'Bonn' } })
    const { body } = server.calls()[0]!
    expect(body.prompt).toEqual({ id: 'pmpt_1', version: '2', variables: { city: 'Bonn' } })
    expect(body).not.toHaveProperty('model')
    expect(body).not.toHaveProperty('instructions')
  })

  it('goes on with our copy when the legacy prompt object is gone', async () => {
    server.script(errorStep(404, { message: 'Prompt not found', type: 'invalid_request_error', code: null }), openaiText('hi'))
    const { text, recoveries } = await run({ legacyPrompt: { id: 'pmpt_1' } })
    expect(text).toBe('hi')
    expect(recoveries).toEqual(['legacy_prompt_gone:rebuild'])
    expect(server.calls()[1]!.body).toMatchObject({ model: 'gpt-test', instructions: 'Be kind.' })
  })
})

describe('the conversation at OpenAI is a cache', () => {
  it('creates it once and then sends only what is new', async () => {
    server.script(openaiText('first answer'), openaiText('second answer'))
    const first = await run()
    await run({ items: [user('hello'), assistant('first answer'), user('more')], vendorState: first.state })
    expect(server.requests.filter((request) => request.path.endsWith('/conversations'))).toHaveLength(1)
    expect(server.calls()[1]!.body.conversation).toBe('conv_1')
    expect(input(1)).toEqual([{ role: 'user', content: 'more' }])
  })

  it('sends only the outputs after a tool call', async () => {
    server.script(openaiCall('find_order', { id: 7 }, 'call_a'), openaiText('done'))
    const first = await run()
    const call: ModelItem = { type: 'tool_call', callId: 'call_a', name: 'find_order', argumentsJson: '{"id":7}' }
    await run({ items: [user('hello'), call, { type: 'tool_output', callId: 'call_a', output: 'sent' }], vendorState: first.state })
    expect(input(1)).toEqual([{ type: 'function_call_output', call_id: 'call_a', output: 'sent' }])
    expect(server.calls()[1]!.body.conversation).toBe('conv_1')
  })

  it('begins a new one with the whole archive when the archive differs from what it holds', async () => {
    server.script(openaiText('first answer'), openaiText('second'))
    const first = await run()
    await run({ items: [user('hello'), assistant('what a person wrote instead'), user('more')], vendorState: first.state })
    expect(server.calls()[1]!.body.conversation).toBe('conv_2')
    expect(input(1)).toHaveLength(3)
  })

  it('ignores a state it cannot read', async () => {
    server.script(openaiText('ok then, hello'))
    expect((await run({ vendorState: { conversationId: 7 } })).done.outcome).toBe('ok')
  })
})

describe('each fault has one visible recovery, then it is a failure', () => {
  const locked = errorStep(400, { message: 'Another process is currently operating on this conversation.', type: 'invalid_request_error', param: 'conversation', code: 'conversation_locked' })
  const gone = errorStep(404, { message: "Conversation with id 'conv_1' not found.", type: 'invalid_request_error', param: 'conversation', code: null })
  const dangling = errorStep(400, { message: 'No tool output found for function call call_9.', type: 'invalid_request_error', param: 'input', code: null })
  const overflow = errorStep(400, { message: 'Your input exceeds the context window of this model.', type: 'invalid_request_error', param: 'input', code: 'context_length_exceeded' })
  const busy = errorStep(429, { message: 'Rate limit reached', type: 'requests', code: 'rate_limit_exceeded' }, { 'retry-after-ms': '20' })
  const cases = [
    ['conversation_locked', locked, 'conversation_locked:fork'],
    ['conversation_not_found', gone, 'conversation_not_found:rebuild'],
    ['dangling_tool_call', dangling, 'dangling_tool_call:fork'],
    ['context_overflow', overflow, 'context_overflow:compact'],
    ['rate_limited', busy, 'rate_limited:wait'],
    ['incomplete', openaiText('', { status: 'incomplete' }), 'incomplete:retry'],
  ] as const

  for (const [code, fault, recovery] of cases) {
    it(`${code}: mended once`, async () => {
      server.script(fault, openaiText('Here I am again.'))
      const { text, recoveries, done } = await run()
      expect(text).toBe('Here I am again.')
      expect(recoveries).toEqual([recovery])
      expect(done.usage.map((usage) => usage.outcome)).toEqual([code === 'incomplete' ? 'incomplete' : 'failed', 'ok'])
    })

    it(`${code}: a second time is a failure`, async () => {
      server.script(fault, fault, openaiText('never asked'))
      const { recoveries, done } = await run()
      expect(recoveries).toEqual([recovery])
      expect(done).toMatchObject({ outcome: 'failed', failure: { code } })
      expect(server.calls()).toHaveLength(2)
    })
  }

  it('forks from our history: a new conversation with every item', async () => {
    server.script(openaiText('one'), locked, openaiText('two'))
    const first = await run()
    await run({ items: [user('hello'), assistant('one'), user('more')], vendorState: first.state })
    expect(server.calls().map((call) => call.body.conversation)).toEqual(['conv_1', 'conv_1', 'conv_2'])
    expect(input(2)).toHaveLength(3)
  })

  it('compacts a context that is too long: the newest items stay, the rest is a note', async () => {
    const items = Array.from({ length: 40 }, (_, index) => user(`message number ${index}`))
    server.script(overflow, openaiText('shorter now'))
    await run({ items })
    expect(input(1).length).toBeLessThan(12)
    expect(input(1).at(-1)).toEqual({ role: 'user', content: 'message number 39' })
    expect(input(1)[0]).toMatchObject({ role: 'system' })
  })

  it('asks for more tokens when an answer was cut off before it said anything', async () => {
    server.script(openaiText('', { status: 'incomplete' }), openaiText('whole'))
    await run()
    expect(server.calls().map((call) => call.body.max_output_tokens)).toEqual([100, 200])
  })

  it('keeps a cut-off answer that says something', async () => {
    server.script(openaiText('We are open from nine to five on weekdays and', { status: 'incomplete', reason: 'max_output_tokens' }))
    const { done, text, recoveries, state } = await run()
    expect(done.outcome).toBe('incomplete')
    expect(text).toContain('nine to five')
    expect(recoveries).toEqual([])
    expect(state).toBeNull()
  })

  it('does not run half a tool call of a cut-off answer', async () => {
    server.script(openaiResponse([{ text: 'Some text that would be long enough.' }, { call: { name: 'pay', arguments: '{"amount":1' } }], { status: 'incomplete' }), openaiText('I could not do that.'))
    const { recoveries, done } = await run()
    expect(recoveries).toEqual(['incomplete:retry'])
    expect(done.outcome).toBe('ok')
  })

  it('tells a refusal as a refusal', async () => {
    server.script(openaiResponse([{ refusal: 'I cannot do this.' }]))
    const { done, text, recoveries } = await run()
    expect(done.outcome).toBe('refused')
    expect(text).toBe('')
    expect(recoveries).toEqual([])
  })

  it('does not wait for a supplier that asks for more than a moment', async () => {
    server.script(errorStep(429, { message: 'slow down', code: 'rate_limit_exceeded' }, { 'retry-after': '20' }))
    expect((await run()).done.failure).toMatchObject({ code: 'rate_limited', blame: 'limit', retryAfterMs: 20_000 })
    expect(server.calls()).toHaveLength(1)
  })
})

describe('failures are told in our words, without the supplier\'s prose', () => {
  const cases: [string, Parameters<typeof errorStep>, string, string][] = [
    ['a bad key', [401, { message: 'Incorrect API key provided: sk-secret', type: 'invalid_request_error', code: 'invalid_api_key' }], 'bad_key', 'tenant'],
    ['an unknown model', [404, { message: 'The model does not exist', type: 'invalid_request_error', code: 'model_not_found' }], 'model_not_found', 'tenant'],
    ['an empty account', [429, { message: 'You exceeded your current quota', type: 'insufficient_quota', code: 'insufficient_quota' }], 'quota_exhausted', 'tenant'],
    ['a bad request', [400, { message: 'nope', type: 'invalid_request_error', code: 'unknown_parameter' }], 'bad_request', 'tenant'],
    ['a 500', [500, { message: 'oops', type: 'server_error', code: null }], 'server_error', 'vendor'],
  ]
  for (const [name, args, code, blame] of cases) {
    it(name, async () => {
      server.script(errorStep(...args))
      const { done } = await run()
      expect(done.failure).toMatchObject({ code, blame })
      expect(JSON.stringify(done.failure)).not.toContain('sk-secret')
      expect(done.usage).toMatchObject([{ outcome: 'failed' }])
    })
  }

  it('a response that failed', async () => {
    server.script(openaiText('half', { status: 'failed', errorCode: 'server_error' }))
    expect((await run()).done.failure).toMatchObject({ code: 'server_error' })
  })

  it('a stream that ends too early, politely or not', async () => {
    server.script(openaiText('half an answer here', { stopAfter: { events: 6, how: 'end' } }))
    expect((await run()).done.failure).toMatchObject({ code: 'cut', blame: 'vendor' })
    server.script(openaiText('half an answer here', { stopAfter: { events: 6, how: 'cut' } }))
    expect((await run()).done.failure).toMatchObject({ blame: 'vendor' })
  })
})
