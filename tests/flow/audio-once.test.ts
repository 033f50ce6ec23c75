import { randomUUID } from 'node:crypto'
import { speak } from '@trunkline/app-sandbox'
import { wavBytes } from '@trunkline/media'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Business, Json } from './business.ts'
import { openTown, type Town } from './town.ts'

const SAID = 'Hello there. My order number is A-1001.'
const RATE_HZ = 24_000

let town: Town
let business: Business

beforeAll(async () => {
  town = await openTown()
  business = await town.business()
})
afterEach(() => {
  town.sandbox.faults.clear()
  Object.assign(town.sandbox.speech.pace, { firstSoundMs: 10, perChunkMs: 0, finalMs: 0 })
})
afterAll(async () => {
  await town?.close()
})

type Asked = { status: number; bytes: Buffer; json: () => Json; headers: Headers }
const ask = async (path: string, init: RequestInit, key: string | null, as = business.key): Promise<Asked> => {
  const headers = { authorization: `Bearer ${as}`, ...(key === null ? {} : { 'idempotency-key': key }), ...(init.headers as Record<string, string> | undefined) }
  const answer = await fetch(`${town.apiUrl}${path}`, { method: 'POST', ...init, headers })
  const bytes = Buffer.from(await answer.arrayBuffer())
  return { status: answer.status, bytes, json: () => JSON.parse(bytes.toString('utf8')), headers: answer.headers }
}
const speech = (fields: object, key: string | null, more: RequestInit = {}) =>
  ask('/v1/audio/speech', { body: JSON.stringify({ model: 'tts-1', voice: 'alloy', input: SAID, response_format: 'pcm', ...fields }), headers: { 'content-type': 'application/json' }, ...more }, key)
function transcription(fields: Record<string, string>, key: string | null, text = SAID): Promise<Asked> {
  const form = new FormData()
  form.append('file', new Blob([wavBytes(speak(text, { sampleRateHz: 16_000 }).pcm, 16_000)]), 'said.wav')
  for (const [name, value] of Object.entries({ model: 'gpt-4o-transcribe', ...fields })) form.append(name, value)
  return ask('/v1/audio/transcriptions', { body: form }, key)
}

type Charge = { micros: string; request: string }
const charges = () => town.rows<Charge>("SELECT amount_micros::text AS micros, details->>'request_id' AS request FROM transfers WHERE tenant_id = $1 AND kind = 'settle' AND memo = 'audio' ORDER BY id", [business.tenantId])
const openHolds = "SELECT id FROM holds WHERE tenant_id = $1 AND state = 'held'"
type Use = { vendor: string; model: string; purpose: string; outcome: string; micros: string; audio_ms: number; characters: number; own_key: boolean; project_id: string; caused_by: string }
const USES = 'SELECT vendor, model, purpose, outcome, cost_micros::text AS micros, audio_ms::int, characters, own_key, project_id, caused_by FROM usage_records WHERE tenant_id = $1 ORDER BY id'
const uses = () => town.rows<Use>(USES, [business.tenantId])

