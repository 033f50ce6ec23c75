import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from './index.ts'
import { startSandbox } from './index.ts'

let sandbox: Sandbox

beforeAll(async () => {
  sandbox = await startSandbox({ pace: { firstTokenMs: 0 }, numbers: [{ phone_number_id: '1', statuses: false }], accounts: [{ ig_id: '2' }] })
})
afterAll(() => sandbox.close())

const value = fc.jsonValue({ maxDepth: 3 })
/** Sound requests with some fields replaced by nonsense: deeper than wholly random JSON ever gets. */
const mutated = (sound: Record<string, unknown>) => fc.record(Object.fromEntries(Object.entries(sound).map(([key, good]) => [key, fc.oneof({ weight: 3, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: value })])), { requiredKeys: [] })

const whatsapp = fc.constantFrom('text', 'image', 'interactive', 'template', 'contacts', 'location', 'reaction').chain((type) => mutated({ messaging_product: 'whatsapp', to: '49170123456', type, [type]: null, context: { message_id: 'x' } }))
const instagram = mutated({ recipient: { id: '9' }, message: { text: 'x' }, sender_action: undefined, messaging_type: 'RESPONSE', tag: 'HUMAN_AGENT' })
const responses = mutated({ model: 'gpt-5.2', input: [{ role: 'user', content: 'Hi' }], instructions: 'You help.', tools: [{ type: 'function', name: 'f', parameters: {} }], text: { format: { type: 'json_schema', name: 'x', schema: {} } }, tool_choice: 'auto', metadata: {}, conversation: undefined })
const chat = mutated({ model: 'gpt-5.2', messages: [{ role: 'user', content: 'Hi' }], tools: [{ type: 'function', function: { name: 'f', parameters: {} } }], response_format: { type: 'json_schema', json_schema: { schema: {} } } })
const messages = mutated({ model: 'claude-x', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }], system: 'You help.', tools: [{ name: 'f', input_schema: {} }], tool_choice: { type: 'auto' } })

describe('nonsense', () => {
  it.each([
    ['/v23.0/1/messages', whatsapp],
    ['/v23.0/2/messages', instagram],
    ['/v1/responses', responses],
    ['/v1/conversations', mutated({ items: [{ role: 'user', content: 'Hi' }], metadata: {} })],
    ['/v1/chat/completions', chat],
    ['/anthropic/v1/messages', messages],
    ['/sandbox/faults', mutated({ target: 'nothing', match: {}, action: { status: 500 } })],
    ['/sandbox/whatsapp/customers/49170123456/messages', mutated({ text: 'x', message: { type: 'text' }, messages: [{}] })],
  ] as [string, fc.Arbitrary<unknown>][])('at %s is refused with a 4xx, never a crash', async (path, body) => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(body, value), async (content) => {
        const answer = await fetch(sandbox.url + path, { method: 'POST', headers: { 'content-type': 'application/json', authorization: 'Bearer sandbox-access-token', 'x-api-key': 'k', 'anthropic-version': '2023-06-01' }, body: JSON.stringify(content) })
        const text = await answer.text()
        expect(answer.status, text).toBeLessThan(500)
      }),
      { numRuns: 250 },
    )
  })
})
