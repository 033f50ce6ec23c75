import websocket from '@fastify/websocket'
import { AppError } from '@trunkline/core'
import type { webchat } from '@trunkline/db'
import type { WebSocket } from 'ws'
import { z } from 'zod'
import type { ApiApp } from '../deps.ts'
import { ChatParams, openChat, type Chat } from './chat.ts'
import { Connection, type ConnectionDeps } from './connection.ts'
import { CLOSE } from './protocol.ts'
import type { ChatDeps } from './routes.ts'

const GOING_AWAY = 1001
/** Who does not answer a close frame by then is cut off. */
const CLOSE_GRACE_MS = 1_000

const description = 'Sub-protocol: JSON text frames. The first is `hello` with the session token. See apps/api/src/webchat/README.md.'

/** `GET /v1/webchat/:number_id/socket`: the visitor's socket. */
export function registerSockets(app: ApiApp, deps: ChatDeps): void {
  const connections = new Set<Connection>()
  const [visitors, addresses] = [createPlaces(deps.limits.socketsPerVisitor), createPlaces(deps.limits.socketsPerAddress)]
  const enter: ConnectionDeps['enter'] = ({ numberId, visitorId }: webchat.Visitor) => visitors.enter(`${numberId}:${visitorId}`)
  const reaper = setInterval(() => connections.forEach((connection) => connection.ping()), deps.limits.heartbeatMs)
  reaper.unref()

  function accept(socket: WebSocket, chat: Chat, address: string): void {
    const leave = addresses.enter(address)
    if (!leave) return socket.close(CLOSE.tooMany, 'too many sockets')
    const connection = new Connection(socket, chat, { ...deps, enter })
    connections.add(connection)
    socket.on('close', () => {
      connections.delete(connection)
      leave()
    })
  }

  void app.register(async (scope) => {
    await scope.register(websocket, {
      options: { perMessageDeflate: false, maxPayload: deps.limits.frameBytesMax },
      // A frame that is too large or a line that breaks: `ws` has closed the socket with the right code.
      errorHandler: (error, socket) => {
        deps.api.log.debug({ error }, 'a socket of a web chat failed')
        socket.terminate()
      },
      preClose() {
        clearInterval(reaper)
        return closeAll(this.websocketServer.clients)
      },
    })
    const chats = new WeakMap<object, Chat>()
    scope.route({
      method: 'GET',
      url: '/v1/webchat/:number_id/socket',
      config: { access: 'public' },
      schema: { tags: ['web chat'], summary: 'Open the socket of a visitor', description, params: ChatParams, response: { 101: z.null().meta({ description: 'WebSocket' }) } },
      // Before the upgrade: a page that is not on the list gets an answer of HTTP and no socket.
      preHandler: async (request) => {
        chats.set(request, await openChat(deps.api, request as Parameters<typeof openChat>[1]))
      },
      handler: async () => {
        throw new AppError('invalid_request', { message: 'This address is for WebSockets.', param: 'headers.upgrade' })
      },
      wsHandler: (socket, request) => accept(socket, chats.get(request)!, request.ip),
    })
  })
}

async function closeAll(clients: Set<WebSocket>): Promise<void> {
  await Promise.all(
    [...clients].map(
      (socket) =>
        new Promise<void>((resolve) => {
          const timer = setTimeout(() => socket.terminate(), CLOSE_GRACE_MS)
          socket.once('close', () => {
            clearTimeout(timer)
            resolve()
          })
          if (socket.readyState === socket.CLOSED) resolve()
          socket.close(GOING_AWAY, 'the server goes away')
        }),
    ),
  )
}

/** At most so many at once under one name. */
function createPlaces(max: number) {
  const taken = new Map<string, number>()
  return {
    enter(name: string): (() => void) | null {
      const count = taken.get(name) ?? 0
      if (count >= max) return null
      taken.set(name, count + 1)
      let left = false
      return () => {
        if (left) return
        left = true
        const rest = taken.get(name)! - 1
        if (rest === 0) taken.delete(name)
        else taken.set(name, rest)
      }
    },
  }
}
