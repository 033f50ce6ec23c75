import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Sandbox } from '../index.ts'
import { startSandbox, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN } from '../index.ts'
import { readWav, toMulaw } from '../speech/sound.ts'
import { speak } from '../speech/voice.ts'

/** The control API over HTTP, with the smallest server that can be called. */

let sandbox: Sandbox
let voiceUrl: string
let mediaUrl: string
let twiml: string
let sockets: WebSocket[]
const closers: (() => void)[] = []

beforeAll(async () => {
  sandbox = await startSandbox()
  const media = new WebSocketServer({ noServer: true })
  const server = createServer((_request, response) => void response.writeHead(200, { 'content-type': 'text/xml' }).end(twiml))
  server.on('upgrade', (request, socket, head) => media.handleUpgrade(request, socket, head, (accepted) => void sockets.push(accepted)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  voiceUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/voice`
  mediaUrl = voiceUrl.replace('http', 'ws').replace('/voice', '/media')
  closers.push(() => {
    for (const client of media.clients) client.terminate()
    server.closeAllConnections()
    server.close()
  })
})
afterEach(() => sandbox.reset())
afterAll(async () => {
  await sandbox.close()
  for (const close of closers) close()
})

const call = async (method: string, path: string, body?: unknown) => {
  const answer = await fetch(sandbox.url + path, { method, headers: body === undefined ? {} : { 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) })
  const type = answer.headers.get('content-type') ?? ''
  return { status: answer.status, headers: answer.headers, json: (type.includes('json') ? await answer.json() : null) as Record<string, never> & { id: string; error: { message: string; param: string } }, bytes: type.includes('json') ? null : Buffer.from(await answer.arrayBuffer()) }
}
const connect = () => `<Response><Connect><Stream url="${mediaUrl}"/></Connect></Response>`
const ready = async (document = connect()) => {
  sockets = []
  twiml = document
  await call('POST', '/sandbox/carriers/twilio/numbers', { number: '+15005550006', voice_url: voiceUrl })
}
const wait = (id: string, kind: string) => call('GET', `/sandbox/carriers/twilio/calls/${id}/wait?kind=${kind}`)

describe('a phone that is used over HTTP', () => {
  it('rings a number, says recorded sound, presses, and leaves the sound of both sides behind', async () => {
    await ready()
    const audio = toMulaw(speak('open the door', { sampleRateHz: 8_000 }).pcm).toString('base64')
    const { status, json } = await call('POST', '/sandbox/carriers/twilio/calls', { from: '+14155550100', to: '+15005550006', says: [{ audio, encoding: 'mulaw' }, { silence_ms: 40 }] })
    expect(status).toBe(201)
    const path = `/sandbox/carriers/twilio/calls/${json.id}`
    expect((await wait(json.id, 'person.silent')).status).toBe(200)
    expect((await call('POST', `${path}/press`, { digits: '5' })).status).toBe(204)
    expect((await wait(json.id, 'person.pressed')).json).toMatchObject({ text: '5' })
    expect((await call('POST', `${path}/network`, { delay_ms: 40, loss: 0.1 })).json).toMatchObject({ delay_ms: 40, loss: 0.1, reorder: 0 })
    expect((await call('POST', `${path}/say`, { says: [{ text: 'and now' }] })).status).toBe(204)
    expect((await call('POST', `${path}/hush`)).status).toBe(204)
    expect((await call('POST', `${path}/hang_up`)).status).toBe(204)
    const ended = await call('GET', path)
    expect(ended.json).toMatchObject({ state: 'ended', end_reason: 'completed', ended_by: 'person', direction: 'inbound' })
    const { bytes, headers } = await call('GET', `${path}/audio`)
    expect(Math.abs(Date.parse(headers.get('x-answered-at')!) - Date.now())).toBeLessThan(30_000)
    expect(bytes!.readUInt16LE(22)).toBe(2)
    expect(readWav(bytes!)!.pcm.some((sample) => Math.abs(sample) > 3_000)).toBe(true)
    expect((await call('GET', '/sandbox/carriers/twilio/calls')).json).toMatchObject({ data: [{ id: json.id }] })
  })

  it('loses its socket, and is read slowly', async () => {
    await ready(`<Response><Connect><Stream url="${mediaUrl}"/></Connect><Connect><Stream url="${mediaUrl}"/></Connect></Response>`)
    const { json } = await call('POST', '/sandbox/carriers/twilio/calls', { from: '+14155550100', to: '+15005550006' })
    await wait(json.id, 'media.connected')
    expect((await call('POST', `/sandbox/carriers/twilio/calls/${json.id}/stall`, { ms: 50 })).status).toBe(204)
    expect((await call('POST', `/sandbox/carriers/twilio/calls/${json.id}/drop_socket`)).status).toBe(204)
    expect((await call('GET', `/sandbox/carriers/twilio/calls/${json.id}/wait?kind=media.connected&from=1`)).status).toBe(200)
    expect(sockets).toHaveLength(2)
  })

  it('is refused by name', async () => {
    await ready()
    const cases: [string, string, unknown, number, RegExp][] = [
      ['POST', '/sandbox/carriers/twilio/calls', { from: '+1', to: '+15005550999' }, 404, /No number \+15005550999/],
      ['POST', '/sandbox/carriers/twilio/calls', { from: '+1' }, 400, /body\.to/],
      ['POST', '/sandbox/carriers/twilio/calls', { from: '+1', to: '+15005550006', says: [{ shout: 1 }] }, 400, /body\.says/],
      ['POST', '/sandbox/carriers/pigeon/calls', { from: '+1', to: '+2' }, 404, /no carrier pigeon/],
      ['GET', '/sandbox/carriers/twilio/calls/CA0', undefined, 404, /no call CA0/],
      ['POST', '/sandbox/carriers/twilio/numbers', { number: 'x' }, 400, /body\.number: E\.164/],
      ['POST', '/sandbox/carriers/telnyx/numbers', { number: '+15005550007', codec: 'G722' }, 400, /body\.codec/],
      ['POST', '/sandbox/carriers/people', { number: '+15005550007', does: 'sing' }, 400, /body\.does/],
    ]
    for (const [method, path, body, status, message] of cases) {
      const answer = await call(method, path, body)
      expect([answer.status, answer.json.error.message]).toEqual([status, expect.stringMatching(message)])
    }
    const { json } = await call('POST', '/sandbox/carriers/twilio/calls', { from: '+14155550100', to: '+15005550006' })
    await wait(json.id, 'media.connected')
    for (const [path, body] of [['press', { digits: 'x' }], ['stall', { ms: -1 }], ['say', { says: [] }], ['network', { loss: 2 }], ['say', { says: [{ audio: 'AAAA' }] }]] as const) expect((await call('POST', `/sandbox/carriers/twilio/calls/${json.id}/${path}`, body)).status, path).toBe(400)
    expect((await call('GET', `/sandbox/carriers/telnyx/calls/${json.id}`)).status).toBe(404)
    expect((await call('GET', `/sandbox/carriers/twilio/calls/${json.id}/wait?kind=never&timeout_ms=5`)).status).toBe(408)
  })
})

describe('documents that a carrier cannot carry out', () => {
  it.each([
    ['nothing', '', '12100'],
    ['no XML', 'hello', '12100'],
    ['another root', '<Reply/>', '12200'],
    ['an unknown verb', '<Response><Teleport/></Response>', '12200'],
    ['a stream with nothing in it', '<Response><Connect/></Response>', '12200'],
  ])('end the call, and say why: %s', async (_name, document, code) => {
    await ready(document)
    sandbox.carriers.twilio.ring({ from: '+14155550100', to: '+15005550006' })
    expect(await sandbox.waitFor(({ target }) => target === 'twilio.debugger')).toMatchObject({ kind: code })
    expect(sandbox.carriers.twilio.calls()[0]!.state()).toBe('ended')
  })
  it('open no stream to an address with a query: Twilio’s error 31920', async () => {
    await ready(`<Response><Connect><Stream url="${mediaUrl}?token=1"/></Connect><Say>no</Say></Response>`)
    sandbox.carriers.twilio.ring({ from: '+14155550100', to: '+15005550006' })
    expect(await sandbox.waitFor(({ target }) => target === 'twilio.media')).toMatchObject({ outcome: 'refused', kind: expect.stringContaining('31920') as string })
  })
})

describe('Twilio on the wire', () => {
  it('says exactly what its documents say, and hears only its own three messages', async () => {
    await ready(`<Response><Connect><Stream url="${mediaUrl}"><Parameter name="a" value="b"/></Stream></Connect></Response>`)
    const phone = sandbox.carriers.twilio.ring({ from: '+14155550100', to: '+15005550006' })
    await phone.waitFor('media.connected')
    const [socket] = sockets
    const texts: string[] = []
    await new Promise<void>((resolve) => socket!.on('message', (data: Buffer) => void (texts.push(data.toString()) >= 4 && resolve())))
    const [connected, start, media] = texts.map((text) => JSON.parse(text) as Record<string, Record<string, unknown>>)
    expect(connected).toEqual({ event: 'connected', protocol: 'Call', version: '1.0.0' })
    const streamSid = start!.streamSid as unknown as string
    expect(start).toEqual({ event: 'start', sequenceNumber: '1', streamSid, start: { accountSid: TWILIO_ACCOUNT_SID, callSid: phone.id, streamSid, tracks: ['inbound'], mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 }, customParameters: { a: 'b' } } })
    expect(media).toEqual({ event: 'media', sequenceNumber: '2', streamSid, media: { track: 'inbound', chunk: '1', timestamp: '0', payload: Buffer.alloc(160, 0xff).toString('base64') } })
    for (const text of ['{', '[]', '{"event":"media"}', JSON.stringify({ event: 'media', streamSid, media: { payload: '!' } }), JSON.stringify({ event: 'mark', streamSid, mark: {} }), JSON.stringify({ event: 'stop', streamSid })]) socket!.send(text)
    socket!.send(JSON.stringify({ event: 'mark', streamSid, mark: { name: 'here' } }))
    await phone.waitFor('mark.played')
    expect(phone.streams()[0]!.stats.faults).toBe(6)
  })

  it('lets nobody in with a wrong password', async () => {
    const at = (token: string) => fetch(`${sandbox.url}/twilio/2010-04-01/Accounts/${TWILIO_ACCOUNT_SID}.json`, { headers: { authorization: `Basic ${Buffer.from(`${TWILIO_ACCOUNT_SID}:${token}`).toString('base64')}` } })
    expect((await at(TWILIO_AUTH_TOKEN)).status).toBe(200)
    const refused = await at('wrong')
    expect([refused.status, await refused.json()]).toMatchObject([401, { code: 20003, status: 401, more_info: expect.any(String) as string }])
  })
})