describe('what one-shot speech used is written down with its charge', { timeout: 30_000 }, () => {
  it('sound heard and characters spoken: engine, cost, project, and the request that caused it', async () => {
    const before = { uses: (await uses()).length, charges: (await charges()).length }
    const heard = await transcription({}, null)
    const spoken = await speech({}, null)
    const [ears, voice] = (await uses()).slice(before.uses)
    const [first, second] = (await charges()).slice(before.charges)
    const lengthMs = (speak(SAID, { sampleRateHz: 16_000 }).pcm.length / 16_000) * 1_000
    expect(ears).toMatchObject({ vendor: 'openai', model: 'gpt-4o-transcribe', purpose: 'stt', outcome: 'ok', micros: first!.micros, characters: 0, own_key: false, project_id: business.projectId, caused_by: `request:${heard.headers.get('x-request-id')}` })
    expect(Math.abs(ears!.audio_ms - lengthMs)).toBeLessThan(5)
    expect(voice).toMatchObject({ vendor: 'openai', model: 'tts-1', purpose: 'tts', outcome: 'ok', micros: second!.micros, own_key: false, caused_by: `request:${spoken.headers.get('x-request-id')}` })
    expect(voice!.characters).toBeGreaterThan(30)
    expect([first!.request, second!.request]).toEqual([heard, spoken].map(({ headers }) => headers.get('x-request-id')))
  })

  it('and stands in the report of usage beside that of models, to the micro-credit of the ledger', async () => {
    await speech({}, null)
    const report = await business.ok('GET', '/v1/usage?group_by=vendor,purpose,own_key')
    const spoken = (report.data as Json[]).find(({ purpose, vendor }) => purpose === 'tts' && vendor === 'openai')
    expect(spoken).toMatchObject({ own_key: 'false', characters: expect.any(Number), audio_ms: expect.any(Number) })
    expect(spoken.characters).toBeGreaterThan(0)
    const charged = (await charges()).reduce((sum, { micros }) => sum + BigInt(micros), 0n)
    expect(BigInt(report.totals.cost.micros)).toBe(charged)
  })

  it('what failed is written down, too, and costs nothing', async () => {
    town.sandbox.faults.add({ target: 'openai.audio.transcriptions', action: { status: 401 } })
    const before = { uses: (await uses()).length, charges: (await charges()).length }
    expect((await transcription({}, null)).status).toBe(502)
    expect((await uses()).slice(before.uses)).toMatchObject([{ purpose: 'stt', outcome: 'failed', micros: '0' }])
    expect((await charges()).length).toBe(before.charges)
  })

  it('streams like the rest', async () => {
    const before = (await uses()).length
    await transcription({ stream: 'true' }, null)
    await speech({ stream_format: 'sse' }, null)
    expect((await uses()).slice(before).map(({ purpose, outcome }) => `${purpose} ${outcome}`)).toEqual(['stt ok', 'tts ok'])
  })
})

