import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PromptContent, silentLogger, systemClock } from '@trunkline/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { HistoryItem } from './history.ts'
import { guardedNetwork } from './net/connect.ts'
import { PHRASES } from './rules/phrases.ts'
import { ManualClock, chatText, errorStep, hang, openaiCall, openaiResponse, openaiText, startScriptedVendor } from './testing/index.ts'
import type { ScriptedVendor } from './testing/index.ts'
import { createHttpTools } from './tools/http.ts'
import { TurnAborted, runTurn } from './turn.ts'
import type { TurnDeps, TurnInput } from './turn.ts'
import { Breakers } from './vendors/breaker.ts'
import type { Delta } from './vendors/chain.ts'
import { createVendors } from './vendors/index.ts'

const NOW = Date.UTC(2026, 10, 20, 10)
let openai: ScriptedVendor
let other: ScriptedVendor
beforeEach(async () => {
  ;[openai, other] = await Promise.all([startScriptedVendor(), startScriptedVendor()])
})
afterEach(() => Promise.all([openai.close(), other.close()]))

const said = (role: HistoryItem['role'], text: string, id = `${role}-${text}`): HistoryItem => ({ messageId: id, role, text, atMs: NOW - 60_000 })
const prompt = (fields: Record<string, unknown> = {}) => PromptContent.parse({ instructions: 'You are the desk of {{shop}}.', model: 'gpt-test', variables: { shop: 'Rosa' }, fallback: { vendor: 'compatible', model: 'llama' }, ...fields })

function setUp(overrides: Partial<TurnDeps> = {}) {
  const clock = overrides.clock ?? systemClock
  const vendors = createVendors(clock)
  const deps: TurnDeps = {
    vendors: (id) => (id === 'openai' ? vendors.open('openai', { baseUrl: `${openai.origin}/v1`, apiKey: 'k' }) : id === 'compatible' ? vendors.open('compatible', { baseUrl: `${other.origin}/v1`, apiKey: null }) : null),
    tools: async (call) => ({ ok: true, output: JSON.stringify(call.args), fault: null, status: 200 }),
    clock,
    log: silentLogger,
    breakers: new Breakers(clock),
    ...overrides,
  }
  const turn = (fields: Partial<TurnInput> = {}) =>
    runTurn(
      {
        tenantId: 't1',
        conversationId: 'c1',
        turnId: 'turn-1',
        prompt: prompt(),
        history: [],
        incoming: [said('customer', 'When do you open?')],
        vendorState: null,
        channel: 'whatsapp',
        contact: { id: 'p1', name: 'Ann' },
        nowMs: NOW,
        signal: new AbortController().signal,
        ...fields,
      },
      deps,
    )
  return { turn, deps }
}
const inputOf = (index: number) => openai.calls()[index]!.body.input as Record<string, unknown>[]

