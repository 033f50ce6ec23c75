import { ACCESS_KEY_ID, SECRET_ACCESS_KEY, speak } from '@trunkline/app-sandbox'
import { ledger } from '@trunkline/db'
import { wavBytes } from '@trunkline/media'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Business, Json } from './business.ts'
import { newCustomer, post, whatsappBody } from './post.ts'
import { callOf, hears, openPhoneTown, type PhoneTown } from './phone-town.ts'
import { dialRealtime, userSays } from './realtime-client.ts'

const GREETING = 'Hello, harbour bikes.'
/** Of the installation (phone-town.ts, environment.ts). */
const HOUSE_KEY = 'sandbox'

let town: PhoneTown
/** One with keys of its own, and one without. */
let owner: Business
let guest: Business

beforeAll(async () => {
  town = await openPhoneTown({ ELEVENLABS_API_KEY: HOUSE_KEY, TTS_ORDER: 'openai,elevenlabs' })
  ;[owner, guest] = [await town.business('Own Keys'), await town.business('No Keys')]
  await put('openai', 'sk-openai-of-owner', 'v1')
  await put('deepgram', 'deepgram-of-owner', 'deepgram')
  await put('elevenlabs', 'eleven-of-owner', 'elevenlabs')
})
afterAll(() => town?.close())

