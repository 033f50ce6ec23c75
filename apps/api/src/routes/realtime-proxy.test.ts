import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createLog } from '@trunkline/telemetry'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { createWorld, TEST_CONFIG, type World } from '../../../../tests/isolation/world.ts'

const SECRET = `ek_${'5'.repeat(40)}`
let voice: Server
let asked: IncomingMessage[] = []
let sockets: WebSocketServer
let world: World
let address: string
const logged: string[] = []

beforeAll(async () => {
  sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => (offered.has('realtime') ? 'realtime' : false) })
  voice = createServer((request, response) => {
    asked.push(request)
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => response.writeHead(201, { 'content-type': 'application/sdp', location: '/v1/realtime/calls/rtc_1' }).end(`answer to ${text}`))
  })
  voice.on('upgrade', (request, stream: Socket, head) => {
    asked.push(request)
    if (request.url!.includes('refused')) return stream.end('HTTP/1.1 401 Refused\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}')
    sockets.handleUpgrade(request, stream, head, (socket) => socket.on('message', (data: Buffer) => socket.send(`heard ${data.toString()}`)))
  })
  await once(voice.listen(0, '127.0.0.1'), 'listening')
  const log = createLog({ level: 'debug', name: 'test', destination: { write: (line: string) => void logged.push(line) } })
  world = await createWorld({ log, config: { ...TEST_CONFIG, voiceUrl: `http://127.0.0.1:${(voice.address() as AddressInfo).port}` } })
  address = await world.app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await world?.close()
  voice?.close()
})
beforeEach(() => (asked = []))

const dial = (path: string, protocols: string[] = [], at = address) => new WebSocket(`${at.replace('http', 'ws')}${path}`, protocols)
async function refusal(socket: WebSocket): Promise<number> {
  socket.on('error', () => {})
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
  response.resume()
  return response.statusCode!
}

describe('the Realtime socket under the API\'s address', () => {
  it('passes bytes, sub-protocols and the query, and shows the key to nobody else', async () => {
    const socket = dial(`/v1/realtime?model=x&access_token=${SECRET}`, ['realtime', `openai-insecure-api-key.${SECRET}`])
    await once(socket, 'open')
    expect(socket.protocol).toBe('realtime')
    expect(asked[0]).toMatchObject({ url: `/v1/realtime?model=x&access_token=${SECRET}`, headers: { 'sec-websocket-protocol': `realtime,openai-insecure-api-key.${SECRET}` } })
    socket.send('you')
    const [heard] = (await once(socket, 'message')) as [Buffer]
    expect(heard.toString()).toBe('heard you')
    const far = [...sockets.clients][0]!
    socket.terminate()
    await once(far, 'close')
  })

  it('tells the close code and reason of the voice', async () => {
    const socket = dial('/v1/realtime?model=x')
    await once(socket, 'open')
    for (const client of sockets.clients) client.close(1001, 'the server goes away')
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
    expect([code, reason.toString()]).toEqual([1001, 'the server goes away'])
  })

  it('passes a refusal on', async () => {
    expect(await refusal(dial(`/v1/realtime?model=refused&access_token=${SECRET}`))).toBe(401)
  })

  it('is for WebSockets', async () => {
    expect((await world.call('GET', '/v1/realtime?model=x')).status).toBe(400)
  })

  it('passes an offer of WebRTC as it is, for pages of anybody', async () => {
    const answer = await fetch(`${address}/v1/realtime/calls`, { method: 'POST', headers: { 'content-type': 'application/sdp', authorization: `Bearer ${SECRET}`, origin: 'https://anybody.example.com' }, body: 'v=0' })
    expect([answer.status, answer.headers.get('location'), await answer.text()]).toEqual([201, '/v1/realtime/calls/rtc_1', 'answer to v=0'])
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    expect(asked[0]!.headers.authorization).toBe(`Bearer ${SECRET}`)
  })

  it('says what is missing where there are no voice processes, and that they are away when they are', async () => {
    for (const [config, message] of [[TEST_CONFIG, /VOICE_URL/], [{ ...TEST_CONFIG, voiceUrl: 'http://127.0.0.1:9' }, /do not answer/]] as const) {
      const alone = await createWorld({ config })
      const at = await alone.app.listen({ host: '127.0.0.1', port: 0 })
      expect(await refusal(dial('/v1/realtime?model=x', [], at))).toBe(503)
      const answer = await fetch(`${at}/v1/realtime/calls`, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: 'v=0' })
      expect(answer.status).toBe(503)
      expect(await answer.json()).toMatchObject({ error: { code: 'unavailable', message: expect.stringMatching(message) } })
      await alone.close()
    }
  })

  it('writes no credential to the log', () => {
    expect(logged.length).toBeGreaterThan(0)
    expect(logged.join('')).not.toContain(SECRET)
  })
})
