import { newId } from '@trunkline/core'
import fastify from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { registerAuth } from './auth.ts'
import type { ApiApp, ApiDeps } from './deps.ts'
import { registerAccessLog } from './plugins/access-log.ts'
import { registerDepthLimit } from './plugins/depth.ts'
import { registerErrors } from './plugins/errors.ts'
import { registerIdempotency } from './plugins/idempotency.ts'
import { registerOpenApi } from './plugins/openapi.ts'
import { registerRateLimit } from './plugins/rate-limit.ts'
import { registerRouteTable } from './plugins/route-table.ts'
import { registerRoutes } from './routes/index.ts'

/** The whole API without a socket: tests use `app.inject`, main.ts listens. */
export async function buildApp(deps: ApiDeps): Promise<ApiApp> {
  const { config } = deps
  const app = fastify({
    logger: false,
    trustProxy: config.trustProxy,
    bodyLimit: config.bodyLimitBytes,
    requestTimeout: config.requestTimeoutMs,
    connectionTimeout: config.requestTimeoutMs * 2,
    keepAliveTimeout: 65_000,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    genReqId: () => `req_${newId().replaceAll('-', '')}`,
    routerOptions: { maxParamLength: 256 },
  }).withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id)
  })
  registerErrors(app, deps.log)
  registerRouteTable(app)
  registerAuth(app, deps)
  registerRateLimit(app, deps)
  registerDepthLimit(app)
  registerIdempotency(app, deps)
  registerAccessLog(app, deps)
  await registerOpenApi(app, config.publicUrl)
  registerRoutes(app, deps)
  await app.ready()
  return app
}
