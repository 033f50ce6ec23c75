import { AppError, Id } from '@trunkline/core'
import { createGate, EVENT_ID } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { Gauge } from 'prom-client'
import type { WebSocket } from 'ws'
import { z } from 'zod'
import { shownCredential } from '../auth.ts'
import type { ApiDeps } from '../deps.ts'
import { createPlaces, type SocketDoor } from '../plugins/sockets.ts'
import { Connection } from './connection.ts'
import { createFeeds } from './feeds.ts'
import type { Limits } from './limits.ts'
import { CLOSE, EVENT_SCOPES, filterOf, type Filter } from './protocol.ts'
import { createStandings } from './standing.ts'
import { eventTable } from './table.ts'
import { EventView } from './view.ts'

const CATCHING_UP_WAITING_MAX = 2_000

const Query = z.object({
  types: z.string().max(500).optional().meta({ description: 'Only these, separated by commas; `message.*` for all of a kind', examples: ['message.received,lead.*'] }),
  conversation_id: Id.optional().meta({ description: 'Only what belongs to this conversation' }),
  project_id: Id.optional().meta({ description: 'Only of this project. An API key hears its own anyway.' }),
  last_event_id: z.string().regex(EVENT_ID, 'Expected the id of an event, like 1795252200000-0').optional().meta({ description: 'Goes on after this event', examples: ['1795252200000-0'] }),
  access_token: z.string().max(2_048).optional().meta({ description: 'The API key or access token, where no header can be set' }),
})

const description = () => `A WebSocket of JSON text frames. The first frame is \`{"type":"ready","last_event_id","resumed"}\`; then each event is one frame:
\`{"id","type","tenant_id","project_id","at","data"}\`. Messages, leads and conversations look as in REST.

${eventTable()}
| \`events.gap\` | any | Something may be missing before this: read it by REST. \`too_old\`: it is not kept any more. \`lost\`: Redis was away, or a process of ours ended before it had told everything | \`reason\` |

Come back with \`?last_event_id=\` and nothing is missed or doubled (15 minutes, and 10,000 events of the tenant). You may send \`{"type":"subscribe","types":["message.*"],"conversation_id"}\`,
which replaces what the address said and is answered by \`subscribed\` or \`error\`, and \`{"type":"ping"}\`. \`heartbeat\` says every 30 s how far you are.

Credentials: a header as everywhere, \`?access_token=\`, or from a browser \`new WebSocket(url, ["trunkline-events", "trunkline-token.<credential>"])\`. Closed with 4401 when they end, 4403 when the tenant is suspended,
4429 for too many sockets, 1013 when you read too slowly (come back with \`last_event_id\`).`

type EventsRequest = FastifyRequest<{ Querystring: z.infer<typeof Query> }>

/** `GET /v1/events`: what happens to the tenant, as it happens. */
export function eventsDoor(api: ApiDeps, limits: Limits): SocketDoor {
  const feeds = createFeeds({ ...api, bell: api.ports.bell }, limits)
  const standings = createStandings(api, limits)
  const places = createPlaces(limits.socketsPerTenant)
  const gate = createGate(limits.catchingUpMax, CATCHING_UP_WAITING_MAX)
  const connections = new Set<Connection>()
  const gauge: Gauge = new Gauge({ name: 'trunkline_event_sockets', help: 'Open sockets of live events', registers: [api.metrics], collect: () => gauge.set(connections.size) })
  const filters = new WeakMap<object, Filter>()
  const heart = setInterval(() => connections.forEach((connection) => connection.beat()), limits.heartbeatMs)
  heart.unref()

  function accept(socket: WebSocket, request: EventsRequest): void {
    const { auth: principal, query } = request
    const leave = places.enter(principal.tenantId)
    if (!leave) return socket.close(CLOSE.tooMany, 'too many sockets')
    const connection = new Connection(socket, principal, filters.get(request)!, { ...api, feeds, limits, gate })
    const unwatch = standings.watch({ credential: shownCredential(request)!, principal }, connection)
    connections.add(connection)
    socket.on('close', () => {
      connections.delete(connection)
      unwatch()
      leave()
    })
    void connection.start(query.last_event_id)
  }

  return {
    close() {
      clearInterval(heart)
      standings.close()
      feeds.close()
    },
    open: (scope) =>
      void scope.route({
        method: 'GET',
        url: '/v1/events',
        config: { access: { scope: EVENT_SCOPES[0]!, or: EVENT_SCOPES.slice(1) }, socket: true },
        schema: { tags: ['events'], summary: 'Listen to what happens, as it happens', description: description(), querystring: Query, response: { 101: EventView } },
        // Before the upgrade: who asks for what does not exist, or may not hear it, gets an answer of HTTP and no socket.
        preHandler: async (request) => {
          const { types, ...wish } = (request as EventsRequest).query
          filters.set(request, filterOf({ ...wish, ...(types === undefined ? {} : { types: types.split(',').map((name) => name.trim()) }) }, request.auth, 'query'))
        },
        handler: async () => {
          throw new AppError('invalid_request', { message: 'This address is for WebSockets.', param: 'headers.upgrade' })
        },
        wsHandler: (socket, request) => accept(socket, request as EventsRequest),
      }),
  }
}
