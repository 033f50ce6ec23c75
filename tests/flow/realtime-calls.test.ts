import { Ear as WordEar, speak } from '@trunkline/app-sandbox'
import { composeVoice, readEnv, type Voice } from '@trunkline/app-voice'
import { silentLogger } from '@trunkline/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Caller, findWorker } from '../../media/src/plane/webrtc/testing.ts'
import { freePort } from '../harness/processes.ts'
import type { Business, Json } from './business.ts'
import { dialRealtime } from './realtime-client.ts'
import { openTown, type Town } from './town.ts'

// A browser calls: SDP over the API's address, sound as RTP, events over `oai-events`. The peer is werift.

const worker = findWorker()
const title = worker.path === null ? `a call over WebRTC (skipped: ${worker.reason})` : 'a call over WebRTC'

let town: Town
let business: Business
let voice: Voice
let bare: Voice
let bareUrl: string
const callers: Caller[] = []
beforeAll(async () => {
  const port = await freePort()
  town = await openTown({ settings: { VOICE_URL: `http://127.0.0.1:${port}` } })
  business = await town.business()
  const environment = { ...town.environment, DEEPGRAM_API_KEY: 'sandbox', DEEPGRAM_BASE_URL: `${town.sandbox.url}/deepgram` }
  voice = await composeVoice(readEnv({ ...environment, VOICE_PORT: String(port), ...(worker.path === null ? {} : { MEDIASOUP_WORKER_BIN: worker.path }) }), silentLogger)
  await voice.listen()
  bare = await composeVoice(readEnv({ ...environment, VOICE_PORT: '0' }), silentLogger)
  bareUrl = await bare.listen()
})
afterEach(async () => {
  await Promise.all(callers.splice(0).map((caller) => caller.close()))
})
afterAll(async () => {
  await Promise.all([voice?.close(), bare?.close()])
  await town?.close()
})

type Body = { body: string | FormData; type?: string }
const post = (path: string, key: string, { body, type }: Body, base = town.apiUrl) =>
  fetch(`${base}${path}`, { method: 'POST', headers: { authorization: `Bearer ${key}`, ...(type === undefined ? {} : { 'content-type': type }) }, body })
const secretFor = async (session: object = {}): Promise<string> => (await business.ok('POST', '/v1/realtime/client_secrets', { session: { type: 'realtime', ...session } })).value

async function keyOfOtherProject(): Promise<string> {
  const as = { as: business.ownerToken }
  const project = await business.call('POST', '/v1/admin/projects', { name: `Elsewhere ${callers.length}`, environment: 'development' }, as)
  const key = await business.call('POST', '/v1/admin/keys', { name: 'Elsewhere', project_id: project.body.id, scopes: ['realtime:write'] }, as)
  expect([project.status, key.status]).toEqual([201, 201])
  return key.body.key
}

/** As a server asks: the offer with its session. */
function sessionForm(offer: string, session: object): FormData {
  const body = new FormData()
  body.set('sdp', offer)
  body.set('session', JSON.stringify({ type: 'realtime', ...session }))
  return body
}

/** Rings, and is through to the events. */
async function ring(make: (offer: string) => Promise<Response>, codec: 'opus' | 'pcmu' = 'opus') {
  const caller = await Caller.create(codec)
  callers.push(caller)
  const channel = caller.openChannel('oai-events')
  const events: Json[] = []
  let look = () => {}
  channel.onMessage.subscribe((data) => {
    events.push(JSON.parse(data.toString()))
    look()
  })
  const until = (fits: (event: Json) => boolean) =>
    new Promise<Json>((resolve) => {
      look = () => {
        const found = events.find(fits)
        if (found) resolve(found)
      }
      look()
    })
  const answer = await make(await caller.offer())
  expect(answer.status).toBe(201)
  await caller.accept(await answer.text())
  await until(({ type }) => type === 'session.created')
  const words: string[] = []
  const ear = new WordEar(caller.rateHz, (sound) => void (sound.text !== null && words.push(sound.text)))
  caller.onHeard = (pcm) => ear.push(pcm.slice())
  return { caller, events, until, words, location: answer.headers.get('location')!, send: (event: object) => channel.send(JSON.stringify(event)), channel }
}

