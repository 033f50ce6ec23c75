import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import { Ear, speak } from '@trunkline/app-sandbox'
import { composeVoice, readEnv, type Voice } from '@trunkline/app-voice'
import { newId, silentLogger } from '@trunkline/core'
import { ledger } from '@trunkline/db'
import OpenAI from 'openai'
import { OpenAIRealtimeWS } from 'openai/realtime/ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { localCertificate } from '../../channels/testing/realtime/certificate.ts'
import { TEST_SECRET } from '../harness/database.ts'
import { freePort } from '../harness/processes.ts'
import type { Business, Json } from './business.ts'
import { environmentOf } from './environment.ts'
import { openTown, type Town } from './town.ts'

let town: Town
let business: Business
let voice: Voice
let url: string
/** A key that may write messages, and nothing else. */
let writer: string
let tls: { port: number; cert: string; close(): void }

beforeAll(async () => {
  const port = await freePort()
  town = await openTown({ settings: { VOICE_URL: `http://127.0.0.1:${port}` } })
  business = await town.business()
  writer = (await business.ok('POST', '/v1/admin/keys', { name: 'Writer', scopes: ['messages:write'] })).key
  const environment = environmentOf(town.sandbox, {
    TRUNKLINE_SECRETS: TEST_SECRET, DATABASE_URL: town.databaseUrl, REDIS_URL: town.redis.url, REDIS_PREFIX: town.redis.prefix,
    DEEPGRAM_API_KEY: 'sandbox', DEEPGRAM_BASE_URL: `${town.sandbox.url}/deepgram`, VOICE_PORT: String(port),
  })
  voice = await composeVoice(readEnv(environment), silentLogger)
  url = await voice.listen()
  // The official clients come by the API's address, which hands them on.
  tls = await encrypted(Number(new URL(town.apiUrl).port))
})
afterAll(async () => {
  tls?.close()
  await voice?.close()
  await town?.close()
})

