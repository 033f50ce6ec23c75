import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from '../../index.ts'
import { startSandbox } from '../../index.ts'

const MODEL = 'gpt-5.2'
const instructions = 'You are the receptionist of Harbour Dental. Opening hours are Monday to Friday from 8:00 to 18:00. A check-up costs 80 EUR.'
const orders = { type: 'function' as const, name: 'get_order_status', description: 'Looks up the status of an order', strict: true, parameters: { type: 'object', properties: { order_id: { type: 'string' } }, required: ['order_id'], additionalProperties: false } }

let sandbox: Sandbox
let openai: OpenAI

beforeAll(async () => {
  sandbox = await startSandbox({ pace: { firstTokenMs: 0 } })
  openai = new OpenAI({ apiKey: 'sk-test', baseURL: `${sandbox.url}/v1`, maxRetries: 0 })
})
afterEach(() => sandbox.reset())
afterAll(() => sandbox.close())

const ask = (input: string, extra: object = {}) => openai.responses.create({ model: MODEL, instructions, input, ...extra })

describe('the Responses API', () => {
  it('streams the documented event order with rising sequence numbers and text that adds up', async () => {
    const events = []
    for await (const event of await openai.responses.create({ model: MODEL, instructions, input: 'When are you open?', stream: true })) events.push(event)
    const kinds = events.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1])
    expect(kinds).toEqual([
      'response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added', 'response.output_text.delta',
      'response.output_text.done', 'response.content_part.done', 'response.output_item.done', 'response.completed',
    ])
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index))
    const deltas = events.flatMap((event) => (event.type === 'response.output_text.delta' ? [event.delta] : []))
    const completed = events.at(-1)!
    if (completed.type !== 'response.completed') throw new Error('not completed')
    const [item] = completed.response.output
    expect(item).toMatchObject({ type: 'message', phase: 'final_answer', content: [{ type: 'output_text', text: deltas.join('') }] })
    expect(deltas.join('')).toContain('Opening hours are Monday to Friday from 8:00 to 18:00.')
    expect(completed.response.usage).toMatchObject({ input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } })
  })

  it('works with the SDK\'s own stream accumulator', async () => {
    const final = await openai.responses.stream({ model: MODEL, instructions, input: 'What does a check-up cost?' }).finalResponse()
    expect(final.output_text).toContain('80 EUR')
  })

  it('calls a tool, then answers with what it found', async () => {
    const first = await ask('Where is my order A-1001?', { tools: [orders] })
    const call = first.output[0]!
    if (call.type !== 'function_call') throw new Error('no call')
    expect([call.name, JSON.parse(call.arguments)]).toEqual(['get_order_status', { order_id: 'A-1001' }])
    const second = await openai.responses.create({ model: MODEL, previous_response_id: first.id, tools: [orders], input: [{ type: 'function_call_output', call_id: call.call_id, output: '{"status":"shipped"}' }] })
    expect(second.output_text).toContain('status: shipped')
  })

  it('refuses a dangling tool call, and an output without a call', async () => {
    const first = await ask('Where is my order A-1001?', { tools: [orders] })
    await expect(openai.responses.create({ model: MODEL, previous_response_id: first.id, input: 'Hello?' })).rejects.toMatchObject({ status: 400, message: expect.stringContaining('No tool output found for function call') as string })
    await expect(openai.responses.create({ model: MODEL, input: [{ type: 'function_call_output', call_id: 'call_x', output: '' }] })).rejects.toMatchObject({ status: 400 })
  })

  it('answers a strict schema with JSON of that schema', async () => {
    const nullable = { type: ['string', 'null'] }
    const schema = {
      type: 'object', additionalProperties: false, required: ['name', 'email', 'urgency', 'demoDatetime', 'evidenceMessageIds'],
      properties: { name: nullable, email: nullable, urgency: { anyOf: [{ type: 'string', enum: ['low', 'medium', 'high'] }, { type: 'null' }] }, demoDatetime: nullable, evidenceMessageIds: { type: 'array', items: { type: 'string' } } },
    }
    const id = '0198c0de-0000-7000-8000-000000000001'
    const answer = await ask(`[${id}] customer: I'm Ada Lovelace, ada@example.com. Please call me urgently about a demo on 2026-12-01 10:00.\n[0198c0de-0000-7000-8000-000000000002] agent: Sure!`, { store: false, text: { format: { type: 'json_schema', name: 'lead', strict: true, schema } } })
    expect(JSON.parse(answer.output_text)).toEqual({ name: 'Ada Lovelace', email: 'ada@example.com', urgency: 'high', demoDatetime: '2026-12-01T10:00:00Z', evidenceMessageIds: [id] })
  })

  it('refuses a strict schema that is not closed', async () => {
    const schema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] }
    await expect(ask('x', { text: { format: { type: 'json_schema', name: 'lead', strict: true, schema } } })).rejects.toMatchObject({ status: 400, code: 'invalid_json_schema' })
  })

  it('ends incomplete at the token limit', async () => {
    const answer = await ask('What does a check-up cost and when are you open?', { max_output_tokens: 16 })
    expect(answer).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
  })

  it('takes a legacy prompt object in place of a model', async () => {
    const answer = await openai.responses.create({ prompt: { id: 'pmpt_abc123', variables: { name: 'Ada' } }, input: 'Hello' })
    expect(answer).toMatchObject({ status: 'completed', prompt: { id: 'pmpt_abc123' } })
  })

  it.each([
    [{ model: 'no-such-model' }, 404, 'model_not_found'],
    [{ model: 'gpt-3.5-turbo-0301' }, 404, 'model_not_found'],
    [{ previous_response_id: 'resp_gone' }, 400, 'previous_response_not_found'],
    [{ conversation: 'conv_a', previous_response_id: 'resp_b' }, 400, 'mutually_exclusive_parameters'],
    [{ conversation: 'conv_gone' }, 404, null],
    [{ input: [{ role: 'wizard', content: 'x' }] }, 400, 'invalid_value'],
  ])('refuses %j', async (extra, status, code) => {
    await expect(ask('x', extra)).rejects.toMatchObject({ status, code })
  })

  it('refuses a missing and a wrong key', async () => {
    expect((await fetch(`${sandbox.url}/v1/responses`, { method: 'POST' })).status).toBe(401)
    await expect(openai.withOptions({ apiKey: 'sk-invalid' }).responses.create({ model: MODEL, input: 'x' })).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' })
  })
})

