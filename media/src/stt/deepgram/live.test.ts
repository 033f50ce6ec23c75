import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { deepgramStt } from './index.ts'

const [FRAME, LOUD, QUIET] = [160, 3_000, 0]
let server: WebSocketServer

beforeAll(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
})
afterAll(() => {
  for (const client of server.clients) client.terminate()
  server.close()
})

/** What the supplier gets of these frames (20 ms, loud or quiet), and then of a Finalize: messages of sound, in samples. */
async function sent(frames: readonly boolean[]): Promise<Int16Array[]> {
  const connected = once(server, 'connection') as Promise<[WebSocket]>
  const stop = new AbortController()
  const stream = deepgramStt({ apiKey: 'k', baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }).open({ sampleRateHz: 8_000, language: 'en', keyterms: [], signal: stop.signal })
  const [socket] = await connected
  const messages: Int16Array[] = []
  const finalized = new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer, isBinary) => (isBinary ? messages.push(new Int16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length))) : resolve()))
  })
  // Pushed from here on, nothing waits for the socket.
  socket.ping()
  await once(socket, 'pong')
  frames.forEach((isLoud, at) => stream.push(new Int16Array(FRAME).fill(isLoud ? LOUD + at : QUIET)))
  stream.finish()
  await finalized
  stop.abort()
  socket.terminate()
  return messages
}

const lengths = (messages: readonly Int16Array[]) => messages.map((message) => message.length / FRAME)

describe('sound on its way to Deepgram', () => {
  it('goes frame by frame while somebody speaks, and in the pause after', async () => {
    expect(lengths(await sent([...Array<boolean>(20).fill(true), ...Array<boolean>(50).fill(false)]))).toEqual(Array(70).fill(1))
  })

  it('rests in a long silence, and does not let a word wait', async () => {
    const found = lengths(await sent([true, ...Array<boolean>(50).fill(false), ...Array<boolean>(14).fill(false), true, true]))
    expect(found.slice(0, 51)).toEqual(Array(51).fill(1))
    expect(found.slice(51)).toEqual([6, 6, 3, 1])
  })

  it('is the same sound, whatever its portions', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 80 })), { minLength: 1, maxLength: 5 }), async (parts) => {
        const frames = parts.flatMap(([isLoud, count]) => Array<boolean>(count).fill(isLoud))
        const heard = (await sent(frames)).flatMap((message) => [...message])
        expect(heard).toEqual(frames.flatMap((isLoud, at) => Array<number>(FRAME).fill(isLoud ? LOUD + at : QUIET)))
      }),
      { numRuns: 15 },
    )
  })
})