/** What stands before a server of ours on the internet: the official client speaks to `wss:` only. */
async function encrypted(port: number): Promise<typeof tls> {
  const { key, cert } = localCertificate()
  const server = createServer({ key, cert }, (outside) => {
    const inside = connect(port, '127.0.0.1')
    outside.pipe(inside).pipe(outside)
    for (const end of [outside, inside]) end.on('error', () => [outside, inside].forEach((socket) => socket.destroy()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, cert, close: () => void server.close() }
}

/** A session of the unmodified `openai` package. Every event is kept, in order. */
async function session(key = business.key, model = 'gpt-realtime') {
  const client = new OpenAI({ apiKey: key, baseURL: `https://127.0.0.1:${tls.port}/v1` })
  const socket = new OpenAIRealtimeWS({ model, options: { ca: tls.cert } }, client)
  const events: Json[] = []
  const waiting = new Set<() => void>()
  socket.on('event', (event) => {
    events.push(event)
    waiting.forEach((look) => look())
  })
  socket.on('error', () => {})
  const until = (type: string, nth = 1) =>
    new Promise<Json>((resolve) => {
      const look = () => {
        const found = events.filter((event) => event.type === type)[nth - 1]
        if (!found) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    })
  await until('session.created')
  return { socket, events, until, of: (type: string) => events.filter((event) => event.type === type) }
}

const say = (text: string) => ({ type: 'conversation.item.create' as const, item: { type: 'message' as const, role: 'user' as const, content: [{ type: 'input_text' as const, text }] } })
const SPENT = "SELECT coalesce(sum(amount_micros), 0)::text AS micros, count(*)::int FROM transfers WHERE tenant_id = $1 AND kind = 'settle' AND idempotency_key LIKE 'settle:realtime:%'"
type Spent = { micros: string; count: number }

describe('a Realtime session, with the official client', { timeout: 30_000 }, () => {
  it('answers in writing, and is charged for what the model used', async () => {
    const one = await session()
    one.socket.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'], instructions: 'You work for the harbour shop. It opens at nine.' } })
    await one.until('session.updated')
    const [before] = await town.rows<Spent>(SPENT, [business.tenantId])
    one.socket.send(say('When do you open?'))
    one.socket.send({ type: 'response.create' })
    const done = await one.until('response.done')
    expect(done.response).toMatchObject({ status: 'completed', usage: { output_tokens: expect.any(Number) } })
    expect(done.response.usage.output_tokens).toBeGreaterThan(0)
    const text = done.response.output[0].content[0].text as string
    expect(text).not.toBe('')
    expect(one.of('response.output_text.delta').map((event) => event.delta).join('')).toBe(text)
    expect(one.of('rate_limits.updated')[0].rate_limits.map(({ name }: Json) => name)).toEqual(['requests', 'tokens'])
    const [after] = await town.until<Spent>(SPENT, [business.tenantId], ([row]) => row!.count === before!.count + 1)
    expect(BigInt(after!.micros)).toBeGreaterThan(BigInt(before!.micros))
    one.socket.close()
  })

  it('hears speech, finds its end by itself, writes it down, and answers aloud', async () => {
    const one = await session()
    one.socket.send({ type: 'session.update', session: { type: 'realtime', instructions: 'The shop opens at nine.', audio: { input: { transcription: { model: 'gpt-4o-transcribe' }, turn_detection: { type: 'server_vad', silence_duration_ms: 300 } } } } })
    await one.until('session.updated')
    const { pcm } = speak('When do you open?', { sampleRateHz: 24_000 })
    const silence = new Int16Array(24_000)
    for (const sound of [silence.subarray(0, 4_800), pcm, silence]) {
      for (let at = 0; at < sound.length; at += 2_400) {
        const piece = sound.slice(at, at + 2_400)
        one.socket.send({ type: 'input_audio_buffer.append', audio: Buffer.from(piece.buffer).toString('base64') })
      }
    }
    const written = await one.until('conversation.item.input_audio_transcription.completed')
    expect(written.transcript).toBe('When do you open?')
    const done = await one.until('response.done')
    expect(done.response.status).toBe('completed')
    const said = (await one.until('response.output_audio_transcript.done')).transcript as string
    const heard: string[] = []
    const ear = new Ear(24_000, (sound) => void (sound.text !== null && heard.push(sound.text)))
    for (const { delta } of one.of('response.output_audio.delta')) {
      const bytes = Buffer.from(delta, 'base64')
      ear.push(new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)))
    }
    ear.push(new Int16Array(24_000))
    expect(heard.length).toBeGreaterThan(0)
    expect(said.split(/\s+/).length).toBeGreaterThanOrEqual(heard.length)
    expect(one.events.map((event) => event.type).filter((type) => ['input_audio_buffer.speech_started', 'input_audio_buffer.speech_stopped', 'input_audio_buffer.committed', 'response.created'].includes(type))).toEqual([
      'input_audio_buffer.speech_started', 'input_audio_buffer.speech_stopped', 'input_audio_buffer.committed', 'response.created',
    ])
    one.socket.close()
  })

  it('is charged for what was heard and said, and the ledger balances', async () => {
    const own = await town.business('Talking Shop')
    const one = await session(own.key)
    one.socket.send({ type: 'session.update', session: { type: 'realtime', instructions: 'The shop opens at nine.', audio: { input: { turn_detection: null } } } })
    await one.until('session.updated')
    const { pcm } = speak('When do you open?', { sampleRateHz: 24_000 })
    one.socket.send({ type: 'input_audio_buffer.append', audio: Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength).toString('base64') })
    one.socket.send({ type: 'input_audio_buffer.commit' })
    one.socket.send({ type: 'response.create' })
    await one.until('response.done')
    one.socket.close()
    const lines = "SELECT line->>'what' AS what, line->>'of' AS engine, (line->>'amount_micros')::bigint::text AS micros, (line->>'quantity')::int AS quantity FROM transfers, jsonb_array_elements(details->'lines') line WHERE tenant_id = $1 AND kind = 'settle' AND idempotency_key LIKE 'settle:realtime:%'"
    const charged = await town.until<{ what: string; engine: string; micros: string; quantity: number }>(lines, [own.tenantId], (rows) => ['output_tokens', 'stt_milliseconds', 'tts_characters'].every((what) => rows.some((row) => row.what === what)))
    for (const what of ['stt_milliseconds', 'tts_characters']) expect(BigInt(charged.find((row) => row.what === what)!.micros)).toBeGreaterThan(0n)
    expect(charged.find(({ what }) => what === 'stt_milliseconds')!.quantity).toBeGreaterThan(500)
    await town.until<{ held: string }>("SELECT balance_micros::text AS held FROM accounts WHERE tenant_id = $1 AND kind = 'held'", [own.tenantId], ([row]) => row!.held === '0')
    expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
  })

  it('an agent is a model: its prompt speaks', async () => {
    const number = await business.number({ type: 'webchat', prompt: { instructions: 'You are the night porter of the harbour.' }, number: { settings: { allowed_origins: ['https://shop.example.com'] } } })
    const one = await session(business.key, number.agentId)
    expect(one.events[0]).toMatchObject({ type: 'session.created', session: { instructions: 'You are the night porter of the harbour.' } })
    one.socket.close()
  })

  it('without credit nothing is asked of a model', async () => {
    const poor = await town.business('Poor Shop')
    const [wallet] = await town.rows<{ micros: string }>("SELECT balance_micros::text AS micros FROM accounts WHERE tenant_id = $1 AND kind = 'available'", [poor.tenantId])
    await town.db.system('ledger', (tx) => ledger.holdMany(tx, [{ tenantId: poor.tenantId, holdId: newId(), turnId: null, amountMicros: BigInt(wallet!.micros), idempotencyKey: 'everything', expiresAtMs: Date.now() + 600_000 }]))
    const [asked, heard] = [town.sandbox.journal.count({ target: 'openai.responses' }), town.sandbox.journal.count({ target: 'deepgram.listen' })]
    const one = await session(poor.key)
    one.socket.send({ type: 'session.update', session: { type: 'realtime', audio: { input: { transcription: { model: 'gpt-4o-transcribe' }, turn_detection: null } } } })
    one.socket.send({ type: 'input_audio_buffer.append', audio: Buffer.alloc(48_000).toString('base64') })
    one.socket.send({ type: 'input_audio_buffer.commit' })
    expect(await one.until('conversation.item.input_audio_transcription.failed')).toMatchObject({ error: { code: 'insufficient_credit' } })
    expect(town.sandbox.journal.count({ target: 'deepgram.listen' })).toBe(heard)
    one.socket.send(say('Hello'))
    one.socket.send({ type: 'response.create' })
    const done = await one.until('response.done')
    expect(done.response).toMatchObject({ status: 'failed', status_details: { error: { code: 'insufficient_credit' } } })
    expect(town.sandbox.journal.count({ target: 'openai.responses' })).toBe(asked)
    one.socket.close()
  })
})

type Knock = { status: number; body: Json }
/** What somebody hears who may not come in. */
const knock = (path: string, headers: Record<string, string>, protocols: string[] = []) =>
  new Promise<Knock>((resolve, reject) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, protocols, { headers })
    socket.on('open', () => reject(new Error('was let in')))
    socket.on('error', () => {})
    socket.on('unexpected-response', (_, response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }))
    })
  })