describe('conversations', () => {
  it('keep both sides and are read with paging', async () => {
    const { id } = await openai.conversations.create({ metadata: { tenant: 't' } })
    await ask('Hi, my name is Ada Lovelace', { conversation: id })
    const second = await ask('Do you remember my name? It is about a check-up', { conversation: id })
    expect(second.conversation).toEqual({ id })
    const items = []
    for await (const item of openai.conversations.items.list(id, { limit: 1, order: 'asc' })) items.push(item)
    expect(items.map((item) => ('role' in item ? item.role : item.type))).toEqual(['user', 'assistant', 'user', 'assistant'])
    expect(second.output_text).not.toContain('May I have your name')
  })

  it('are locked while one answer is under way, and free again after it', async () => {
    const { id } = await openai.conversations.create()
    sandbox.pace.firstTokenMs = 150
    const settled = await Promise.allSettled([ask('One', { conversation: id }), ask('Two', { conversation: id })])
    sandbox.pace.firstTokenMs = 0
    expect(settled.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(settled.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { status: 400, code: 'conversation_locked' } })
    expect((await ask('Three', { conversation: id })).status).toBe('completed')
  })

  it('of another key do not exist', async () => {
    const { id } = await openai.conversations.create()
    await expect(openai.withOptions({ apiKey: 'sk-other' }).conversations.retrieve(id)).rejects.toMatchObject({ status: 404 })
  })

  it('stay as they were when the model fails', async () => {
    const { id } = await openai.conversations.create()
    sandbox.faults.add({ target: 'openai.responses', times: 1, action: { modelOutcome: 'failed' } })
    expect(await ask('x', { conversation: id })).toMatchObject({ status: 'failed', error: { code: 'server_error' } })
    expect((await openai.conversations.items.list(id)).data).toEqual([])
  })

  it('lose items one by one, then themselves', async () => {
    const { id } = await openai.conversations.create({ items: [{ type: 'message', role: 'user', content: 'Hi' }] })
    const [item] = (await openai.conversations.items.list(id)).data
    await openai.conversations.items.delete(item!.id!, { conversation_id: id })
    expect((await openai.conversations.items.list(id)).data).toEqual([])
    await openai.conversations.delete(id)
    await expect(openai.conversations.retrieve(id)).rejects.toMatchObject({ status: 404 })
  })
})

