import type { ApiApp, ApiDeps } from '../deps.ts'

/** One line and one observation per request. The path's pattern, never its values: those are ids, tokens and addresses. */
export function registerAccessLog(app: ApiApp, deps: ApiDeps): void {
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown'
    deps.log.info(
      { requestId: request.id, method: request.method, route, status: reply.statusCode, durationMs: Math.round(reply.elapsedTime * 10) / 10, tenantId: request.principal?.tenantId },
      'request',
    )
  })
}
