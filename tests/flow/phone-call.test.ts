import { createReadStream } from 'node:fs'
import { newId } from '@trunkline/core'
import { ledger } from '@trunkline/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wordsOf } from '../../channels/testing/speech.ts'
import type { Business, Json } from './business.ts'
import { BY_EAR, callOf, hears, kept, openPhoneTown, type PhoneTown } from './phone-town.ts'

let town: PhoneTown
let business: Business

beforeAll(async () => {
  town = await openPhoneTown()
  business = await town.business()
})
afterAll(() => town?.close())

const ended = (call: Json) => call.ended_at !== null
const GREETING = 'Hello, harbour bikes.'
const balanced = async () => (await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences

describe.concurrent.each(['twilio', 'telnyx'] as const)('a call that comes in over %s', { timeout: 60_000, retry: BY_EAR }, (carrier) => {
  it('is greeted, understood and answered; what was heard is a conversation, what was used is charged', async () => {
    const telephone = await town.telephone(business, { carrier, settings: { greeting: GREETING } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    await kept(town, telephone, 1)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    await kept(town, telephone, 3)
    phone.hangUp()
    const call = await callOf(town, telephone, ended)
    expect(call).toMatchObject({ status: 'completed', end_reason: 'caller_hung_up', direction: 'inbound', from_address: '+14155550100', to_address: telephone.address, agent_id: telephone.agentId })
    const { data } = await business.ok('GET', `/v1/conversations/${call.conversation_id}/messages`)
    expect(data.map((message: Json) => [message.author, message.content.text, message.status]).slice(0, 2)).toEqual([['agent', GREETING, 'played'], ['customer', 'When do you open?', 'answered']])
    expect(data.at(-1).content.text).toMatch(/nine/)
    for (const part of ['carrier', 'stt', 'tts', 'model']) expect(call[`cost_${part}_micros`], part).toBeGreaterThan(0)
    const [settled] = await town.rows<{ micros: string }>("SELECT amount_micros::text AS micros FROM transfers WHERE tenant_id = $1 AND idempotency_key = $2", [business.tenantId, `settle:call:${call.id}`])
    expect(Number(settled!.micros)).toBe(['carrier', 'stt', 'tts', 'model'].reduce((sum, part) => sum + call[`cost_${part}_micros`], 0))
    expect(await balanced()).toEqual([])
  })
})

describe.concurrent('after a call', { timeout: 60_000, retry: BY_EAR }, () => {
  it('there is a summary, and the lead that fell out of it, without a wait', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING }, prompt: { tools: [{ type: 'builtin', name: 'capture_lead_field' }] } })
    const phone = town.ring(telephone, '+14155550177')
    await hears(phone, /harbour bikes/)
    await kept(town, telephone, 1)
    phone.say('My name is Ada Berg and I need a new bike for my daughter.')
    await kept(town, telephone, 3)
    phone.hangUp()
    const call = await callOf(town, telephone, (row) => row.summary_sealed !== null)
    expect(call.summary_due_at).toBeNull()
    await town.until('SELECT 1 FROM leads WHERE conversation_id = $1', [call.conversation_id], (rows) => rows.length === 1)
    const { data } = await business.ok('GET', '/v1/leads')
    expect(data[0]).toMatchObject({ name: expect.stringContaining('Ada') })
    expect(await balanced()).toEqual([])
  })
})