describe('faults of models', () => {
  it('429 carries retry-after', async () => {
    sandbox.faults.add({ target: 'openai.responses', times: 1, action: { status: 429, retryAfter: 3 } })
    await expect(ask('x')).rejects.toMatchObject({ status: 429, code: null, headers: expect.objectContaining({}) as object })
    await expect(ask('x')).resolves.toBeTruthy()
  })

  it('a cut stream breaks after so many events and remembers nothing', async () => {
    const { id } = await openai.conversations.create()
    sandbox.faults.add({ target: 'openai.responses', times: 1, action: { cutStreamAfterEvents: 5 } })
    let seen = 0
    await expect(async () => {
      for await (const event of await openai.responses.create({ model: MODEL, instructions, input: 'When are you open?', conversation: id, stream: true })) seen = event.sequence_number + 1
    }).rejects.toThrow(/terminated|closed|aborted/)
    expect(seen).toBe(5)
    expect((await openai.conversations.items.list(id)).data).toEqual([])
  })

  it('a stalled stream says so much and no more, and stays open until the client goes', async () => {
    const { id } = await openai.conversations.create()
    sandbox.faults.add({ target: 'openai.responses', times: 1, action: { stallStreamAfterEvents: 5 } })
    let seen = 0
    const silence = new AbortController()
    for await (const event of await openai.responses.create({ model: MODEL, instructions, input: 'When are you open?', conversation: id, stream: true }, { signal: silence.signal })) {
      seen = event.sequence_number + 1
      // A sixth event, or an end, would come before anything that is asked for after it.
      if (seen === 5) void openai.conversations.retrieve(id).then(() => silence.abort())
    }
    expect([seen, silence.signal.aborted]).toEqual([5, true])
    expect((await openai.conversations.items.list(id)).data).toEqual([])
  })

  it('a refusal streams its own deltas', async () => {
    sandbox.faults.add({ target: 'openai.responses', times: 1, action: { modelOutcome: 'refusal' } })
    const final = await openai.responses.stream({ model: MODEL, input: 'x' }).finalResponse()
    expect(final.output[0]).toMatchObject({ content: [{ type: 'refusal' }] })
  })
})

describe('chat completions', () => {
  it.each(['/v1', '/groq/openai/v1', '/ollama/v1'])('stream and add up at %s', async (prefix) => {
    const client = new OpenAI({ apiKey: 'key', baseURL: sandbox.url + prefix, maxRetries: 0 })
    const stream = client.chat.completions.stream({ model: MODEL, messages: [{ role: 'system', content: instructions }, { role: 'user', content: 'When are you open?' }], stream_options: { include_usage: true } })
    const final = await stream.finalChatCompletion()
    expect(final.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: expect.stringContaining('8:00 to 18:00') as string } })
    expect(final.usage!.total_tokens).toBe(final.usage!.prompt_tokens + final.usage!.completion_tokens)
  })

  it('call tools and take their outputs', async () => {
    const { name, description, parameters } = orders
    const tools = [{ type: 'function' as const, function: { name, description, parameters } }]
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'What is the status of order 77?' }]
    const first = await openai.chat.completions.create({ model: MODEL, messages, tools })
    const { message, finish_reason } = first.choices[0]!
    expect([finish_reason, message.tool_calls?.length]).toEqual(['tool_calls', 1])
    await expect(openai.chat.completions.create({ model: MODEL, messages: [...messages, message, { role: 'user', content: 'Hello?' }] })).rejects.toMatchObject({ status: 400 })
    const second = await openai.chat.completions.create({ model: MODEL, tools, messages: [...messages, message, { role: 'tool', tool_call_id: message.tool_calls![0]!.id, content: '{"status":"packed"}' }] })
    expect(second.choices[0]!.message.content).toContain('packed')
  })
})

describe('models', () => {
  it('are listed with their shutdown dates', async () => {
    const models = (await openai.models.list()).data as (OpenAI.Model & { shutdown_date: string | null })[]
    expect(models.find(({ id }) => id === 'gpt-4o')).toMatchObject({ object: 'model', shutdown_date: '2027-01-14' })
    await expect(openai.models.retrieve('nope')).rejects.toMatchObject({ status: 404 })
  })
})