const say = (text: string) => ({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] } })
const typeIs = (type: string) => (event: Json) => event.type === type

describe('without a media worker', () => {
  it('a call is refused, and it is said what is missing', async () => {
    const answer = await post('/v1/realtime/calls', await secretFor(), { body: 'v=0', type: 'application/sdp' }, bareUrl)
    expect(answer.status).toBe(503)
    expect(await answer.json()).toMatchObject({ error: { code: 'unavailable', message: expect.stringContaining('MEDIASOUP_WORKER_BIN') } })
  })
})

describe.skipIf(worker.path === null)(title, { timeout: 40_000 }, () => {
  it.each(['opus', 'pcmu'] as const)('speaks and is spoken to in %s, with a client secret', async (codec) => {
    const secret = await secretFor({ instructions: 'The shop opens at nine.', audio: { input: { turn_detection: { type: 'server_vad', silence_duration_ms: 300 } } } })
    const call = await ring((offer) => post('/v1/realtime/calls', secret, { body: offer, type: 'application/sdp' }), codec)
    expect(call.events[0]).toMatchObject({ type: 'session.created', session: { instructions: 'The shop opens at nine.' } })
    expect(call.location).toMatch(/^\/v1\/realtime\/calls\/rtc_/)
    call.caller.play(speak('When do you open?', { sampleRateHz: call.caller.rateHz }).pcm)
    const done = await call.until(typeIs('response.done'))
    expect(done.response.status).toBe('completed')
    await call.until(typeIs('output_audio_buffer.stopped'))
    const types = call.events.map(({ type }) => type)
    expect(types).not.toContain('response.output_audio.delta')
    expect(types.filter((type) => /speech_st|committed|^output_audio_buffer/.test(type))).toEqual(['input_audio_buffer.speech_started', 'input_audio_buffer.speech_stopped', 'input_audio_buffer.committed', 'output_audio_buffer.started', 'output_audio_buffer.stopped'])
    expect(call.words.length).toBeGreaterThan(0)
    const again = await post('/v1/realtime/calls', secret, { body: await call.caller.offer(), type: 'application/sdp' })
    expect(again.status).toBe(401)
  })

  it('takes an API key with the session in a form, and ends with a hang-up from outside', async () => {
    const call = await ring((offer) => post('/v1/realtime/calls', business.key, { body: sessionForm(offer, { model: 'gpt-realtime', output_modalities: ['text'], instructions: 'Write.' }) }))
    expect(call.events[0]).toMatchObject({ session: { output_modalities: ['text'], instructions: 'Write.' } })
    call.send(say('When do you open?'))
    call.send({ type: 'response.create' })
    expect((await call.until(typeIs('response.done'))).response.status).toBe('completed')
    const stranger = await town.business('Stranger')
    expect((await post(`${call.location}/hangup`, stranger.key, { body: '' })).status).toBe(404)
    expect((await post(`${call.location}/hangup`, business.key, { body: '' })).status).toBe(200)
    expect((await post(`${call.location}/hangup`, business.key, { body: '' })).status).toBe(404)
  })

  it('that is interrupted falls silent, and the history keeps what was heard and no more', async () => {
    const secret = await secretFor({ instructions: 'Tell everything about the harbour, at length.', audio: { input: { turn_detection: { type: 'server_vad', silence_duration_ms: 300 } } } })
    town.sandbox.faults.add({ target: 'openai.responses', times: 1, action: { text: Array.from({ length: 60 }, (_, at) => `Boat number ${at} lies in the harbour.`).join(' ') } })
    const call = await ring((offer) => post('/v1/realtime/calls', secret, { body: offer, type: 'application/sdp' }))
    call.send(say('Tell me.'))
    call.send({ type: 'response.create' })
    await call.until(typeIs('output_audio_buffer.started'))
    await expect.poll(() => call.words.length, { timeout: 20_000 }).toBeGreaterThan(1)
    call.caller.play(speak('Stop it now please', { sampleRateHz: call.caller.rateHz }).pcm)
    const cut = await call.until(typeIs('conversation.item.truncated'))
    expect(cut.audio_end_ms).toBeGreaterThan(500)
    await call.until(typeIs('output_audio_buffer.cleared'))
    call.send({ type: 'conversation.item.retrieve', item_id: cut.item_id })
    const { item } = await call.until(typeIs('conversation.item.retrieved'))
    expect(item.content[0].transcript).toBeNull()
  })

  it('is cleared by its client, and refuses what is no offer', async () => {
    const call = await ring((offer) => post('/v1/realtime/calls', business.key, { body: offer, type: 'application/sdp' }))
    town.sandbox.faults.add({ target: 'openai.responses', times: 1, action: { text: Array.from({ length: 60 }, (_, at) => `Boat number ${at} lies in the harbour.`).join(' ') } })
    call.send(say('Tell me.'))
    call.send({ type: 'response.create' })
    await call.until(typeIs('output_audio_buffer.started'))
    call.send({ type: 'output_audio_buffer.clear' })
    await call.until(typeIs('output_audio_buffer.cleared'))
    for (const [body, type, status] of [['v=0', 'application/sdp', 400], ['{}', 'application/json', 415], ['x', 'multipart/form-data; boundary=y', 400]] as const)
      expect((await post('/v1/realtime/calls', business.key, { body, type })).status).toBe(status)
  })

  it('falls silent when its model does in mid-sentence, and another says all of it', async () => {
    const number = await business.number({ type: 'webchat', prompt: { fallback: { vendor: 'anthropic', model: 'claude-haiku-4-5' } }, number: { settings: { allowed_origins: ['https://shop.example.com'] } } })
    const call = await ring((offer) => post('/v1/realtime/calls', business.key, { body: sessionForm(offer, { model: number.agentId }) }))
    town.sandbox.faults.add({ target: 'openai.responses', times: 1, action: { text: Array.from({ length: 60 }, (_, at) => `Boat number ${at} lies in the harbour.`).join(' '), stallStreamAfterEvents: 40 } })
    town.sandbox.faults.add({ target: 'anthropic.messages', times: 1, action: { text: 'We open at nine and close at six.' } })
    call.send(say('When do you open?'))
    call.send({ type: 'response.create' })
    const { response } = await call.until(typeIs('response.done'))
    const [first, second] = response.output
    expect([first.status, second.status, second.content[0].transcript]).toEqual(['incomplete', 'completed', 'We open at nine and close at six.'])
    await call.until(typeIs('output_audio_buffer.stopped'))
    const order = call.events.filter(({ type }) => /^output_audio_buffer|deleted|truncated/.test(type)).map(({ type }) => type)
    expect(order).toEqual(['output_audio_buffer.started', 'output_audio_buffer.cleared', 'conversation.item.truncated', 'conversation.item.deleted', 'output_audio_buffer.started', 'output_audio_buffer.stopped'])
    await expect.poll(() => call.words.join(' '), { timeout: 10_000 }).toMatch(/Boat.*six/s)
  })

  describe('with servers beside it', () => {
    const beside = ({ location }: { location: string }, { key = business.key, url = town.apiUrl } = {}) => dialRealtime(url, key, `call_id=${location.split('/').at(-1)}`)
    const quiet = () => ring((offer) => post('/v1/realtime/calls', business.key, { body: offer, type: 'application/sdp' }))

    it('shows them what its client sees, and hears them', async () => {
      const call = await quiet()
      const aside = beside(call)
      const { session } = await aside.until('session.created')
      expect(session).toEqual(call.events[0].session)
      aside.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'], instructions: 'The shop opens at nine.' } })
      aside.send(say('When do you open?'))
      aside.send({ type: 'response.create' })
      const done = await aside.until('response.done')
      expect(done.response.status).toBe('completed')
      expect(await call.until(typeIs('response.done'))).toEqual(done)
      const from = aside.events.findIndex(typeIs('session.updated'))
      expect(aside.events.slice(from)).toEqual(call.events.slice(call.events.findIndex(typeIs('session.updated'))))
      aside.socket.close()
    })

    it('tells what is wrong to the one who sent it only', async () => {
      const call = await quiet()
      const aside = beside(call)
      await aside.until('session.created')
      aside.send({ type: 'nonsense', event_id: 'mine' })
      expect((await aside.until('error')).error.event_id).toBe('mine')
      call.send({ type: 'nonsense', event_id: 'its' })
      expect((await call.until(typeIs('error'))).error.event_id).toBe('its')
      call.send({ type: 'session.update', session: { type: 'realtime', instructions: 'Go on.' } })
      await aside.until('session.updated')
      expect([aside.of('error').length, call.events.filter(typeIs('error')).length]).toEqual([1, 1])
      aside.socket.close()
    })

    it('has three of them at most, and each may leave while it goes on', async () => {
      const call = await quiet()
      const asides = [1, 2, 3].map(() => beside(call))
      await Promise.all(asides.map((aside) => aside.until('session.created')))
      expect(await beside(call).refused).toMatchObject({ status: 429, body: { error: { code: 'rate_limited' } } })
      asides[0]!.socket.close()
      await asides[0]!.closed
      // Its process hears of it in its own time.
      await expect.poll(() => Promise.race([beside(call).until('session.created').then(() => 101), beside(call).refused.then(({ status }) => status)]), { timeout: 10_000 }).toBe(101)
      call.send({ type: 'session.update', session: { type: 'realtime', instructions: 'Still here.' } })
      expect((await asides[1]!.until('session.updated')).session.instructions).toBe('Still here.')
    })

    it('ends for them when it ends', async () => {
      const call = await quiet()
      const aside = beside(call)
      await aside.until('session.created')
      expect((await post(`${call.location}/hangup`, business.key, { body: '' })).status).toBe(200)
      expect((await aside.closed)[0]).toBe(1001)
      expect((await beside(call).refused).status).toBe(404)
    })

    it.each([
      ['another tenant', async () => ({ key: (await town.business('Stranger')).key }), 404],
      ['another project', async () => ({ key: await keyOfOtherProject() }), 404],
      ['a key that may not', async () => ({ key: (await business.ok('POST', '/v1/admin/keys', { name: 'Reader', scopes: ['realtime:read'] })).key }), 403],
      ['a client secret', async () => ({ key: await secretFor() }), 401],
      ['a call of nobody', async () => ({ location: 'calls/rtc_000000000000000000000000' }), 404],
      ['a process that does not have it', async () => ({ url: bareUrl }), 503],
    ])('refuses %s', async (_, wrong, status) => {
      const call = await quiet()
      const { location, ...by } = { location: call.location, ...(await wrong()) } as { location: string; key?: string; url?: string }
      const aside = beside({ location }, by)
      expect((await aside.refused).status).toBe(status)
      call.send({ type: 'session.update', session: { type: 'realtime', instructions: 'Secret.' } })
      await call.until(typeIs('session.updated'))
      expect(aside.events).toEqual([])
    })

    it('is a call: sessions over sockets are followed by nobody', async () => {
      const client = dialRealtime(town.apiUrl, business.key)
      const { session } = await client.until('session.created')
      expect((await dialRealtime(town.apiUrl, business.key, `call_id=${session.id}`).refused).status).toBe(404)
      client.socket.close()
    })
  })
})
