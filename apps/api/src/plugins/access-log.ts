import { Histogram } from 'prom-client'
import type { ApiApp, ApiDeps } from '../deps.ts'

/** One line and one observation per request. The path's pattern, never its values: those are ids, tokens and addresses. */
export function registerAccessLog(app: ApiApp, deps: ApiDeps): void {
  const durations = new Histogram({
    name: 'trunkline_http_request_duration_seconds',
    help: 'Requests of the API by route and class of status',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [deps.metrics],
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown'
    durations.observe({ method: request.method, route, status: `${Math.floor(reply.statusCode / 100)}xx` }, reply.elapsedTime / 1000)
    deps.log.info(
      { requestId: request.id, method: request.method, route, status: reply.statusCode, durationMs: Math.round(reply.elapsedTime * 10) / 10, tenantId: request.principal?.tenantId },
      'request',
    )
  })
}