describe('a key stands for one request', { timeout: 30_000 }, () => {
  it.each([
    ['sound', { response_format: 'mp3' }],
    ['events', { stream_format: 'sse' }],
  ])('%s: a repeat gets the same bytes, nobody is asked again, and nothing is charged again', async (_, fields) => {
    const key = randomUUID()
    const first = await speech(fields, key)
    const asked = town.sandbox.journal.count({ target: 'openai.audio.speech' })
    const paid = (await charges()).length
    const again = await speech(fields, key)
    expect(again).toMatchObject({ status: 200, bytes: first.bytes })
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(again.headers.get('content-type')).toBe(first.headers.get('content-type'))
    expect(town.sandbox.journal.count({ target: 'openai.audio.speech' })).toBe(asked)
    expect((await charges()).length).toBe(paid)
    expect((await speech({ ...fields, input: 'Something else.' }, key)).json().error).toMatchObject({ code: 'idempotency_mismatch' })
  })

  it.each([
    ['JSON', {}],
    ['subtitles', { model: 'whisper-1', response_format: 'srt' }],
    ['events', { stream: 'true' }],
  ] as const)('a transcript as %s: the form may be written anew, what is in it counts', async (_, fields) => {
    const key = randomUUID()
    const first = await transcription(fields, key)
    const asked = town.sandbox.journal.count({ target: 'openai.audio.transcriptions' })
    const paid = (await charges()).length
    const again = await transcription(fields, key)
    expect(again).toMatchObject({ status: 200, bytes: first.bytes })
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(town.sandbox.journal.count({ target: 'openai.audio.transcriptions' })).toBe(asked)
    expect((await charges()).length).toBe(paid)
    expect((await transcription(fields, key, 'Goodbye.')).json().error).toMatchObject({ code: 'idempotency_mismatch', param: 'headers.idempotency-key' })
    expect(await town.rows(openHolds, [business.tenantId])).toEqual([])
  })

  it('two at once: one is done, the other is told to wait', async () => {
    const key = randomUUID()
    const paid = (await charges()).length
    Object.assign(town.sandbox.speech.pace, { firstSoundMs: 300 })
    const statuses = (await Promise.all([speech({}, key), speech({}, key)])).map(({ status }) => status)
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 409])
    expect((await charges()).length).toBe(paid + 1)
  })

  it('a client that goes away and comes back: the sound was made to its end for it, and charged once', async () => {
    const key = randomUUID()
    const paid = (await charges()).length
    const input = Array.from({ length: 12 }, (_, at) => `Sentence number ${at} of a story.`).join(' ')
    Object.assign(town.sandbox.speech.pace, { perChunkMs: 5 })
    const answer = await fetch(`${town.apiUrl}/v1/audio/speech`, { method: 'POST', headers: { authorization: `Bearer ${business.key}`, 'content-type': 'application/json', 'idempotency-key': key }, body: JSON.stringify({ model: 'tts-1', voice: 'alloy', input, response_format: 'pcm' }) })
    const reader = answer.body!.getReader()
    await reader.read()
    await reader.cancel()
    await town.until('SELECT 1 FROM idempotency_keys WHERE tenant_id = $1 AND key LIKE $2 AND completed_at IS NOT NULL', [business.tenantId, `%${key}`], (rows) => rows.length === 1)
    const again = await speech({ input }, key)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(Math.abs(again.bytes.length / 2 - speak(input, { sampleRateHz: RATE_HZ }).pcm.length)).toBeLessThan(RATE_HZ)
    expect((await charges()).length).toBe(paid + 1)
    expect(await town.rows(openHolds, [business.tenantId])).toEqual([])
  })

  it('more than can be kept: a repeat is told so, and charged nothing', async () => {
    const key = randomUUID()
    const input = Array.from({ length: 60 }, (_, at) => `This is sentence number ${at} of it.`).join(' ')
    const first = await speech({ input, response_format: 'wav' }, key)
    expect(first.bytes.length).toBeGreaterThan(4 * 1024 * 1024)
    const paid = (await charges()).length
    const again = await speech({ input, response_format: 'wav' }, key)
    expect(again.status).toBe(409)
    expect(again.json().error).toMatchObject({ code: 'conflict', param: 'headers.idempotency-key', message: expect.stringContaining('too large to be kept') })
    expect((await charges()).length).toBe(paid)
  })

  it('when all the room of a tenant is taken: an answer is given, and not kept', async () => {
    const full = await town.business('Full House')
    await town.db.system('test', (tx) => tx.query("INSERT INTO idempotency_keys (tenant_id, key, fingerprint, status, response, kept_bytes, completed_at) VALUES ($1, 'full', '', 200, '{}', $2, now())", [full.tenantId, 256 * 1024 * 1024]))
    const key = randomUUID()
    const init = { body: JSON.stringify({ model: 'tts-1', voice: 'alloy', input: SAID, response_format: 'pcm' }), headers: { 'content-type': 'application/json' } }
    expect((await ask('/v1/audio/speech', init, key, full.key)).status).toBe(200)
    const again = await ask('/v1/audio/speech', init, key, full.key)
    expect([again.status, again.json().error.code]).toEqual([409, 'conflict'])
    expect(await town.rows("SELECT 1 FROM transfers WHERE tenant_id = $1 AND kind = 'settle'", [full.tenantId])).toHaveLength(1)
  })

  it.each([
    ['an error', {}],
    ['an event', { stream: 'true' }],
  ])('a failure that cost nothing, told as %s, leaves the key free', async (_, fields) => {
    const key = randomUUID()
    const paid = (await charges()).length
    town.sandbox.faults.add({ target: 'openai.audio.transcriptions', action: { status: 401 } })
    expect((await transcription(fields, key)).bytes.toString()).toContain('upstream_rejected')
    town.sandbox.faults.clear()
    const again = await transcription(fields, key)
    expect(again).toMatchObject({ status: 200 })
    expect(again.bytes.toString()).toContain('A-1001')
    expect(again.headers.get('idempotency-replayed')).toBeNull()
    expect((await charges()).length).toBe(paid + 1)
  })

  it("another tenant's key of the same name is another", async () => {
    const key = randomUUID()
    const other = await town.business('Other Shop')
    await speech({}, key)
    const body = JSON.stringify({ model: 'tts-1', voice: 'alloy', input: SAID, response_format: 'pcm' })
    const theirs = await ask('/v1/audio/speech', { body, headers: { 'content-type': 'application/json' } }, key, other.key)
    expect(theirs.status).toBe(200)
    expect(theirs.headers.get('idempotency-replayed')).toBeNull()
  })
})