/** The first event of whoever comes in, and the sub-protocol that was agreed upon. */
const enter = (path: string, headers: Record<string, string>, protocols: string[] = []) =>
  new Promise<{ first: Json; protocol: string }>((resolve, reject) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, protocols, { headers })
    socket.once('message', (data) => {
      resolve({ first: JSON.parse((data as Buffer).toString()), protocol: socket.protocol })
      socket.close()
    })
    socket.on('error', reject)
  })

describe('a client secret', () => {
  const make = (body: unknown = {}, key = business.key): Promise<Json> => business.call('POST', '/v1/realtime/client_secrets', body, { as: key }).then((answer) => answer.body)
  const open = '/v1/realtime?model=gpt-realtime'

  it.each([
    ['as a bearer token', (value: string) => enter(open, { authorization: `Bearer ${value}` })],
    ['in the query', (value: string) => enter(`${open}&access_token=${value}`, {})],
    ['in the sub-protocol of a browser', (value: string) => enter(open, {}, ['realtime', `openai-insecure-api-key.${value}`])],
  ])('opens its session once, given %s', async (_, come) => {
    const { value, session: shown } = await make({ session: { type: 'realtime', model: 'gpt-realtime', instructions: 'Be brief.' } })
    const { first, protocol } = await come(value)
    expect(first).toMatchObject({ type: 'session.created', session: { id: shown.id, instructions: 'Be brief.' } })
    expect(protocol).not.toContain(value)
    const again = await knock(open, { authorization: `Bearer ${value}` })
    expect(again).toMatchObject({ status: 401, body: { error: { code: 'invalid_token', message: expect.stringContaining('used') } } })
    expect(JSON.stringify(again.body)).not.toContain(value)
  })

  it('is of one client, when two come with it at the same time', async () => {
    const { value } = await make()
    const ends = await Promise.allSettled([1, 2, 3].map(() => enter(open, { authorization: `Bearer ${value}` })))
    expect(ends.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected', 'rejected'])
  })

  it('of an agent has its prompt, and opens nothing else', async () => {
    const number = await business.number({ type: 'webchat', prompt: { instructions: 'You are the night porter.' }, number: { settings: { allowed_origins: ['https://shop.example.com'] } } })
    const made = () => make({ session: { type: 'realtime', model: number.agentId } })
    const other = await made()
    expect(await knock(open, { authorization: `Bearer ${other.value}` })).toMatchObject({ status: 403, body: { error: { code: 'permission_denied' } } })
    const { first } = await enter(`/v1/realtime?model=${number.agentId}`, { authorization: `Bearer ${(await made()).value}` })
    expect(first.session).toMatchObject({ model: number.agentId, instructions: 'You are the night porter.' })
  })

  it('of a key that was revoked meanwhile opens nothing', async () => {
    const key = await business.ok('POST', '/v1/admin/keys', { name: 'Short', scopes: ['realtime:write'] })
    const { value } = await make({}, key.key)
    await business.ok('DELETE', `/v1/admin/keys/${key.id}`)
    expect(await knock(open, { authorization: `Bearer ${value}` })).toMatchObject({ status: 401, body: { error: { code: 'invalid_token' } } })
  })

  it('in the shape of before GA, and for a transcription, is one too', async () => {
    const flat = await business.ok('POST', '/v1/realtime/sessions', { model: 'gpt-realtime', voice: 'coral', modalities: ['text', 'audio'] })
    expect(flat).toMatchObject({ object: 'realtime.session', voice: 'coral', client_secret: { value: expect.stringMatching(/^ek_/) } })
    expect((await enter(open, { authorization: `Bearer ${flat.client_secret.value}` })).first.session).toMatchObject({ audio: { output: { voice: 'coral' } } })
    const writing = await business.ok('POST', '/v1/realtime/transcription_sessions', {})
    expect((await enter('/v1/realtime?intent=transcription', { authorization: `Bearer ${writing.client_secret.value}` })).first).toMatchObject({ session: { type: 'transcription' } })
  })

  it('the official client makes one', async () => {
    const client = new OpenAI({ apiKey: business.key, baseURL: `${town.apiUrl}/v1` })
    const made = await client.realtime.clientSecrets.create({ expires_after: { anchor: 'created_at', seconds: 30 }, session: { type: 'realtime', model: 'gpt-realtime' } })
    expect(made.expires_at - Date.now() / 1_000).toBeLessThanOrEqual(30)
    expect((await enter(open, { authorization: `Bearer ${made.value}` })).first.type).toBe('session.created')
  })

  it.each([
    ['a life of an hour', { expires_after: { anchor: 'created_at', seconds: 3_600 } }, 400, 'body.expires_after.seconds'],
    ['no session at all', { session: { type: 'chat' } }, 400, 'body.session.type'],
    ['an agent of nobody', { session: { type: 'realtime', model: '01a00000-0000-7000-8000-000000000000' } }, 404, 'body.session.model'],
  ])('for %s is not made', async (_, body, status, param) => {
    expect(await business.call('POST', '/v1/realtime/client_secrets', body)).toMatchObject({ status, body: { error: { param } } })
  })
})

describe('at the door', () => {
  it.each([
    ['no credential', '/v1/realtime?model=x', () => ({}), 401],
    ['a key without the scope', '/v1/realtime?model=x', () => ({ authorization: `Bearer ${writer}` }), 403],
    ['a secret that never was', '/v1/realtime?model=x', () => ({ authorization: `Bearer ek_${'0'.repeat(40)}` }), 401],
    ['what looks like a secret', '/v1/realtime?model=x', () => ({ authorization: 'Bearer ek_short' }), 401],
    ['a forged key', '/v1/realtime?model=x', () => ({ authorization: `Bearer ${business.key.slice(0, -4)}zzzz` }), 401],
    ['neither model nor intent', '/v1/realtime', () => ({ authorization: `Bearer ${business.key}` }), 400],
    ['an agent of nobody', '/v1/realtime?model=01a00000-0000-7000-8000-000000000000', () => ({ authorization: `Bearer ${business.key}` }), 404],
    ['another path', '/v1/other?model=x', () => ({ authorization: `Bearer ${business.key}` }), 404],
  ])('%s is refused over HTTP in our error shape', async (_, path, headers, status) => {
    const answer = await knock(path, headers())
    expect(answer.status).toBe(status)
    expect(answer.body.error).toMatchObject({ type: expect.any(String), code: expect.any(String), message: expect.any(String) })
  })

  it("another tenant's agent is no model", async () => {
    const number = await business.number({ type: 'webchat', number: { settings: { allowed_origins: ['https://shop.example.com'] } } })
    const stranger = await town.business('Stranger')
    expect((await knock(`/v1/realtime?model=${number.agentId}`, { authorization: `Bearer ${stranger.key}` })).status).toBe(404)
  })
})
