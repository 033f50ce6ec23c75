import { realtime } from '@trunkline/channels'
import { AppError, type Logger } from '@trunkline/core'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type RawData, type WebSocket } from 'ws'
import { refuse } from '../refuse.ts'
import { admit, ownerOf, type DoorDeps, type Visit } from './door.ts'
import type { Outlet } from './outlet.ts'
import type { Aside, Opening, Sessions } from './sessions.ts'

export type SocketsDeps = DoorDeps & { sessions: Sessions; log: Logger; limits: { sessionsMax: number; beta: boolean } }
export type Sockets = {
  /** Of the server's `upgrade` event. False: the path is none of ours, and nothing was done. */
  upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): boolean
  count(): number
  /** No new sessions; those that are here are told, and closed. */
  close(): Promise<void>
}

const PATH = '/v1/realtime'
const PING_MS = 30_000
const CLOSE_GRACE_MS = 1_000

/** `GET /v1/realtime`: sockets that speak OpenAI's Realtime protocol. Whoever may not come in hears so over HTTP, before any socket. */
export function serveSockets(deps: SocketsDeps): Sockets {
  const { sessions, limits, log } = deps
  const echoes = new WeakMap<IncomingMessage, string>()
  const sockets = new WebSocketServer({
    noServer: true, maxPayload: realtime.LIMITS.messageBytes, perMessageDeflate: false,
    // Set by the upgrade, since the offer may hold a key that must not be repeated.
    handleProtocols: (_, request) => echoes.get(request) ?? false,
  })
  const alive = new WeakSet<WebSocket>()
  let closing = false

  async function admitted(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    try {
      if (closing || sockets.clients.size >= limits.sessionsMax) throw new AppError('unavailable', { message: 'No more sessions here. Try again.', retryAfterMs: 1_000 })
      const parsed = realtime.parseConnection(request.url ?? '', request.headers)
      if (!parsed.ok) throw parsed.error
      const { connection } = parsed
      if (connection.subprotocolToEcho) echoes.set(request, connection.subprotocolToEcho)
      if (connection.target.mode === 'call') {
        const join = await sessions.sideband(connection.target.callId, await ownerOf(connection.credential.value, deps))
        return sockets.handleUpgrade(request, stream, head, (socket) => startAside(socket, join))
      }
      const visit = await admit(connection, deps)
      const opening = await sessions.prepare(visit)
      let opened = false
      sockets.handleUpgrade(request, stream, head, (socket) => {
        opened = true
        start(socket, visit, opening)
      })
      // A client that went away meanwhile, or that cannot shake hands.
      if (!opened) await opening.place.release()
    } catch (error) {
      refuse(stream, error, log)
    }
  }

  function start(socket: WebSocket, visit: Visit, opening: Opening): void {
    if (visit.beta && !limits.beta) {
      void opening.place.release()
      return refuseBeta(socket)
    }
    carry(socket, sessions.open(visit, opening, outletOf(socket)))
  }

  function startAside(socket: WebSocket, join: (outlet: Outlet) => Aside | null): void {
    const aside = join(outletOf(socket))
    if (aside) carry(socket, aside)
    else closeSocket(socket, 1013, 'this call has enough of them')
  }

  function carry(socket: WebSocket, session: { receive(text: string): void; leave(): unknown }): void {
    alive.add(socket)
    socket.on('pong', () => alive.add(socket))
    socket.on('message', (data: RawData) => session.receive(textOf(data)))
    socket.on('close', () => void session.leave())
    // A frame that is no frame: `ws` has closed the socket with the right code.
    socket.on('error', () => {})
  }

  const reaper = setInterval(() => {
    for (const socket of sockets.clients) {
      if (!alive.delete(socket)) socket.terminate()
      else socket.ping()
    }
  }, PING_MS)

  return {
    upgrade(request, stream, head) {
      if (request.url?.split('?')[0] !== PATH) return false
      // Node has none here: a client that resets while it is looked up would end the process.
      stream.on('error', () => stream.destroy())
      void admitted(request, stream, head)
      return true
    },
    count: () => sockets.clients.size,
    async close() {
      closing = true
      clearInterval(reaper)
      await sessions.close()
      for (const socket of sockets.clients) closeSocket(socket, 1001, 'the server goes away')
      await new Promise((resolve) => sockets.close(resolve))
    },
  }
}

const outletOf = (socket: WebSocket): Outlet => ({
  send: (text) => socket.send(text),
  get waitingBytes() {
    return socket.bufferedAmount
  },
  close: (code, reason) => closeSocket(socket, code, reason),
})

/** Who does not answer a close frame is cut off: its session is already elsewhere, or over. */
function closeSocket(socket: WebSocket, code: number, reason: string): void {
  socket.close(code, reason)
  setTimeout(() => socket.terminate(), CLOSE_GRACE_MS).unref()
}

const textOf = (data: RawData): string => (Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)).toString('utf8')

function refuseBeta(socket: WebSocket): void {
  const error = { type: 'invalid_request_error', code: 'beta_api_shape_disabled', message: 'The events of before GA are switched off here. Use the GA protocol.', param: null, event_id: null }
  socket.send(JSON.stringify({ type: 'error', event_id: 'event_refused', error }))
  socket.close(4_000, 'beta_api_shape_disabled')
}