const put = (vendor: string, key: string, path: string, business = owner) => business.ok('PUT', `/v1/admin/vendor-keys/${vendor}`, { key, base_url: `${town.sandbox.url}/${path}` })
/** The keys that a supplier saw since then. */
const keysSince = (target: string, after: number) => [...new Set(town.sandbox.journal.query({ target, after }, 1_000).map(({ key }) => key))]
const now = () => town.sandbox.journal.lastSeq
type Use = { purpose: string; vendor: string; own_key: boolean; micros: string }
const uses = (where: string, value: string) => town.rows<Use>(`SELECT DISTINCT CASE WHEN purpose IN ('stt', 'tts') THEN purpose ELSE 'model' END AS purpose, vendor, own_key, (cost_micros > 0)::text AS micros FROM usage_records WHERE ${where} AND outcome = 'ok' ORDER BY 1`, [value])
const balanced = async () => (await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences

async function talked(business: Business): Promise<Json> {
  const telephone = await town.telephone(business, { settings: { greeting: GREETING, voice: { stt: ['deepgram'], tts: [{ engine: 'elevenlabs' }] } } })
  const phone = town.ring(telephone)
  await hears(phone, /harbour bikes/)
  phone.say('When do you open?')
  await hears(phone, /nine/)
  phone.hangUp()
  return callOf(town, telephone, (call) => call.ended_at !== null)
}

const body = { model: 'tts-1', voice: 'alloy', input: 'We open at nine.', response_format: 'pcm' }
async function speech(business: Business, fields: object = {}): Promise<number> {
  const answer = await fetch(`${town.apiUrl}/v1/audio/speech`, { method: 'POST', headers: { authorization: `Bearer ${business.key}`, 'content-type': 'application/json' }, body: JSON.stringify({ ...body, ...fields }) })
  await answer.arrayBuffer()
  return answer.status
}
async function transcription(business: Business, model = 'gpt-4o-transcribe'): Promise<Json> {
  const form = new FormData()
  form.append('file', new Blob([wavBytes(speak('We open at nine.', { sampleRateHz: 16_000 }).pcm, 16_000)]), 'said.wav')
  form.append('model', model)
  const answer = await fetch(`${town.apiUrl}/v1/audio/transcriptions`, { method: 'POST', headers: { authorization: `Bearer ${business.key}` }, body: form })
  return answer.json()
}

describe("a tenant's own keys of speech", { timeout: 60_000 }, () => {
  it('pay for its calls: only the line is charged; calls of others run on the keys of the house', async () => {
    const from = now()
    const call = await talked(owner)
    expect([keysSince('deepgram.listen', from), keysSince('elevenlabs.stream', from)]).toEqual([['deepgram-of-owner'], ['eleven-of-owner']])
    expect(call).toMatchObject({ cost_stt_micros: 0, cost_tts_micros: 0, cost_model_micros: 0 })
    expect(call.cost_carrier_micros).toBeGreaterThan(0)
    expect(await uses('call_id = $1', call.id)).toEqual([
      { purpose: 'model', vendor: 'openai', own_key: true, micros: 'false' }, { purpose: 'stt', vendor: 'deepgram', own_key: true, micros: 'false' }, { purpose: 'tts', vendor: 'elevenlabs', own_key: true, micros: 'false' },
    ])
    const then = now()
    const other = await talked(guest)
    expect(keysSince('deepgram.listen', then)).toEqual([HOUSE_KEY])
    for (const part of ['stt', 'model']) expect(other[`cost_${part}_micros`], part).toBeGreaterThan(0)
    expect((await uses('call_id = $1', other.id)).every(({ own_key }) => !own_key)).toBe(true)
    expect(await balanced()).toEqual([])
  })

  it('pay for one-shot speech, for the voices that are listed, and are in the report of usage', async () => {
    const from = now()
    expect(await speech(owner)).toBe(200)
    expect((await transcription(owner)).text).toBe('We open at nine.')
    expect((await transcription(owner, 'deepgram')).text).toBe('We open at nine.')
    // The API has no recogniser of Deepgram of its own.
    expect((await transcription(guest, 'deepgram')).error).toMatchObject({ param: 'body.model' })
    await owner.ok('GET', '/v1/tts/voices?engine=elevenlabs')
    expect([keysSince('openai.audio.speech', from), keysSince('openai.audio.transcriptions', from), keysSince('deepgram.recording', from), keysSince('elevenlabs.voices', from)]).toEqual([['sk-openai-of-owner'], ['sk-openai-of-owner'], ['deepgram-of-owner'], ['eleven-of-owner']])
    expect(await town.rows("SELECT 1 FROM transfers WHERE tenant_id = $1 AND kind = 'settle' AND memo = 'audio'", [owner.tenantId])).toEqual([])
    expect(await town.rows("SELECT 1 FROM holds WHERE tenant_id = $1 AND state = 'held'", [owner.tenantId])).toEqual([])
    const report = (await owner.ok('GET', '/v1/usage?group_by=own_key,purpose')).data as Json[]
    expect(report.filter(({ purpose }) => purpose === 'stt' || purpose === 'tts').map(({ own_key, cost }) => `${own_key} ${cost.micros}`)).toEqual(['true 0', 'true 0'])
    expect(await speech(guest)).toBe(200)
    expect(keysSince('openai.audio.speech', from)).toEqual(['sk-openai-of-owner', HOUSE_KEY])
  })

  it('pay for Realtime sessions: voice and words', async () => {
    const from = now()
    for (const [business, key] of [[owner, 'sk-openai-of-owner'], [guest, HOUSE_KEY]] as const) {
      const then = now()
      const client = dialRealtime(town.voiceUrl, business.key)
      await client.until('session.created')
      client.send(userSays('When do you open?'))
      client.send({ type: 'response.create' })
      await client.until('response.done')
      client.socket.close()
      await client.closed
      expect(keysSince('openai.audio.speech', then)).toEqual([key])
      const own = key !== HOUSE_KEY
      await expect.poll(() => uses("caused_by LIKE 'session:%' AND tenant_id = $1", business.tenantId), { timeout: 10_000 }).toEqual([
        { purpose: 'model', vendor: 'openai', own_key: own, micros: String(!own) }, { purpose: 'tts', vendor: 'openai', own_key: own, micros: String(!own) },
      ])
    }
    expect(keysSince('openai.audio.speech', from)).toEqual(['sk-openai-of-owner', HOUSE_KEY])
    expect(await balanced()).toEqual([])
  })

  it('pay for its simulations: for both ends of the line', async () => {
    const from = now()
    const telephone = await town.telephone(owner, { settings: { greeting: GREETING, voice: { speed: 1.5 } } })
    const made = await owner.ok('POST', '/v1/simulations', { agent_id: telephone.agentId, callers: [{ name: 'Tester', voice: { speed: 1.5 }, script: [{ wait_for: 'harbour bikes' }, { say: 'When do you open?' }, { wait_for: '/nine/' }, { hang_up: true }] }] })
    const read = () => owner.ok('GET', `/v1/simulations/${made.id}`)
    await expect.poll(async () => (await read()).ended_at, { timeout: 50_000, interval: 200 }).not.toBeNull()
    const { results } = await read()
    expect(results[0].failed_step).toBeNull()
    expect([keysSince('deepgram.listen', from), keysSince('openai.audio.speech', from)]).toEqual([['deepgram-of-owner'], ['sk-openai-of-owner']])
    expect((await uses('call_id = $1', results[0].call_id)).every(({ own_key, micros }) => own_key && micros === 'false')).toBe(true)
  })
})

describe('an own key of a model', { timeout: 60_000 }, () => {
  it('pays for the answers to messages: only the channel is charged', async () => {
    const number = await owner.number()
    const customer = newCustomer()
    expect((await post(number, whatsappBody(number, customer, ['When do you open?']))).status).toBe(200)
    const [turn] = await town.until<{ id: string; cost: string }>("SELECT id, cost_micros::text AS cost FROM turns WHERE number_id = $1 AND state = 'retired'", [number.id], (rows) => rows.length === 1, 20_000)
    expect(await uses('turn_id = $1', turn!.id)).toEqual([{ purpose: 'model', vendor: 'openai', own_key: true, micros: 'false' }])
    // A service message of WhatsApp (rate card 2026-10).
    expect(turn!.cost).toBe('5000')
    expect(await balanced()).toEqual([])
  })
})

describe('a key that is changed', { timeout: 60_000 }, () => {
  it('is used at once in every process, also in a call that is under way; taken back, the house stands in and charges', async () => {
    const business = await town.business('Changing Keys')
    await put('deepgram', 'deepgram-first', 'deepgram', business)
    await put('elevenlabs', 'eleven-first', 'elevenlabs', business)
    const telephone = await town.telephone(business, { settings: { greeting: GREETING, voice: { stt: ['deepgram'], tts: [{ engine: 'elevenlabs' }] } } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    const from = now()
    await put('elevenlabs', 'eleven-second', 'elevenlabs', business)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    expect(keysSince('elevenlabs.stream', from)).toEqual(['eleven-second'])
    phone.hangUp()
    await callOf(town, telephone, (call) => call.ended_at !== null)

    await put('openai', 'sk-soon-gone', 'v1', business)
    expect(await speech(business)).toBe(200)
    expect((await business.call('DELETE', '/v1/admin/vendor-keys/openai')).status).toBe(200)
    const then = now()
    await expect.poll(async () => [await speech(business), keysSince('openai.audio.speech', then).at(-1)], { timeout: 10_000 }).toEqual([200, HOUSE_KEY])
    const [charge] = await town.until<{ micros: string }>("SELECT amount_micros::text AS micros FROM transfers WHERE tenant_id = $1 AND kind = 'settle' AND memo = 'audio'", [business.tenantId], (rows) => rows.length > 0)
    expect(Number(charge!.micros)).toBeGreaterThan(0)
  })

  it('to a bad one fails without a word of it, opens no breaker of the house, and the next voice speaks', async () => {
    const business = await town.business('Bad Keys')
    await put('openai', 'sk-invalid-0123456789', 'v1', business)
    for (let n = 0; n < 6; n++) expect(await speech(business)).toBe(200)
    const refused = await transcription(business)
    expect(refused.error).toMatchObject({ code: 'upstream_rejected' })
    expect(JSON.stringify(refused)).not.toContain('sk-invalid')
    const from = now()
    expect(await speech(guest)).toBe(200)
    expect((await transcription(guest)).text).toBe('We open at nine.')
    expect([keysSince('openai.audio.speech', from), keysSince('openai.audio.transcriptions', from)]).toEqual([[HOUSE_KEY], [HOUSE_KEY]])
  })
})

describe('keys that have parts', { timeout: 30_000 }, () => {
  const aws = { access_key_id: ACCESS_KEY_ID, secret_access_key: SECRET_ACCESS_KEY, region: 'eu-central-1' }

  it('are taken whole, shown by their id alone, and sign what is spoken', async () => {
    const business = await town.business('Amazon')
    const shown = await business.ok('PUT', '/v1/admin/vendor-keys/polly', { aws, base_url: `${town.sandbox.url}/polly` })
    expect(shown).toMatchObject({ vendor: 'polly', last_four: ACCESS_KEY_ID.slice(-4) })
    const from = now()
    expect(await speech(business, { model: 'polly', voice: 'Joanna' })).toBe(200)
    expect(keysSince('polly.speech', from)).toEqual([ACCESS_KEY_ID])
    expect(JSON.stringify([shown, await business.ok('GET', '/v1/admin/vendor-keys'), await business.ok('GET', '/v1/audit')])).not.toContain(SECRET_ACCESS_KEY)
    expect((await town.rows<{ sealed: string }>("SELECT encode(key_sealed, 'escape') AS sealed FROM vendor_keys WHERE tenant_id = $1", [business.tenantId]))[0]!.sealed).not.toContain(SECRET_ACCESS_KEY.slice(0, 8))
  })

  it.each([
    ['a plain key for polly', 'polly', { key: 'AKIA0123456789ABCDEF' }, 'body.key'],
    ['nothing for polly', 'polly', {}, 'body.aws'],
    ['half of it', 'polly', { aws: { ...aws, secret_access_key: undefined } }, 'body.aws.secret_access_key'],
    ['a region that is another host', 'polly', { aws: { ...aws, region: 'eu-central-1.evil.example/' } }, 'body.aws.region'],
    ['parts for openai', 'openai', { aws }, 'body.aws'],
    ['nothing for openai', 'openai', {}, 'body.key'],
    ['an address inside', 'deepgram', { key: 'deepgram-0123456789', base_url: 'http://10.0.0.1:8080/v1' }, 'body.base_url'],
    ['a vendor of nobody', 'acme', { key: 'sk-0123456789' }, 'params.vendor'],
  ])('%s is refused, and the error says where', async (_, vendor, given, param) => {
    const { status, body: answer } = await guest.call('PUT', `/v1/admin/vendor-keys/${vendor}`, given)
    expect([status, answer.error.param]).toEqual([400, param])
    expect(await guest.ok('GET', '/v1/admin/vendor-keys')).toEqual({ data: [] })
  })
})