describe.concurrent('a call that comes in', { timeout: 60_000, retry: BY_EAR }, () => {
  it('is recorded in stereo, after the announcement that says so', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING, recording: { enabled: true, announcement: 'This call is recorded.' } } })
    const phone = town.ring(telephone)
    await hears(phone, /recorded.*harbour bikes/s)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    phone.hangUp()
    const call = await callOf(town, telephone, (row) => row.recording_state === 'stored')
    const wav = await collected(createReadStream(`${town.mediaDir}/${call.recording_key}`))
    expect(wav.length).toBe(call.recording_bytes)
    const samples = new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length))
    const side = (which: 0 | 1) => samples.filter((_, index) => index % 2 === which)
    expect(wordsOf(side(0))).toContain('open')
    expect(wordsOf(side(1))).toContain('harbour')
    expect(Math.abs(call.recording_ms - samples.length / 2 / 8)).toBeLessThan(2)
  })

  it('goes on when its media socket breaks: the carrier asks, connects again, and the agent says so', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    phone.dropSocket()
    await hears(phone, /cut off/)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    phone.hangUp()
    expect(await callOf(town, telephone, ended)).toMatchObject({ status: 'completed', end_reason: 'caller_hung_up' })
    expect(await balanced()).toEqual([])
  })

  it('takes keys for an answer: the agent falls silent, and what was keyed in is one thing that was said', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: 'Please key in the four digits of your order now, and take all the time that you need for it, we are in no hurry at all.' } })
    const phone = town.ring(telephone)
    await hears(phone, /order/)
    phone.press('4711')
    await kept(town, telephone, 3)
    phone.hangUp()
    const call = await callOf(town, telephone, ended)
    const { data } = await business.ok('GET', `/v1/conversations/${call.conversation_id}/messages`)
    expect(data.map((message: Json) => [message.author, message.content.text]).slice(0, 2)).toEqual([['agent', expect.not.stringContaining('hurry')], ['customer', '4711']])
    expect(data[2].author).toBe('agent')
    expect(await town.rows("SELECT 1 FROM call_events WHERE call_id = $1 AND kind = 'dtmf'", [call.id])).toHaveLength(4)
  })

  it('hangs up when the agent has said its last word', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING }, prompt: { tools: [{ type: 'builtin', name: 'end_conversation' }] } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    await kept(town, telephone, 1)
    phone.say('Thank you, that is all. Goodbye.')
    await phone.waitFor('ended', { timeoutMs: 20_000 })
    expect(await callOf(town, telephone, ended)).toMatchObject({ status: 'completed', end_reason: 'agent_hung_up' })
  })

  it('that was put through ends when its carrier says so on being asked, should no event have told it', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING, transfer_to: '+14155550998' }, prompt: { tools: [{ type: 'builtin', name: 'handover_to_human' }] } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    await kept(town, telephone, 1)
    phone.say('I want to speak to a human.')
    await town.until("SELECT 1 FROM calls WHERE number_id = $1 AND transfer = 'answered' AND lease_owner IS NULL", [telephone.id], (rows) => rows.length === 1)
    // A call that its carrier does not know any more, and that no event names.
    await town.rows("UPDATE calls SET carrier_call_id = 'CA' || repeat('0', 32), lease_until = now() WHERE number_id = $1 RETURNING 1", [telephone.id])
    expect(await callOf(town, telephone, ended)).toMatchObject({ status: 'completed', end_reason: 'transferred' })
    phone.hangUp()
  })

  it('that was put through and that no carrier can be asked about ends once no carrier would still keep it', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING, transfer_to: '+14155550997' }, prompt: { tools: [{ type: 'builtin', name: 'handover_to_human' }] } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    await kept(town, telephone, 1)
    phone.say('I want to speak to a human.')
    await town.until("SELECT 1 FROM calls WHERE number_id = $1 AND lease_owner IS NULL AND epoch > 0", [telephone.id], (rows) => rows.length === 1)
    const since = (hours: number) => town.rows("UPDATE calls SET carrier_call_id = NULL, created_at = now() - make_interval(hours => $2), lease_until = now() WHERE number_id = $1 RETURNING 1", [telephone.id, hours])
    await since(4)
    await town.until('SELECT 1 FROM calls WHERE number_id = $1 AND lease_until > now() AND ended_at IS NULL', [telephone.id], (rows) => rows.length === 1)
    await since(5)
    expect(await callOf(town, telephone, ended)).toMatchObject({ status: 'completed', end_reason: 'transferred' })
    phone.hangUp()
  })

  it('is put through when the agent hands over, and ends when that talk does', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING, transfer_to: '+14155550999' }, prompt: { tools: [{ type: 'builtin', name: 'handover_to_human' }] } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    await kept(town, telephone, 1)
    phone.say('I want to speak to a human.')
    await town.until("SELECT 1 FROM calls WHERE number_id = $1 AND transfer = 'answered' AND lease_owner IS NULL", [telephone.id], (rows) => rows.length === 1)
    phone.hangUp()
    expect(await callOf(town, telephone, ended)).toMatchObject({ status: 'completed', end_reason: 'transferred' })
    expect(await balanced()).toEqual([])
  })

  it.each(['twilio', 'telnyx'] as const)('is put through warmly (%s): the caller waits with music, the colleague is told and says yes, and both are connected', async (carrier) => {
    const colleague = `+1415555${carrier === 'twilio' ? '0801' : '0802'}`
    const telephone = await town.telephone(business, { carrier, settings: { greeting: GREETING, transfer_to: colleague, transfer_mode: 'warm' }, prompt: { tools: [{ type: 'builtin', name: 'handover_to_human' }] } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    await kept(town, telephone, 1)
    phone.say('I want to speak to a human about my blue bike.')
    const other = await town.called(carrier, colleague)
    await hears(other, /blue bike/)
    other.press('1')
    await town.until("SELECT 1 FROM calls WHERE number_id = $1 AND wish = 'transfer' AND lease_owner IS NULL AND epoch > 0", [telephone.id], (rows) => rows.length === 2)
    phone.hangUp()
    other.hangUp()
    const rows = await town.until<{ call: Json }>('SELECT to_jsonb(c) AS call FROM calls c WHERE number_id = $1 AND ended_at IS NOT NULL ORDER BY id', [telephone.id], (found) => found.length === 2)
    expect(rows.map(({ call }) => [call.direction, call.end_reason])).toEqual([['inbound', 'transferred'], ['outbound', 'transferred']])
    expect(rows[1]!.call).toMatchObject({ conversation_id: null, contact_id: null })
    expect(await balanced()).toEqual([])
  })

  it('comes back to the agent when the colleague says no', async () => {
    const colleague = '+14155550803'
    const telephone = await town.telephone(business, { settings: { greeting: GREETING, transfer_to: colleague, transfer_mode: 'warm' }, prompt: { tools: [{ type: 'builtin', name: 'handover_to_human' }] } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    await kept(town, telephone, 1)
    phone.say('I want to speak to a human.')
    const other = await town.called('twilio', colleague)
    await hears(other, /caller for you/)
    other.press('2')
    await hears(phone, /nobody is there/)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    phone.hangUp()
    await town.until('SELECT 1 FROM calls WHERE number_id = $1 AND ended_at IS NULL', [telephone.id], (rows) => rows.length === 0)
    expect(await town.rows("SELECT end_reason FROM calls WHERE number_id = $1 ORDER BY id", [telephone.id])).toEqual([{ end_reason: 'caller_hung_up' }, { end_reason: 'agent_hung_up' }])
  })

  it('is not answered when the number has all the calls it may have, and the refusal is kept', async () => {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING, concurrency_limit: 1 } })
    const first = town.ring(telephone)
    await hears(first, /harbour bikes/)
    const second = town.ring(telephone, '+14155550101')
    await second.waitFor('ended')
    expect(await callOf(town, telephone, ended)).toMatchObject({ status: 'busy', end_reason: 'number_busy', from_address: '+14155550101', hold_ids: [] })
    first.hangUp()
    await town.until("SELECT 1 FROM calls WHERE number_id = $1 AND ended_at IS NULL", [telephone.id], (rows) => rows.length === 0)
  })

  it('is not answered without credit: nothing is charged, and the call is kept with the reason', async () => {
    const poor = await town.business('Poor Bikes')
    const telephone = await town.telephone(poor)
    await town.db.system('ledger', async (tx) => {
      const { availableMicros } = await ledger.balance(tx, poor.tenantId)
      await ledger.holdMany(tx, [{ tenantId: poor.tenantId, holdId: newId(), turnId: null, amountMicros: availableMicros - 5n, idempotencyKey: 'all but five', expiresAtMs: Date.now() + 3_600_000 }])
    })
    const phone = town.ring(telephone)
    await phone.waitFor('ended')
    expect(await callOf(town, telephone, ended)).toMatchObject({ status: 'failed', end_reason: 'insufficient_credit', answered_at: null, cost_carrier_micros: 0 })
  })
})

async function collected(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}
