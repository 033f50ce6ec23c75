import { ledger } from '@trunkline/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wordsOf } from '../../channels/testing/speech.ts'
import type { Business, Json } from './business.ts'
import { hears, kept, openPhoneTown, type PhoneTown } from './phone-town.ts'

// Calls that two want something of at the same moment, and calls whose sound goes away and comes back.

let town: PhoneTown
let business: Business

beforeAll(async () => {
  town = await openPhoneTown()
  business = await town.business()
})
afterAll(() => town?.close())

const LONG = { timeout: 60_000 }
const GREETING = 'Hello, harbour bikes.'
const CARRIERS = ['twilio', 'telnyx'] as const

let people = 0
function person(wish: object = {}): string {
  const number = `+4798${String(700_000 + ++people)}`
  town.sandbox.carriers.describe({ number, ...wish })
  return number
}
const post = (path: string, body?: unknown) => business.call('POST', path, body)
async function recordingOf(id: string): Promise<{ side(which: 'left' | 'right'): Int16Array }> {
  const response = await fetch(`${town.apiUrl}/v1/calls/${id}/recording`, { headers: { authorization: `Bearer ${business.key}` }, signal: AbortSignal.timeout(20_000) })
  const bytes = Buffer.from(await response.arrayBuffer())
  const samples = new Int16Array(bytes.buffer.slice(bytes.byteOffset + 44, bytes.byteOffset + bytes.length))
  return { side: (which) => samples.filter((_, index) => index % 2 === (which === 'left' ? 0 : 1)) }
}
async function over(id: string): Promise<Json> {
  await town.until('SELECT 1 FROM calls WHERE id = $1 AND ended_at IS NOT NULL', [id], (rows) => rows.length === 1)
  return business.ok('GET', `/v1/calls/${id}`)
}

describe.each(CARRIERS)('a call over %s', LONG, (carrier) => {
  it('is hung up as soon as the carrier has named it, when that was asked for before', async () => {
    const telephone = await town.telephone(business, { carrier })
    const to = person({ does: 'no_answer' })
    town.sandbox.faults.add({ target: carrier === 'twilio' ? 'twilio.calls.create' : 'telnyx.calls.dial', match: { to }, times: 1, action: { delayMs: 1_500 } })
    const placing = post('/v1/calls', { from: telephone.id, to })
    const [row] = await town.until<{ id: string }>('SELECT id FROM calls WHERE number_id = $1', [telephone.id], (rows) => rows.length === 1)
    expect((await post(`/v1/calls/${row!.id}/hangup`)).body).toMatchObject({ status: 'initiated', carrier_call_id: null })
    const placed = await placing
    expect(placed.status).toBe(201)
    await town.sandbox.carriers[carrier].call(placed.body.carrier_call_id).waitFor('ended')
    expect(await over(row!.id)).toMatchObject({ status: 'cancelled', reason: 'cancelled', cost: { total: { micros: '0' } } })
  })

  it('is put through once, whoever asks at the same moment', async () => {
    const telephone = await town.telephone(business, { carrier, settings: { greeting: GREETING } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    const { data: [call] } = await business.ok('GET', `/v1/calls?number_id=${telephone.id}`)
    const colleague = person({ does: 'no_answer' })
    const answers = await Promise.all(Array.from({ length: 6 }, () => post(`/v1/calls/${call.id}/transfer`, { to: colleague })))
    expect(answers.map(({ status }) => status).toSorted((one, two) => one - two)).toEqual([200, 409, 409, 409, 409, 409])
    await phone.waitFor('dialed')
    phone.hangUp()
    expect(await over(call.id)).toMatchObject({ status: 'completed' })
    expect(phone.moments().filter(({ kind }) => kind === 'dialed')).toHaveLength(1)
  })

  it('is over when the caller hangs up while keys are pressed', async () => {
    const telephone = await town.telephone(business, { carrier, settings: { greeting: GREETING } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    const { data: [call] } = await business.ok('GET', `/v1/calls?number_id=${telephone.id}`)
    await business.ok('POST', `/v1/calls/${call.id}/dtmf`, { digits: '1wwwwwwwwwwwwwwww2' })
    await phone.waitFor('person.hears_key')
    phone.hangUp()
    expect(await over(call.id)).toMatchObject({ status: 'completed', reason: 'caller_hung_up' })
  })

  it('has one transcript and one recording, in order, though its sound was away', async () => {
    const telephone = await town.telephone(business, { carrier, settings: { greeting: GREETING, recording: { enabled: true } } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    await kept(town, telephone, 1)
    const { data: [call] } = await business.ok('GET', `/v1/calls?number_id=${telephone.id}`)
    await business.ok('POST', `/v1/calls/${call.id}/transfer`, { to: person({ does: 'busy', after_ms: 500 }) })
    await hears(phone, /nobody is there/)
    await kept(town, telephone, 2)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    await kept(town, telephone, 4)
    phone.hangUp()
    const { duration_seconds: seconds } = await over(call.id)
    const { data } = await business.ok('GET', `/v1/calls/${call.id}/transcript`)
    expect(data.map((item: Json) => item.text)).toEqual([GREETING, expect.stringMatching(/nobody is there/), 'When do you open?', expect.stringMatching(/nine/)])
    data.forEach((item: Json, index: number) => index > 0 && expect(item.start_ms, item.text).toBeGreaterThanOrEqual(data[index - 1].end_ms))
    expect(data.at(-1).end_ms).toBeLessThanOrEqual(seconds * 1_000)
    const [turn] = (await business.ok('GET', `/v1/calls/${call.id}/events?kind=turn`)).data
    expect(turn.at_ms).toBeGreaterThan(data[1].end_ms)
    await town.until("SELECT 1 FROM calls WHERE id = $1 AND recording_state = 'stored'", [call.id], (rows) => rows.length === 1)
    const wav = await recordingOf(call.id)
    expect(wordsOf(wav.side('left')).match(/when do you open/gi)).toHaveLength(1)
    // Silent until the question, and there: its times are those of the transcript, though nobody recorded the ringing.
    const [asked, loud] = [data[2].start_ms, wav.side('left').findIndex((sample) => Math.abs(sample) > 1_000) / 8]
    expect(Math.abs(loud - asked)).toBeLessThan(1_000)
    expect(wordsOf(wav.side('right'))).toMatch(/harbour bikes.*nobody is there.*nine/is)
  })

  it('costs the right money, whatever became of it', async () => {
    expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
    const rows = await town.rows("SELECT 1 FROM calls c JOIN holds h ON h.id = ANY (c.hold_ids) WHERE c.ended_at IS NOT NULL AND h.state = 'held'", [])
    expect(rows).toEqual([])
  })
})
