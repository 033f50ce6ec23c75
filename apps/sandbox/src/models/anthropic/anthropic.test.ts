import Anthropic from '@anthropic-ai/sdk'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from '../../index.ts'
import { startSandbox } from '../../index.ts'

const model = 'sandbox-claude'
const system = 'You are the receptionist of Harbour Dental. A check-up costs 80 EUR.'
const tools: Anthropic.Tool[] = [{ name: 'get_order_status', description: 'Looks up the status of an order', input_schema: { type: 'object', properties: { order_id: { type: 'string' } }, required: ['order_id'] } }]
const user = (content: string): Anthropic.MessageParam => ({ role: 'user', content })

let sandbox: Sandbox
let anthropic: Anthropic

beforeAll(async () => {
  sandbox = await startSandbox({ pace: { firstTokenMs: 0 } })
  anthropic = new Anthropic({ apiKey: 'key', baseURL: `${sandbox.url}/anthropic`, maxRetries: 0 })
})
afterEach(() => sandbox.reset())
afterAll(() => sandbox.close())

describe('the Messages API', () => {
  it('streams blocks that add up', async () => {
    const stream = anthropic.messages.stream({ model, max_tokens: 500, system, messages: [user('What does a check-up cost?')] })
    const kinds: string[] = []
    stream.on('streamEvent', ({ type }) => kinds.push(type))
    const final = await stream.finalMessage()
    expect(final).toMatchObject({ stop_reason: 'end_turn', content: [{ type: 'text', text: expect.stringContaining('80 EUR') as string }] })
    expect([kinds[0], kinds.at(-2), kinds.at(-1)]).toEqual(['message_start', 'message_delta', 'message_stop'])
    expect(final.usage.output_tokens).toBeGreaterThan(1)
  })

  it('calls a tool with parsed input and answers with the result', async () => {
    const ask = user('What is the status of order 77?')
    const first = await anthropic.messages.stream({ model, max_tokens: 500, tools, messages: [ask] }).finalMessage()
    const call = first.content[0]!
    if (call.type !== 'tool_use') throw new Error('no call')
    expect([first.stop_reason, call.input]).toEqual(['tool_use', { order_id: '77' }])
    const second = await anthropic.messages.create({ model, max_tokens: 500, tools, messages: [ask, { role: 'assistant', content: first.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: '{"status":"packed"}' }] }] })
    expect(second.content[0]).toMatchObject({ type: 'text', text: expect.stringContaining('packed') as string })
  })

  it('refuses a tool use without its result', async () => {
    const use: Anthropic.MessageParam = { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'get_order_status', input: {} }] }
    await expect(anthropic.messages.create({ model, max_tokens: 10, tools, messages: [user('x'), use, user('y')] })).rejects.toMatchObject({ status: 400, message: expect.stringContaining('without `tool_result`') as string })
  })

  it('refuses an unknown model and a wrong key in its own words', async () => {
    await expect(anthropic.messages.create({ model: 'gpt-5', max_tokens: 10, messages: [user('x')] })).rejects.toMatchObject({ status: 404, error: { type: 'error', error: { type: 'not_found_error' } } })
    await expect(anthropic.withOptions({ apiKey: 'invalid' }).messages.create({ model, max_tokens: 10, messages: [user('x')] })).rejects.toMatchObject({ status: 401 })
  })

  it('is overloaded when a fault says so', async () => {
    sandbox.faults.add({ target: 'anthropic.messages', times: 1, action: { errorCode: 'overloaded_error' } })
    await expect(anthropic.messages.create({ model, max_tokens: 10, messages: [user('x')] })).rejects.toMatchObject({ status: 529 })
  })

  it('stops at max_tokens', async () => {
    expect(await anthropic.messages.create({ model, max_tokens: 4, system, messages: [user('What does a check-up cost?')] })).toMatchObject({ stop_reason: 'max_tokens' })
  })
})
