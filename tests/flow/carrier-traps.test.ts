import { TELNYX_CONNECTION_ID } from '@trunkline/app-sandbox'
import { ledger } from '@trunkline/db'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { wordsOf } from '../../channels/testing/speech.ts'
import { callersOf, GREETING, LINES, type Callers } from './callers.ts'
import type { Business, Json } from './business.ts'
import { BY_EAR, hears, kept, openPhoneTown, type PhoneTown } from './phone-town.ts'

// What carriers do that one only notices in the field, in whole calls.

let town: PhoneTown
let business: Business
let callers: Callers

beforeAll(async () => {
  town = await openPhoneTown()
  business = await town.business()
  callers = callersOf(town, business, '+4792')
})
afterEach(() => town.sandbox.faults.clear())
afterAll(() => town?.close())

const LONG = { timeout: 60_000, retry: BY_EAR }
/** Jitter of a mobile network, a tenth of the frames in the wrong order. */
const ROUGH = { delay_ms: 40, jitter_ms: 60, reorder: 0.1, seed: 7 }

describe.concurrent('a call over Telnyx', LONG, () => {
  it.each([
    ['whose leg speaks A-law while we speak mu-law (dograh-hq/dograh#254), frames late and out of order', { codec: 'PCMA', transcodes: false }, {}, ROUGH],
    ['in A-law both ways', { codec: 'PCMA' }, { outbound_codec: 'PCMA' }, {}],
    ['in L16 at 16 kHz in network order', {}, { outbound_codec: 'L16', outbound_sample_rate: 16_000 }, ROUGH],
    ['in L16 at 16 kHz in little endian order (pipecat-ai/pipecat#3383)', { l16_byte_order: 'little' }, { outbound_codec: 'L16', outbound_sample_rate: 16_000, l16_byte_order: 'little' }, {}],
    ['that speaks L16 and hears mu-law, because its leg cannot be transcoded', { codec: 'PCMU', transcodes: false }, { outbound_codec: 'L16', outbound_sample_rate: 24_000 }, {}],
  ] as const)('%s is understood on both sides, and recorded so', async (_name, line, carrierSettings, network) => {
    const number = await town.telephone(business, { carrier: 'telnyx', settings: { greeting: GREETING, recording: { enabled: true }, carrier_settings: { connection_id: TELNYX_CONNECTION_ID, ...carrierSettings } } })
    town.sandbox.carriers.telnyx.register({ number: number.address, ...line })
    const phone = town.sandbox.carriers.telnyx.ring({ from: '+14155550100', to: number.address, says: [], ...(Object.keys(network).length > 0 ? { network } : {}) })
    await hears(phone, /harbour bikes/)
    await kept(town, number, 1)
    phone.say('When do you open?')
    await hears(phone, /repair/)
    await kept(town, number, 3)
    phone.hangUp()
    const { data: [{ id }] } = await business.ok('GET', `/v1/calls?number_id=${number.id}`)
    await callers.over(id)
    const { data: said } = await business.ok('GET', `/v1/calls/${id}/transcript`)
    expect(said.slice(0, 2).map((item: Json) => item.text)).toEqual([GREETING, 'When do you open?'])
    expect(phone.streams()[0]!.stats, 'not one message of ours that Telnyx complains about').toMatchObject({ faults: 0 })
    const sides = await recordedOf(id)
    expect(wordsOf(sides.caller, sides.rateHz)).toMatch(/when do you open/i)
    expect(wordsOf(sides.agent, sides.rateHz)).toMatch(/harbour bikes/)
  })
})

describe.each(LINES)('a call over %s', LONG, (name, wish) => {
  it('that is told again and again is one call, answered once and charged once', async () => {
    const number = await town.telephone(business, { ...wish, settings: { greeting: GREETING } })
    town.sandbox.faults.add({ target: `${number.carrier}.webhook`, match: { phone_number_id: number.address }, action: { copies: 3 } })
    const phone = town.ring(number)
    await hears(phone, /harbour bikes/)
    await kept(town, number, 1)
    phone.hangUp()
    await town.until('SELECT 1 FROM calls WHERE number_id = $1 AND ended_at IS NOT NULL', [number.id], (rows) => rows.length > 0)
    const { data } = await business.ok('GET', `/v1/calls?number_id=${number.id}`)
    expect(data).toEqual([expect.objectContaining({ status: 'completed', reason: 'caller_hung_up', carrier_call_id: phone.id })])
    expect(phone.streams(), name).toHaveLength(1)
    expect(wordsOf(phone.agentPcm()).match(/harbour/g)).toHaveLength(1)
    const settled = await town.rows("SELECT 1 FROM transfers WHERE tenant_id = $1 AND idempotency_key = $2", [business.tenantId, `settle:call:${data[0].id}`])
    expect(settled).toHaveLength(1)
  })

  it('that is interrupted throws away what waits at the carrier: the marks that come back with it were not heard', async () => {
    const long = 'We repair every bicycle, old ones and new ones, with gears and without, on every day of the week but Sunday, and we tell you beforehand what it costs.'
    const number = await town.telephone(business, { ...wish, settings: { greeting: long } })
    const phone = town.ring(number)
    await hears(phone, /old ones/)
    phone.say('When do you open?')
    await phone.waitFor('media.clear')
    await hears(phone, /nine/)
    await kept(town, number, 3)
    phone.hangUp()
    const { data: [{ id }] } = await business.ok('GET', `/v1/calls?number_id=${number.id}`)
    await callers.over(id)
    const { data: [greeting] } = await business.ok('GET', `/v1/calls/${id}/transcript`)
    expect(greeting).toMatchObject({ by: 'agent', interrupted: true })
    expect(long.startsWith(greeting.text.replace(/\W+$/, ''))).toBe(true)
    expect(greeting.text.length).toBeLessThan(long.length / 2 + 20)
    expect(phone.moments().some(({ kind }) => kind === 'mark.cleared'), 'there were marks that nobody heard').toBe(true)
    // A part of a frame would be heard as a click (openai-agents-js#1184).
    expect(phone.streams()[0]!.stats.bytesReceived % 160).toBe(0)
  })
})

it('calls through the traps cost the right money', async () => {
  expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
})

async function recordedOf(id: string): Promise<{ rateHz: number; caller: Int16Array; agent: Int16Array }> {
  await town.until("SELECT 1 FROM calls WHERE id = $1 AND recording_state = 'stored'", [id], (rows) => rows.length === 1)
  const response = await fetch(`${town.apiUrl}/v1/calls/${id}/recording`, { headers: { authorization: `Bearer ${business.key}` }, signal: AbortSignal.timeout(20_000) })
  const bytes = Buffer.from(await response.arrayBuffer())
  const samples = new Int16Array(bytes.buffer.slice(bytes.byteOffset + 44, bytes.byteOffset + bytes.length))
  return { rateHz: bytes.readUInt32LE(24), caller: samples.filter((_, index) => index % 2 === 0), agent: samples.filter((_, index) => index % 2 === 1) }
}
