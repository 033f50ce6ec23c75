import { AppError } from '@trunkline/core'
import type { RateLevel } from '@trunkline/db'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ApiApp, ApiDeps } from '../deps.ts'

const WINDOW_MS = 60_000

/** Global, tenant and project in one check; callers without credentials by address. After auth, before the body is read. */
export function registerRateLimit(app: ApiApp, deps: ApiDeps): void {
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.url?.startsWith('/v1/') !== true) return
    const decision = await deps.limiter.check(levelsOf(request, deps))
    if (decision.tightest !== null) setHeaders(reply, decision.tightest)
    if (decision.allowed) return
    throw new AppError('rate_limited', { retryAfterMs: decision.retryAfterMs, details: { level: decision.tightest?.name } })
  })
}

function levelsOf(request: FastifyRequest, deps: ApiDeps): RateLevel[] {
  const { rateLimits } = deps.config
  const { principal } = request
  const level = (name: RateLevel['name'], key: string, limit: number): RateLevel => ({ name, key, limit, windowMs: WINDOW_MS })
  const levels = [level('global', 'all', rateLimits.global)]
  if (principal === null) levels.push(level('ip', request.ip, rateLimits.publicPerIp))
  else {
    levels.push(level('tenant', principal.tenantId, rateLimits.tenant))
    if (principal.projectId !== null) levels.push(level('project', principal.projectId, principal.projectRateLimitPerMinute ?? rateLimits.project))
  }
  return levels.filter(({ limit }) => limit > 0)
}

function setHeaders(reply: FastifyReply, tightest: { limit: number; remaining: number; resetMs: number }): void {
  void reply.headers({ 'x-ratelimit-limit': tightest.limit, 'x-ratelimit-remaining': tightest.remaining, 'x-ratelimit-reset': Math.ceil(tightest.resetMs / 1000) })
}
