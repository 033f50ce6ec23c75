import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { carriers } from '@trunkline/channels'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { CarrierLine, type LineEnd } from './line.ts'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

type Opened = { carrier: WebSocket; line: CarrierLine; ended: Promise<LineEnd>; closed: Promise<number>; started: Promise<CarrierLine> }

/** A carrier's socket and our end of it, over the network. */
async function open(): Promise<Opened> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const carrier = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  carrier.on('error', () => {})
  closers.push(() => carrier.terminate(), () => server.close())
  const [socket] = (await once(server, 'connection')) as [WebSocket]
  const ended = Promise.withResolvers<LineEnd>()
  const started = Promise.withResolvers<CarrierLine>()
  const line = new CarrierLine(socket, carriers.twilio.mediaWire({ credentials: {}, settings: {} }), { started: started.resolve, frame: () => {}, mark: () => {}, digit: () => {}, ended: ended.resolve })
  if (carrier.readyState !== WebSocket.OPEN) await once(carrier, 'open')
  return { carrier, line, ended: ended.promise, started: started.promise, closed: new Promise((resolve) => carrier.once('close', resolve)) }
}

const START = JSON.stringify({ event: 'start', sequenceNumber: '1', streamSid: 'MZ1', start: { streamSid: 'MZ1', callSid: 'CA1', mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8_000, channels: 1 } } })
const media = (frame: number): string => JSON.stringify({ event: 'media', sequenceNumber: String(frame + 2), streamSid: 'MZ1', media: { track: 'inbound', chunk: String(frame + 1), timestamp: String(frame * 20), payload: Buffer.alloc(160, 0xff).toString('base64') } })

describe("a carrier's line", () => {
  it('lets go of a carrier that does not read, before its sound fills the memory', async () => {
    const { carrier, line, started, ended } = await open()
    carrier.send(START)
    await started
    carrier.pause()
    const frame = new Int16Array(160)
    // As long as an hour of speech; nobody gets to write it out in between.
    for (let sent = 0; sent < 180_000; sent++) line.send(frame)
    expect(await ended).toBe('slow_reader')
  })

  it('takes what a network held back for twenty seconds at once, and cuts off what no network holds back', async () => {
    const { carrier, started, ended, closed } = await open()
    carrier.send(START)
    await started
    for (let frame = 0; frame < 1_000; frame++) carrier.send(media(frame))
    const ponged = once(carrier, 'pong')
    carrier.ping()
    await ponged
    expect(carrier.readyState).toBe(WebSocket.OPEN)
    for (let frame = 1_000; frame < 3_000; frame++) carrier.send(media(frame))
    expect(await ended).toBe('flood')
    expect([1006, 1008]).toContain(await closed)
  })

  it('gives up what it cannot read, and says that this is why', async () => {
    const { carrier, ended, closed } = await open()
    for (let count = 0; count < 60; count++) carrier.send('{"event":')
    expect(await ended).toBe('bad_frames')
    expect(await closed).toBe(1008)
  })

  it('passes over single frames that it cannot read', async () => {
    const { carrier, started, ended } = await open()
    carrier.send(START)
    await started
    for (let count = 0; count < 200; count++) carrier.send(count % 2 === 0 ? '{"event":' : media(count))
    carrier.send(JSON.stringify({ event: 'stop', sequenceNumber: '9', streamSid: 'MZ1', stop: {} }))
    expect(await ended).toBe('stopped')
  })
})
