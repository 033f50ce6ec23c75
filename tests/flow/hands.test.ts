import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Business, Json, OurNumber } from './business.ts'
import { newCustomer, post, whatsappBody } from './post.ts'
import { openTown, type Town } from './town.ts'

let town: Town
let business: Business
beforeAll(async () => {
  // Words come one by one, so that there is a time in which the model is writing.
  town = await openTown({ sandbox: { pace: { firstTokenMs: 50, perTokenMs: 40, tokensPerDelta: 1 } } })
  business = await town.business()
})
afterAll(() => town?.close())

type Row = Record<string, Json>
const retired = (number: OurNumber, count: number) =>
  town.until<Row>('SELECT * FROM turns WHERE number_id = $1 ORDER BY first_seq', [number.id], (rows) => rows.length === count && rows.every((row) => row['state'] === 'retired'))
const sends = (number: OurNumber) => town.sandbox.journal.sends({ number: number.address })
const say = (number: OurNumber, customer: string, text: string) => post(number, whatsappBody(number, customer, [text]))
const opened = (number: OurNumber) => town.until<Row>("SELECT t.conversation_id FROM turns t WHERE t.number_id = $1 AND t.state = 'open'", [number.id], (rows) => rows.length === 1).then((rows) => String(rows[0]!['conversation_id']))

describe('a person takes over', () => {
  it('while the model streams: nothing of that turn reaches the customer, and it costs nothing', async () => {
    const number = await business.number()
    const customer = newCustomer()
    await say(number, customer, 'Hello, when do you open?')
    const conversation = await opened(number)
    await business.ok('POST', `/v1/conversations/${conversation}/take-over`)
    const [turn] = await retired(number, 1)
    expect(turn).toMatchObject({ outcome: 'discarded', reason: 'human_took_over' })
    expect(await town.rows('SELECT state FROM holds WHERE turn_id = $1', [turn!['id']])).toEqual([{ state: 'voided' }])
    await say(number, customer, 'Hello?')
    expect((await retired(number, 2))[1]).toMatchObject({ outcome: 'silent', reason: 'human_handles' })
    expect(sends(number)).toEqual([])

    await business.ok('POST', `/v1/conversations/${conversation}/hand-back`)
    await say(number, customer, 'Is anybody there?')
    expect((await retired(number, 3))[2]).toMatchObject({ outcome: 'sent' })
    expect(sends(number)).toHaveLength(1)
  })

  it('after the model, before the sending: the stored answer stays visible as discarded and never leaves', async () => {
    const number = await business.number()
    const [first, second] = [newCustomer(), newCustomer()]
    // The head of the line hangs at the supplier, so the second answer is ready and waits.
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { to: first }, times: 1, action: { delayMs: 2_500 } })
    await say(number, first, 'Hi')
    await say(number, second, 'Hi')
    const answered = await town.until<Row>("SELECT o.conversation_id FROM outbox o JOIN conversations c ON c.id = o.conversation_id WHERE o.number_id = $1 AND o.state = 'pending' AND c.reply_to->>'value' = $2", [number.id, `+${second}`], (rows) => rows.length === 1)
    await business.ok('POST', `/v1/conversations/${answered[0]!['conversation_id']}/take-over`)
    const turns = await retired(number, 2)
    expect(turns.map((turn) => [turn['outcome'], turn['reason']])).toEqual([['sent', null], ['discarded', 'human_took_over']])
    expect(sends(number).map((entry) => entry.to)).toEqual([first])
    const listed = await business.ok('GET', `/v1/messages?number_id=${number.id}&status=discarded`)
    expect(listed.data).toMatchObject([{ direction: 'outbound', reason: 'human_took_over' }])
  })

  it('the agent hands over itself: its last words leave, then it is silent', async () => {
    const number = await business.number({ prompt: { tools: [{ type: 'builtin', name: 'handover_to_human' }] } })
    const customer = newCustomer()
    await say(number, customer, 'I want to speak to a human agent please')
    await retired(number, 1)
    expect(sends(number)).toHaveLength(1)
    expect(await town.rows('SELECT handler FROM conversations WHERE number_id = $1', [number.id])).toEqual([{ handler: 'human' }])
    await say(number, customer, 'Hello?')
    expect((await retired(number, 2))[1]).toMatchObject({ outcome: 'silent' })
    expect(sends(number)).toHaveLength(1)
  })
})

describe('a relink', () => {
  it('during turns: they end in the archive, what comes after belongs to the new agent alone', async () => {
    const number = await business.number()
    const customers = [newCustomer(), newCustomer()]
    for (const customer of customers) await say(number, customer, 'Hello, when do you open?')
    await town.until("SELECT 1 FROM turns WHERE number_id = $1 AND state = 'open'", [number.id], (rows) => rows.length === 2)
    const other = await business.ok('POST', '/v1/prompts', { name: 'Night desk', content: { instructions: 'You are the night desk.', vendor: 'openai', model: 'gpt-5-mini' } })
    const relinked = await business.call('POST', `/v1/agents/${number.agentId}/relink`, { prompt_id: other.id }, { idempotencyKey: 'relink' })
    expect(relinked).toMatchObject({ status: 201, body: { ended_agent_id: number.agentId, archived_conversations: 2 } })
    await say(number, customers[0]!, 'And at night?')
    const turns = await retired(number, 3)

    const archive = await town.rows<Row>('SELECT id, status FROM conversations WHERE archive_id = $1', [relinked.body.archive_id])
    expect(archive).toHaveLength(2)
    expect(new Set(turns.slice(0, 2).map((turn) => turn['conversation_id']))).toEqual(new Set(archive.map((row) => row['id'])))
    expect(turns[2]).toMatchObject({ agent_id: relinked.body.agent.id, outcome: 'sent' })
    const fresh = await town.rows<Row>('SELECT author, agent_id FROM messages WHERE conversation_id = $1 ORDER BY seq', [turns[2]!['conversation_id']])
    expect(fresh).toEqual([{ author: 'customer', agent_id: relinked.body.agent.id }, { author: 'agent', agent_id: relinked.body.agent.id }])
    const old = await town.rows<Row>('SELECT DISTINCT agent_id FROM messages WHERE conversation_id = ANY ($1::uuid[])', [archive.map((row) => row['id'])])
    expect(old).toEqual([{ agent_id: number.agentId }])
    // Nothing is said twice to anybody.
    expect(town.sandbox.journal.duplicates({ number: number.address }).size).toBe(0)
  })
})
