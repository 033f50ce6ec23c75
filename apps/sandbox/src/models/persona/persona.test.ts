import { describe, expect, it } from 'vitest'
import { think } from '../think.ts'
import type { Transcript, Turn } from '../transcript.ts'
import { detailsOf } from './details.ts'
import { findLead } from './lead.ts'
import { fillSchema } from './schema.ts'
import { findTime } from './when.ts'

const INSTRUCTIONS = `You are Mia, the friendly receptionist of Lakeside Dental. Answer briefly and politely.
Greet new customers with "Welcome to Lakeside Dental! This is Mia."
Always ask for the customer's name, e-mail and phone number.
- We are open Monday to Friday from 8:00 to 18:00 and on Saturday until noon.
- A check-up costs 80 EUR; professional cleaning is 120 EUR.
- We are located at 12 Harbour Street, with free parking behind the house.
Never give medical advice.`

const base: Transcript = { instructions: INSTRUCTIONS, turns: [], tools: [], toolChoice: 'auto', results: [] }

/** Plays the customer's lines against the receptionist; returns what it said. */
function converse(lines: string[], extra: Partial<Transcript> = {}): string[] {
  const turns: Turn[] = []
  return lines.map((text) => {
    turns.push({ role: 'user', text })
    const { text: said } = think({ ...base, ...extra, turns })
    turns.push({ role: 'assistant', text: said })
    return said
  })
}

describe('the receptionist', () => {
  it('greets, answers from the instructions, asks for what is missing, confirms once and says goodbye', () => {
    const said = converse(['Hi!', 'What does a cleaning cost?', 'Ada Lovelace', 'ada@example.com', '+44 20 7946 0123', "Yes, that's right", 'Thank you, bye!'])
    expect(said).toEqual([
      'Welcome to Lakeside Dental! This is Mia. How can I help you today?',
      'A check-up costs 80 EUR; professional cleaning is 120 EUR. May I have your name, please?',
      'Nice to meet you, Ada. What is the best e-mail address to reach you?',
      'Thank you, Ada, I have noted your e-mail ada@example.com. And a phone number where we can reach you?',
      'Thank you, Ada, I have noted your number +44 20 7946 0123. Let me confirm: Ada Lovelace, ada@example.com, +44 20 7946 0123. Is that correct?',
      'Is there anything else I can help you with?',
      "You're welcome, Ada. Have a lovely day!",
    ])
  })

  it('never repeats directions that were meant for the model', () => {
    const [said] = converse(['Can you give me medical advice? Are you friendly and polite?'])
    expect(said).not.toMatch(/Never give|Answer briefly|Always ask/)
  })

  it.each([
    ['When do you open?', '8:00 to 18:00'],
    ['Where are you located?', '12 Harbour Street'],
    ['Is there parking?', 'free parking'],
    ['how much is a check-up', '80 EUR'],
  ])('answers %j', (question, fact) => {
    expect(converse([question])[0]).toContain(fact)
  })

  it('says so when it does not know', () => {
    expect(converse(['Do you sell bicycles?'])[0]).toContain('do not have the answer')
  })

  it('takes a refusal and asks for something else', () => {
    const said = converse(['What does a check-up cost?', "I'd rather not say"])
    expect(said[1]).not.toContain('name')
  })

  it('hands over to a person, by tool where it has one', () => {
    expect(converse(['Can I talk to a real person?'])[0]).toContain('passing you on to a colleague')
    const tools = [{ name: 'handover_to_human', description: 'Hands over', parameters: { type: 'object', properties: { reason: { type: 'string' } }, required: ['reason'] } }]
    expect(think({ ...base, tools, turns: [{ role: 'user', text: 'I want to speak to a human' }] }).calls).toMatchObject([{ name: 'handover_to_human' }])
  })

  it('uses a tool only when it is asked for and the arguments were said', () => {
    const tools = [{ name: 'get_order_status', description: 'Looks up an order', parameters: { type: 'object', properties: { order_id: { type: 'string' } }, required: ['order_id'] } }]
    const calls = (text: string) => think({ ...base, tools, turns: [{ role: 'user', text }] }).calls.map((call) => call.arguments)
    expect(calls('Where is my order 1001?')).toEqual(['{"order_id":"1001"}'])
    expect(calls('Where is my order?')).toEqual([])
    expect(calls('When do you open?')).toEqual([])
    expect(calls('call get_order_status {"order_id": "x y"}')).toEqual(['{"order_id":"x y"}'])
  })

  it('captures details by tool, one call each', () => {
    const tools = [{ name: 'capture_lead_field', description: 'Stores a field', parameters: { type: 'object', properties: { field: { type: 'string', enum: ['name', 'email', 'phone'] }, value: { type: 'string' } } } }]
    const { calls } = think({ ...base, tools, turns: [{ role: 'user', text: 'My name is Ada Lovelace and my mail is ada@example.com' }] })
    expect(calls.map((call) => JSON.parse(call.arguments) as unknown)).toEqual([{ field: 'email', value: 'ada@example.com' }, { field: 'name', value: 'Ada Lovelace' }])
  })
})

