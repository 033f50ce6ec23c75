import { AppError } from '@trunkline/core'
import type { webchat } from '@trunkline/db'
import type { WebSocket } from 'ws'
import { z } from 'zod'
import { createPlaces, type SocketDoor } from '../plugins/sockets.ts'
import { ChatParams, openChat, type Chat } from './chat.ts'
import { Connection, type ConnectionDeps } from './connection.ts'
import { CLOSE } from './protocol.ts'
import type { ChatDeps } from './routes.ts'

const description = 'Sub-protocol: JSON text frames. The first is `hello` with the session token. See apps/api/src/webchat/README.md.'

/** `GET /v1/webchat/:number_id/socket`: the visitor's socket. */
export function visitorsDoor(deps: ChatDeps): SocketDoor {
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

  const chats = new WeakMap<object, Chat>()
  return {
    close: () => clearInterval(reaper),
    open: (scope) =>
      void scope.route({
        method: 'GET',
        url: '/v1/webchat/:number_id/socket',
        config: { access: 'public' },
        schema: { tags: ['web chat'], summary: 'Open the socket of a visitor', description, params: ChatParams, response: { 101: z.null().meta({ description: 'WebSocket' }) } },
        // Before the upgrade: a page that is not on the list gets an answer of HTTP and no socket.
        preHandler: async (request) => {
          chats.set(request, await openChat(deps.api, request))
        },
        handler: async () => {
          throw new AppError('invalid_request', { message: 'This address is for WebSockets.', param: 'headers.upgrade' })
        },
        wsHandler: (socket, request) => accept(socket, chats.get(request)!, request.ip),
      }),
  }
}
