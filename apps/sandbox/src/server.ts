import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import type { FastifyError, FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { carrierRoutes } from './carriers/routes.ts'
import { consoleRoutes } from './console/routes.ts'
import { ControlError } from './control/input.ts'
import { controlRoutes } from './control/routes.ts'
import { faultRoutes } from './faults/routes.ts'
import { journalRoutes } from './journal/routes.ts'
import { mailRoutes } from './mail/routes.ts'
import { metaControlRoutes } from './meta/control-routes.ts'
import { metaRoutes } from './meta/routes.ts'
import { anthropicRoutes } from './models/anthropic/messages.ts'
import { chatRoutes } from './models/openai/chat.ts'
import { conversationRoutes } from './models/openai/conversations.ts'
import { modelRoutes } from './models/openai/models.ts'
import { responseRoutes } from './models/openai/responses.ts'
import { speechRoutes } from './speech/routes.ts'
import { toolRoutes } from './tools/routes.ts'
import type { World } from './world.ts'

const MAX_BODY_BYTES = 25 * 1024 * 1024
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024

/** One HTTP server plays every provider; the paths keep them apart. */
export function buildServer(world: World, reset: () => void): FastifyInstance {
  const app = Fastify({ logger: false, bodyLimit: MAX_BODY_BYTES, forceCloseConnections: true, routerOptions: { maxParamLength: 512 } })
  parseBodies(app)
  answerErrors(app)
  controlRoutes(app, world, reset)
  journalRoutes(app, world.journal)
  faultRoutes(app, world.faults)
  mailRoutes(app, world.mail)
  metaControlRoutes(app, world)
  modelsOf(app, world)
  toolRoutes(app, world)
  carrierRoutes(app, world.carriers)
  socketsOf(app, world)
  consoleRoutes(app)
  metaRoutes(app, world)
  return app
}

/** Routes with `websocket: true` belong in here: the plugin has to be loaded before they are declared. */
function socketsOf(app: FastifyInstance, world: World): void {
  // Compression costs seven times the memory of a connection, and no supplier of sound offers it.
  app.register(websocket, { options: { perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES } })
  app.register((scope, _options, done) => {
    speechRoutes(scope, world)
    done()
  })
  dropUpgrades(app)
}

/** A socket whose upgrade a fault left unanswered is known to nobody else, and would keep the server from closing. */
function dropUpgrades(app: FastifyInstance): void {
  const sockets = new Set<Duplex>()
  app.server.on('upgrade', (_request, socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  app.addHook('preClose', (done) => {
    for (const socket of sockets) socket.destroy()
    done()
  })
}

function modelsOf(app: FastifyInstance, world: World): void {
  responseRoutes(app, world)
  conversationRoutes(app, world)
  chatRoutes(app, world, { target: 'openai.chat', prefix: '/v1', anyModel: false })
  chatRoutes(app, world, { target: 'groq.chat', prefix: '/groq/openai/v1', anyModel: true })
  chatRoutes(app, world, { target: 'ollama.chat', prefix: '/ollama/v1', anyModel: true })
  for (const prefix of ['/v1', '/groq/openai/v1', '/ollama/v1']) modelRoutes(app, prefix)
  anthropicRoutes(app, world)
}

function parseBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  // Plain JSON.parse: the default parser's prototype checks cost more than the rest of a send, and no body is merged into anything here.
  app.addContentTypeParser(['application/json', 'text/plain'], { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null, null)
    try {
      done(null, JSON.parse(body as string))
    } catch {
      done(new ControlError(400, 'The body is not valid JSON'))
    }
  })
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
}

function answerErrors(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | ControlError, _request, reply) => {
    const param = error instanceof ControlError ? error.param : null
    return reply.code(error.statusCode ?? 500).send({ error: { message: error.message, type: 'sandbox_error', param } })
  })
  app.setNotFoundHandler((request, reply) => {
    const message = `Unknown path: ${request.method} ${request.url.split('?')[0]}. The sandbox plays the paths of apps/sandbox/README.md.`
    return reply.code(404).send({ error: { message, type: 'sandbox_error', param: null } })
  })
}