describe('the briefing', () => {
  const instructions = `${INSTRUCTIONS}\n\nFacts about this conversation:\n- Channel: whatsapp\n- The customer's name, as their app gives it: "Ada"\n- Known email: "ada@example.com"\n- Now: Saturday 2026-11-21, 01:30 (UTC)`

  it('is not read out to customers', () => {
    expect(converse(['What channel is this, and what time is it now?'], { instructions })[0]).not.toMatch(/whatsapp|2026|Known/)
  })

  it('is added to by what a colleague tells while the conversation runs', () => {
    const told = `${instructions}\nNote from a colleague, which the customer does not hear: The waiting room is closed today.`
    expect(converse(['Is the waiting room closed?'], { instructions: told })[0]).toMatch(/waiting room is closed today/)
  })

  it('saves a question', () => {
    expect(converse(['What does a check-up cost?', 'Ada Lovelace'], { instructions })[1]).toBe('Nice to meet you, Ada. And a phone number where we can reach you?')
  })
})

describe('notes taken by tool', () => {
  it('do not replace the answer', () => {
    const results = [{ name: 'capture_lead_field', arguments: '{}', output: '{"ok":true}' }]
    expect(converse(["I'm Ada. What does a check-up cost?"], { results })[0]).toContain('80 EUR')
  })
})

describe('details', () => {
  it.each([
    ["I'm looking for a dentist", {}],
    ['My name is ada lovelace.', { name: 'Ada lovelace' }],
    ['This is Ludwig van Beethoven from Bonn Music', { name: 'Ludwig van Beethoven', company: 'Bonn Music' }],
    ['I am Ada from Berlin', { name: 'Ada' }],
    ['Call me at (020) 7946-0123', { phone: '020 7946 0123' }],
    ['My order 123456789 is late', {}],
    ['See you on 2026-12-24', {}],
    ['Our budget is around $5,000 per month', { budget: '$5,000 per month' }],
    ['I work for Analytical Engines Ltd. and need help', { company: 'Analytical Engines Ltd' }],
  ])('of %j', (text, found) => {
    const { name, ...rest } = detailsOf(text)
    const { name: expectedName, ...expectedRest } = found as { name?: string }
    expect(rest).toEqual(expectedRest)
    expect(name?.toLowerCase()).toBe(expectedName?.toLowerCase())
  })
})

describe('times', () => {
  const friday = new Date('2026-11-20T12:00:00Z')
  it.each([
    ['tomorrow at 3pm', '2026-11-21T15:00:00Z'],
    ['next Monday at 10', '2026-11-23T10:00:00Z'],
    ['on 24 December at 9:30', '2026-12-24T09:30:00Z'],
    ['2026-12-01T10:00+01:00', '2026-12-01T10:00:00+01:00'],
    ['some day', undefined],
    ['at 3pm', undefined],
  ])('%j', (text, time) => {
    expect(findTime(text, friday)).toBe(time)
  })
})

describe('leads', () => {
  const archive = [
    '[0198c0de-0000-7000-8000-000000000001] customer: Hello, I am Grace Hopper from Compiler Works.',
    '[0198c0de-0000-7000-8000-000000000002] agent: Hi! Reach us at desk@business.example or +1 555 0100 000.',
    '[0198c0de-0000-7000-8000-000000000003] customer: We need a demo for 20 seats, budget is 5k per month. Tomorrow at 3pm works.',
    '[0198c0de-0000-7000-8000-000000000004] customer: grace@compiler.example',
  ].join('\n')
  const lead = findLead([{ role: 'user', text: archive }], 'Extract the lead. Current time: 2026-11-20T09:00:00Z')

  it('come out of the customer\'s lines only, with evidence', () => {
    expect(lead).toMatchObject({ name: 'Grace Hopper', company: 'Compiler Works', email: 'grace@compiler.example', phone: null, intent: 'A demo for 20 seats, budget is 5k per month', urgency: 'high', fit: 'excellent', engagement: 'medium', demoTime: '2026-11-21T15:00:00Z' })
    expect(lead.evidence.map((id) => id.at(-1))).toEqual(['1', '3', '4'])
  })

  it('come out of lines with times in them, and an answer to a question is evidence', () => {
    const line = (n: number, who: string, text: string) => `[0198c0de-0000-7000-8000-00000000000${n}] ${who} (2026-11-20T10:00:00.000Z): ${text}`
    const text = [line(1, 'Customer', 'Hello, do you have parking?'), line(2, 'Business', 'Yes. May I have your name, please?'), line(3, 'Customer', 'Ada Lovelace')].join('\n')
    expect(findLead([{ role: 'user', text }], '')).toMatchObject({ name: 'Ada Lovelace', intent: 'Do you have parking?', evidence: [expect.stringMatching(/1$/), expect.stringMatching(/3$/)] as string[] })
  })

  it('fit into any strict schema', () => {
    const schema = { type: 'object', properties: { lead: { type: 'object', properties: { firstName: { type: 'string' }, score: { type: 'integer', minimum: 0, maximum: 100 }, qualified: { type: 'boolean' }, fit: { enum: ['poor', 'excellent'] }, phone: { type: ['string', 'null'] } } } } }
    expect(fillSchema(schema, lead)).toEqual({ lead: { firstName: 'Grace', score: 95, qualified: true, fit: 'excellent', phone: null } })
  })
})
