import { createServer, type Server } from 'node:http'
import { newId } from '@trunkline/core'
import cors from '@fastify/cors'
import fastify from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { registerAuth } from './auth.ts'
import type { ApiApp, ApiDeps } from './deps.ts'
import { registerEvents } from './events/index.ts'
import { registerAccessLog } from './plugins/access-log.ts'
import { registerDepthLimit } from './plugins/depth.ts'
import { refusePath, registerErrors } from './plugins/errors.ts'
import { registerIdempotency } from './plugins/idempotency.ts'
import { registerOpenApi } from './plugins/openapi.ts'
import { registerRateLimit } from './plugins/rate-limit.ts'
import { registerRouteTable } from './plugins/route-table.ts'
import { registerSockets } from './plugins/sockets.ts'
import { registerRoutes } from './routes/index.ts'
import { isVisitorPath, registerWebchat } from './webchat/index.ts'
import { buildWebhookApp, isWebhook } from './webhook-app.ts'

/** What scripts of other origins may read of an answer. */
const EXPOSED_HEADERS = ['x-request-id', 'retry-after', 'idempotency-replayed', 'x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset', 'location']

const DRAIN_SWEEP_MS = 50

/** Called by pages of anybody: what opens them is in the page's hands for a moment, and no cookie. */
const isAnyonesPath = (url: string): boolean => isVisitorPath(url) || url.startsWith('/v1/realtime/calls')

/** The whole API without a socket: tests use `app.inject`, main.ts listens. */
export async function buildApp(deps: ApiDeps): Promise<ApiApp> {
  const { config } = deps
  const webhooks = await buildWebhookApp(deps)
  const app = fastify({
    logger: false,
    // One port, two servers: see webhook-app.ts. Time-outs are the server's here, as Fastify leaves a given server alone.
    serverFactory: (handler) =>
      createServer({ requestTimeout: config.requestTimeoutMs, keepAliveTimeout: 65_000, connectionsCheckingInterval: 5_000 }, (request, response) =>
        isWebhook(request.url) ? webhooks.routing(request, response) : handler(request, response)),
    trustProxy: config.trustProxy,
    bodyLimit: config.bodyLimitBytes,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    genReqId: () => `req_${newId().replaceAll('-', '')}`,
    routerOptions: { maxParamLength: 256 },
    frameworkErrors: refusePath,
  }).withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({ 'x-request-id': request.id, 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
  })
  const corsShape = { methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'], exposedHeaders: EXPOSED_HEADERS, maxAge: 600 }
  await app.register(cors, { delegator: (request, callback) => callback(null, { ...corsShape, origin: isAnyonesPath(request.url) ? '*' : config.corsOrigins }) })
  registerErrors(app, deps.log)
  registerRouteTable(app)
  registerAuth(app, deps)
  registerRateLimit(app, deps)
  registerDepthLimit(app)
  registerIdempotency(app, deps)
  registerAccessLog(app, deps)
  await registerOpenApi(app, config.publicUrl)
  registerRoutes(app, deps)
  registerSockets(app, deps.log, [registerWebchat(app, deps), registerEvents(deps)])
  app.addHook('onClose', () => webhooks.close())
  app.addHook('preClose', async () => endConnectionsAsTheyFallIdle(app.server))
  await app.ready()
  return app
}

/** Fastify ends what is idle when the drain begins; a supplier's connection that was busy then would be waited for through its whole keep-alive time. */
function endConnectionsAsTheyFallIdle(server: Server): void {
  if (!server.listening) return
  const sweep = setInterval(() => server.closeIdleConnections(), DRAIN_SWEEP_MS)
  server.once('close', () => clearInterval(sweep))
}