describe('a turn', () => {
  it('answers, with instructions filled and facts behind them', async () => {
    openai.script(openaiText('At nine.'))
    const result = await setUp().turn()
    expect(result).toMatchObject({ replies: [{ kind: 'text', text: 'At nine.' }], effects: [], recoveries: [], toolCalls: [], answeredBy: { vendor: 'openai', model: 'gpt-test' }, skippedVendors: [], refused: false, summary: null })
    const { instructions, safety_identifier: safety } = openai.calls()[0]!.body
    expect(instructions).toMatch(/^You are the desk of Rosa\./)
    expect(instructions).toMatch(/Channel: whatsapp[\s\S]*"Ann"[\s\S]*Now: Friday 2026-11-20, 10:00 \(UTC\)$/)
    expect(safety).toMatch(/^[0-9a-f]{64}$/)
  })

  it('quotes a message once that is in the history already', async () => {
    openai.script(openaiText('At nine.'))
    await setUp().turn({ history: [said('customer', 'Hi'), said('customer', 'When do you open?')] })
    expect(inputOf(0).map((item) => item.content)).toEqual(['Hi', 'When do you open?'])
  })

  it('continues OpenAI\'s conversation over turns, sending only the new messages', async () => {
    openai.script(openaiText('At nine.'), openaiText('Yes.'))
    const { turn } = setUp()
    const first = await turn()
    await turn({ history: [said('customer', 'When do you open?'), said('agent', 'At nine.')], incoming: [said('customer', 'Also'), said('customer', 'on Sunday?')], vendorState: first.vendorState })
    expect(openai.calls()[1]!.body.conversation).toBe('conv_1')
    expect(inputOf(1).map((item) => item.content)).toEqual(['Also', 'on Sunday?'])
  })

  it('answers by the second vendor when the first fails, and forgets the first one\'s conversation', async () => {
    openai.script(openaiText('At nine.'), errorStep(500, {}))
    other.script(chatText('From the second.'))
    const { turn } = setUp()
    const first = await turn()
    const second = await turn({ history: [said('customer', 'When do you open?'), said('agent', 'At nine.')], incoming: [said('customer', 'ok')], vendorState: first.vendorState })
    expect(second).toMatchObject({ replies: [{ text: 'From the second.' }], answeredBy: { vendor: 'compatible', model: 'llama' }, skippedVendors: [{ vendor: 'openai', reason: 'server_error' }], vendorState: {} })
  })

  it('answers by rules when no vendor can, in the customer\'s language', async () => {
    openai.script(errorStep(500, {}))
    other.script(errorStep(500, {}))
    const result = await setUp().turn({ incoming: [said('customer', 'Hallo, ich hätte gerne einen Termin für morgen')], contact: {} })
    expect(result.answeredBy).toEqual({ vendor: 'rules', model: 'rules' })
    expect(JSON.stringify(result.replies)).toContain(PHRASES.de.ask.name)
    expect(result.usage.map((usage) => [usage.vendor, usage.outcome])).toEqual([['openai', 'failed'], ['compatible', 'failed'], ['rules', 'ok']])
    expect(result.effects).not.toContainEqual(expect.objectContaining({ type: 'handover' }))
  })

  it('skips a vendor without a key and says so; without any vendor the rules answer', async () => {
    other.script(chatText('hello there'))
    const { deps } = setUp()
    const only = setUp({ vendors: (id, tenant) => (id === 'openai' ? null : deps.vendors(id, tenant)) })
    expect(await only.turn()).toMatchObject({ answeredBy: { vendor: 'compatible' }, skippedVendors: [{ vendor: 'openai', reason: 'no_vendor' }] })
    expect(await setUp({ vendors: () => null }).turn()).toMatchObject({ answeredBy: { vendor: 'rules' }, skippedVendors: [{ reason: 'no_vendor' }, { reason: 'no_vendor' }] })
  })

  it('needs no vendor at all when the prompt says rules', async () => {
    const result = await setUp().turn({ prompt: prompt({ vendor: 'rules', fallback: undefined }) })
    expect(result).toMatchObject({ answeredBy: { vendor: 'rules' }, skippedVendors: [] })
    expect(openai.requests).toHaveLength(0)
  })

  it('surfaces a refusal politely and does not shop around for another vendor', async () => {
    openai.script(openaiResponse([{ refusal: 'I can not assist with that' }]))
    const result = await setUp().turn({ incoming: [said('customer', 'Por favor, quiero hacer algo malo')] })
    expect(result).toMatchObject({ refused: true, replies: [{ kind: 'text', text: PHRASES.es.refusal }], answeredBy: { vendor: 'openai' } })
    expect(other.requests).toHaveLength(0)
  })

  it('ends a cut-off answer at its last whole sentence', async () => {
    openai.script(openaiText('We open at nine. On Sundays we are closed. On holidays', { status: 'incomplete' }))
    expect((await setUp().turn()).replies).toEqual([{ kind: 'text', text: 'We open at nine. On Sundays we are closed.' }])
  })

  it('tells its recoveries', async () => {
    openai.script(errorStep(400, { message: 'x', code: 'conversation_locked' }), openaiText('At nine.'))
    expect((await setUp().turn()).recoveries).toEqual([{ code: 'conversation_locked', action: 'fork', vendor: 'openai' }])
  })

  it('discards everything when aborted, but tells what was spent', async () => {
    openai.script(hang)
    const controller = new AbortController()
    void openai.arrived(1).then(() => controller.abort())
    const error = await setUp().turn({ signal: controller.signal }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(TurnAborted)
    expect((error as TurnAborted).spent.usage).toMatchObject([{ vendor: 'openai', outcome: 'aborted' }])
    expect(other.requests).toHaveLength(0)
  })

  it('fails over within five seconds when both vendors hang', async () => {
    const clock = new ManualClock()
    const startMs = clock.nowMs()
    openai.script(hang)
    other.script(hang)
    const done = setUp({ clock }).turn()
    await openai.arrived(1)
    clock.advance(3_100)
    await other.arrived(1)
    clock.advance(1_500)
    expect((await done).answeredBy.vendor).toBe('rules')
    expect(clock.nowMs() - startMs).toBeLessThan(5_000)
  })
})

describe('tools in a turn', () => {
  const orderTool = { type: 'http', name: 'find_order', description: 'Finds an order', parameters: { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'] }, url: 'https://tools.example.com/orders' }
  const handover = { type: 'builtin', name: 'handover_to_human' }

  it('runs the calls, gives every output back and answers', async () => {
    openai.script(openaiResponse([{ text: 'Let me check.' }, { call: { name: 'find_order', arguments: { id: 7 }, callId: 'a' } }, { call: { name: 'nothing', arguments: {}, callId: 'b' } }]), openaiText('It was sent.'))
    const deltas: Delta[] = []
    const result = await setUp({ onDelta: (delta) => deltas.push(delta) }).turn({ prompt: prompt({ tools: [orderTool] }) })
    expect(result.replies).toEqual([{ kind: 'text', text: 'It was sent.' }])
    expect(result.toolCalls).toMatchObject([{ callId: 'a', ok: true, output: '{"id":7}' }, { callId: 'b', ok: false, fault: 'unknown_tool' }])
    expect(inputOf(1).map((item) => [item.type, item.call_id])).toEqual([['function_call_output', 'a'], ['function_call_output', 'b']])
    expect(deltas.slice(deltas.findIndex((delta) => delta.kind === 'discard') + 1).map((delta) => (delta.kind === 'text' ? delta.text : '')).join('')).toBe('It was sent.')
  })

  it('continues the same conversation in the next turn, whose archive knows nothing of tools', async () => {
    openai.script(openaiCall('find_order', { id: 7 }), openaiText('It was sent.'), openaiText('Tomorrow.'))
    const { turn } = setUp()
    const first = await turn({ prompt: prompt({ tools: [orderTool] }) })
    await turn({ prompt: prompt({ tools: [orderTool] }), history: [said('customer', 'When do you open?'), said('agent', 'It was sent.')], incoming: [said('customer', 'When will it come?')], vendorState: first.vendorState })
    expect(openai.calls().map((call) => call.body.conversation)).toEqual(['conv_1', 'conv_1', 'conv_1'])
    expect(inputOf(2)).toEqual([{ role: 'user', content: 'When will it come?' }])
  })

  it('stops after N steps: the last call of the model is told not to use tools', async () => {
    openai.script(openaiCall('find_order', { id: 1 }), openaiCall('find_order', { id: 2 }), openaiText('Enough.'))
    const result = await setUp().turn({ prompt: prompt({ tools: [orderTool], maxToolSteps: 2 }) })
    expect(openai.calls().map((call) => call.body.tool_choice)).toEqual([undefined, undefined, 'none'])
    expect(result.toolCalls).toHaveLength(2)
    expect(result.replies).toEqual([{ kind: 'text', text: 'Enough.' }])
  })

  it('falls back to rules when the model calls tools for ever, and leaves the dangling call behind', async () => {
    openai.script(openaiCall('find_order', { id: 1 }), openaiCall('find_order', { id: 2 }))
    const result = await setUp().turn({ prompt: prompt({ tools: [orderTool], maxToolSteps: 1 }) })
    expect(result).toMatchObject({ answeredBy: { vendor: 'rules' }, vendorState: {} })
    expect(result.toolCalls).toHaveLength(1)
  })

  it('offers no tools with zero steps', async () => {
    openai.script(openaiText('hi'))
    await setUp().turn({ prompt: prompt({ tools: [orderTool], maxToolSteps: 0 }) })
    expect(openai.calls()[0]!.body).not.toHaveProperty('tools')
  })

  it('goes on with the second vendor in mid-turn without running a tool twice', async () => {
    let runs = 0
    openai.script(openaiCall('find_order', { id: 7 }, 'a'), errorStep(500, {}))
    other.script(chatText('It was sent.'))
    const result = await setUp({ tools: async () => ({ ok: true, output: `run ${++runs}`, fault: null, status: 200 }) }).turn({ prompt: prompt({ tools: [orderTool] }) })
    expect(runs).toBe(1)
    expect(result).toMatchObject({ replies: [{ text: 'It was sent.' }], answeredBy: { vendor: 'compatible' } })
    expect((other.calls()[0]!.body.messages as { role: string; content: string }[]).at(-1)).toMatchObject({ role: 'tool', content: 'run 1' })
  })

  it('hands over to a person, and says so itself when the model then fails', async () => {
    openai.script(openaiCall('handover_to_human', { reason: 'wants a refund' }), errorStep(500, {}))
    other.script(errorStep(500, {}))
    const result = await setUp().turn({ prompt: prompt({ tools: [handover] }), incoming: [said('customer', 'I want my money back please')] })
    expect(result.effects).toEqual([{ type: 'handover', reason: 'wants a refund', summary: null }])
    expect(result.replies).toEqual([{ kind: 'text', text: PHRASES.en.handover }])
  })

  it('calls a real server, with a guarded socket', async () => {
    const server = createServer((_request, response) => response.setHeader('content-type', 'application/json').end('{"state":"packed"}'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const network = guardedNetwork({ allow: [address] })
    const tools = createHttpTools({ network, secrets: async () => null, clock: systemClock })
    openai.script(openaiCall('find_order', { id: 7 }), openaiText('It is packed.'), openaiCall('find_order', { id: 7 }), openaiText('No idea.'))
    const { turn } = setUp({ tools })
    const good = await turn({ prompt: prompt({ tools: [{ ...orderTool, url: `http://${address}/` }] }) })
    expect(good.toolCalls).toMatchObject([{ ok: true, output: '{"state":"packed"}', status: 200 }])
    const bad = await turn({ prompt: prompt({ tools: [{ ...orderTool, url: 'http://169.254.169.254/latest/meta-data' }] }) })
    expect(bad.toolCalls).toMatchObject([{ ok: false, fault: 'address_refused' }])
    expect(bad.replies).toEqual([{ kind: 'text', text: 'No idea.' }])
    await network.close()
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })
})

describe('long conversations', () => {
  const long = Array.from({ length: 60 }, (_, index) => ({ messageId: `m${index}`, role: index % 2 ? ('agent' as const) : ('customer' as const), text: `message ${index}`, atMs: NOW - (61 - index) * 60_000 }))

  it('are summarised by the model, the newest twenty kept word by word', async () => {
    openai.script(openaiText('They talked about messages.'), openaiText('Fine.'))
    const result = await setUp().turn({ history: long })
    expect(result.summary).toEqual({ text: 'They talked about messages.', throughMessageId: 'm39' })
    expect(inputOf(1)).toHaveLength(22)
    expect(inputOf(1)[0]).toMatchObject({ role: 'system', content: expect.stringContaining('They talked about messages.') })
    expect(openai.calls()[0]!.body).toMatchObject({ store: false })
    expect(result.usage.map((usage) => usage.purpose)).toEqual(['summary', 'turn'])
  })

  it('are summarised by rules when the model is away', async () => {
    openai.script(errorStep(500, {}), openaiText('Fine.'))
    const result = await setUp().turn({ history: long })
    expect(result.summary!.text).toContain('Customer: message 38')
    expect(result.replies).toEqual([{ kind: 'text', text: 'Fine.' }])
  })

  it('are not summarised again before thirty more messages', async () => {
    openai.script(openaiText('Fine.'))
    const result = await setUp().turn({ history: long, summary: { text: 'Old times.', throughMessageId: 'm39' } })
    expect(result.summary).toBeNull()
    expect(inputOf(0)).toHaveLength(22)
  })

  it('begin afresh after 21 days of silence', async () => {
    openai.script(openaiText('Hello again.'))
    const old = long.map((item) => ({ ...item, atMs: item.atMs - 22 * 24 * 3_600_000 }))
    await setUp().turn({ history: old, summary: { text: 'Old times.', throughMessageId: 'm39' } })
    expect(inputOf(0)).toEqual([{ role: 'user', content: 'When do you open?' }])
  })
})
