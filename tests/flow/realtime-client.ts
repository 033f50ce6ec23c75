import { WebSocket } from 'ws'
import { FrameClient } from '../harness/frames.ts'
import type { Json } from './business.ts'

/** An answer is sound by the second: a busy machine takes its time. */
const TIMEOUT_MS = 60_000

/** A client of the Realtime socket that knows nothing but the wire. Every event is kept, in order. */
export type RealtimeClient = {
  socket: WebSocket
  events: Json[]
  of(type: string): Json[]
  /** The nth event of a type, when it is there. */
  until(type: string, nth?: number): Promise<Json>
  send(event: object): void
  /** Code and reason. */
  closed: Promise<[number, Buffer]>
  /** What it heard over HTTP instead of a socket. */
  refused: Promise<{ status: number; retryAfter: string | undefined; body: Json }>
}

/** `url`: of a voice, `http` or `ws`. */
export function dialRealtime(url: string, key: string, query = 'model=gpt-realtime'): RealtimeClient {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/realtime?${query}`, { headers: { authorization: `Bearer ${key}` } })
  const client = new FrameClient<Json>(socket)
  const closed = new Promise<[number, Buffer]>((resolve) => socket.on('close', (code, reason) => resolve([code, reason])))
  const of = (type: string) => client.frames.filter((event) => event.type === type)
  const until = async (type: string, nth = 1): Promise<Json> => {
    await client.until(() => of(type).length >= nth, TIMEOUT_MS)
    return of(type)[nth - 1]
  }
  const refused = new Promise<{ status: number; retryAfter: string | undefined; body: Json }>((resolve) => {
    socket.on('unexpected-response', (_, response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'], body: JSON.parse(text) }))
    })
  })
  return { socket, events: client.frames, of, until, send: (event) => client.send(event), closed, refused }
}

export const userSays = (text: string) => ({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text }] } })
