import { Breakers, createVendors, type HistoryItem } from '@trunkline/agents'
import { PromptContent, newId, silentLogger, systemClock, type ModelUsage } from '@trunkline/core'
import { startSandbox, type Sandbox } from '@trunkline/app-sandbox'
import type { ReplyRun } from '@trunkline/media'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { before, createReplier } from './replier.ts'

const item = (role: HistoryItem['role'], text: string): HistoryItem => ({ messageId: newId(), role, text, atMs: 1 })
const texts = (items: HistoryItem[]) => items.map(({ text }) => text)

describe('what a turn\'s history is', () => {
  it('leaves out the words the turn is about, in one piece or in several', () => {
    expect(texts(before([item('agent', 'Hello.'), item('customer', 'When do you open?')], 'When do you open?'))).toEqual(['Hello.'])
    expect(texts(before([item('customer', 'Hi.'), item('agent', 'Hello.'), item('customer', 'When'), item('customer', 'do you open?')], 'When do you open?'))).toEqual(['Hi.', 'Hello.'])
  })
  it('also when the agent was cut off in between, and keeps the same words of an earlier turn', () => {
    expect(texts(before([item('customer', 'Yes.'), item('agent', 'Shall I tell you'), item('customer', 'Yes.'), item('agent', 'about')], 'Yes.'))).toEqual(['Yes.', 'Shall I tell you', 'about'])
  })
})

describe('an answer that is prepared before the turn is certain', () => {
  let sandbox: Sandbox
  beforeAll(async () => {
    sandbox = await startSandbox()
  })
  afterAll(() => sandbox.close())
  const tool = { type: 'http' as const, name: 'look_up', description: 'Looks something up', method: 'GET' as const, url: 'https://example.com/x', parameters: { type: 'object', properties: {}, additionalProperties: false } }
  const prompt = PromptContent.parse({ vendor: 'openai', model: 'gpt-5-mini', instructions: 'We open at nine.', tools: [tool] })

  function setUp() {
    const bills: { usage: ModelUsage[]; billed: boolean }[] = []
    const ran: string[] = []
    const vendors = createVendors(systemClock)
    const replier = createReplier(prompt, { tenantId: newId(), conversationId: newId(), callId: newId(), contact: { id: newId() }, history: () => [] }, {
      vendors: () => vendors.open('openai', { baseUrl: `${sandbox.url}/v1`, apiKey: 'sandbox' }),
      tools: async ({ tool: { name } }) => {
        ran.push(name)
        return { ok: true, output: '{}', fault: null, status: 200 }
      },
      breakers: new Breakers(systemClock), clock: systemClock, log: silentLogger,
      onSpent: (_turn, { usage }, billed) => bills.push({ usage, billed }), onResult: () => {},
    })
    const fate = Promise.withResolvers<'spoken' | 'discarded'>()
    const stop = new AbortController()
    const tools: boolean[] = []
    const calling = Promise.withResolvers<void>()
    const run: ReplyRun = {
      turn: 1, text: 'When do you open?', signal: stop.signal, fate: fate.promise, onText: () => {}, onDiscard: () => {},
      onTool: (running) => {
        tools.push(running)
        calling.resolve()
      },
    }
    return { bills, ran, replier, fate, stop, run, tools, calling: calling.promise }
  }
  it('is billed only when it is spoken', async () => {
    const one = setUp()
    await one.replier(one.run)
    expect(one.bills).toEqual([])
    one.fate.resolve('discarded')
    await expect.poll(() => one.bills.length).toBe(1)
    expect(one.bills[0]).toMatchObject({ billed: false, usage: [expect.objectContaining({ outcome: 'ok' })] })
    const two = setUp()
    two.fate.resolve('spoken')
    await two.replier(two.run)
    await expect.poll(() => two.bills.map(({ billed }) => billed)).toEqual([true])
  })

  it('runs its tools only when it is spoken: a discarded one changes nothing outside', async () => {
    const one = setUp()
    const words = { ...one.run, text: 'Please call look_up {}' }
    const answer = one.replier(words)
    await one.calling
    expect([one.tools, one.ran]).toEqual([[true], []])
    one.fate.resolve('spoken')
    await answer
    expect([one.tools, one.ran]).toEqual([[true, false], ['look_up']])
    const two = setUp()
    const discarded = two.replier({ ...two.run, text: 'Please call look_up {}' })
    await two.calling
    two.fate.resolve('discarded')
    two.stop.abort()
    await expect(discarded).rejects.toThrow()
    expect(two.ran).toEqual([])
    await expect.poll(() => two.bills.map(({ billed }) => billed)).toEqual([false])
  })
})
