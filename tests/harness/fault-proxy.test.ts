import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startFaultProxy, type FaultProxy } from './fault-proxy.ts'

/** Answers every chunk with the same chunk, and counts what it was told. */
let echo: Server
let heard: string
let proxy: FaultProxy
const sockets: Socket[] = []

beforeEach(async () => {
  heard = ''
  echo = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      heard += chunk.toString()
      echo.emit('heard')
      socket.write(chunk)
    })
  }).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  proxy = await startFaultProxy({ port: (echo.address() as AddressInfo).port })
})

afterEach(async () => {
  sockets.splice(0).forEach((socket) => socket.destroy())
  await proxy.close()
  echo.close()
})

async function dial(): Promise<Socket> {
  const socket = connect({ port: proxy.port, host: '127.0.0.1' })
  sockets.push(socket)
  await once(socket, 'connect')
  return socket
}

/** Resolves with the first `length` bytes; rejects when the connection breaks first. */
async function read(socket: Socket, length: number): Promise<string> {
  let text = ''
  while (text.length < length) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    text += chunk.toString()
  }
  return text
}

async function brokenWith(socket: Socket): Promise<string> {
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  return error.code ?? error.message
}

describe('the fault proxy', () => {
  it('passes bytes unchanged in both directions when no fault is set', async () => {
    const socket = await dial()
    const megabyte = 'x'.repeat(1024 * 1024)
    socket.write(megabyte)
    expect(await read(socket, megabyte.length)).toBe(megabyte)
  })

  it('passes on that one side has finished speaking, and still lets the other answer', async () => {
    const late = createServer({ allowHalfOpen: true }, (socket) => {
      socket.resume()
      socket.once('end', () => socket.end('the last word'))
    }).listen(0, '127.0.0.1')
    await once(late, 'listening')
    const between = await startFaultProxy({ port: (late.address() as AddressInfo).port })
    const socket = connect({ port: between.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.end('the question')
    expect(await read(socket, 13)).toBe('the last word')
    await once(socket, 'close')
    await between.close()
    late.close()
  })

  it('delays what is sent, in order, and counts both ways', async () => {
    const socket = await dial()
    proxy.set({ latencyMs: 50 })
    const sentAt = performance.now()
    socket.write('a')
    setImmediate(() => socket.write('b'))
    expect(await read(socket, 2)).toBe('ab')
    // A lower bound only: a slow machine cannot break it. Timers may fire a millisecond early.
    expect(performance.now() - sentAt).toBeGreaterThan(95)
  })

  it('throttles to the given rate', async () => {
    const socket = await dial()
    proxy.set({ bytesPerSecond: 10_000 })
    const sentAt = performance.now()
    socket.write('x'.repeat(1_000))
    await read(socket, 1_000)
    expect(performance.now() - sentAt).toBeGreaterThan(190)
  })

  it('resets after exactly that many bytes', async () => {
    const socket = await dial()
    proxy.set({ resetAfterBytes: 4 })
    const broken = brokenWith(socket)
    const upstreamGone = once(echo, 'heard')
    socket.write('0123456789')
    expect(await broken).toBe('ECONNRESET')
    await upstreamGone
    expect(heard).toBe('0123')
  })

  it('lets the peer hear the question and loses the answer when half-open', async () => {
    const socket = await dial()
    proxy.set({ halfOpen: true })
    const arrived = once(echo, 'heard')
    socket.write('charge me')
    await arrived
    expect(heard).toBe('charge me')
    await expect.poll(() => proxy.swallowedBytes()).toBe('charge me'.length)
    proxy.set({})
    socket.write('!')
    // Had the first answer been delivered late, it would come before this one.
    expect(await read(socket, 1)).toBe('!')
  })

  it('swallows everything as a black hole, keeps the connection, and heals', async () => {
    const socket = await dial()
    proxy.set({ blackHole: true })
    socket.write('lost')
    await expect.poll(() => proxy.swallowedBytes()).toBe(4)
    proxy.set({})
    socket.write('found')
    expect(await read(socket, 5)).toBe('found')
    expect(heard).toBe('found')
  })

  it('refuses new connections and leaves the open ones alone', async () => {
    const open = await dial()
    proxy.set({ refuse: true })
    const refused = connect({ port: proxy.port, host: '127.0.0.1' })
    expect(await brokenWith(refused)).toBe('ECONNRESET')
    open.write('still here')
    expect(await read(open, 10)).toBe('still here')
  })

  it('cuts every open connection at once', async () => {
    const [one, two] = await Promise.all([dial(), dial()])
    await expect.poll(() => proxy.connections()).toBe(2)
    const broken = Promise.all([brokenWith(one), brokenWith(two)])
    proxy.cutAll()
    expect(await broken).toEqual(['ECONNRESET', 'ECONNRESET'])
    expect(proxy.connections()).toBe(0)
  })

  it('gives the client an error when nothing listens behind it', async () => {
    const dead = await startFaultProxy({ port: proxy.port })
    await proxy.close()
    const socket = connect({ port: dead.port, host: '127.0.0.1' })
    expect(await brokenWith(socket)).toBe('ECONNRESET')
    await dead.close()
  })
})
