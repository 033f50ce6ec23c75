import { createHash, timingSafeEqual } from 'node:crypto'
import { AppError } from '@trunkline/core'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'

const DEADLINE_MS = 2_000

const Alive = z.object({ status: z.literal('ok') }).meta({ examples: [{ status: 'ok' }] })
const State = z.enum(['ok', 'away'])
const Ready = z.object({ status: State, postgres: State, redis: State }).meta({ examples: [{ status: 'ok', postgres: 'ok', redis: 'ok' }] })

export function registerHealth(app: ApiApp, deps: ApiDeps): void {
  app.get('/health', { config: { access: 'public' }, schema: { tags: ['health'], summary: 'Is the process alive?', response: { 200: Alive } } }, async () => ({ status: 'ok' as const }))

  // Redis away is degraded, not down: everything that has to be remembered is in Postgres. So only Postgres decides the status.
  app.get('/ready', { config: { access: 'public' }, schema: { tags: ['health'], summary: 'Can it serve requests?', response: { 200: Ready, 503: Ready } } }, async (_request, reply) => {
    const [postgres, redis] = await Promise.all([answers(deps.db.ping()), answers(deps.redis.ping())])
    return reply.code(postgres === 'ok' ? 200 : 503).send({ status: postgres, postgres, redis })
  })

  app.get('/metrics', { config: { access: 'public' }, schema: { tags: ['health'], summary: 'Metrics for Prometheus', response: { 200: z.string().meta({ examples: ['# HELP ...'] }) } } }, async (request, reply) => {
    if (!isScraper(request.headers.authorization, deps.config.metricsToken)) throw new AppError('missing_credentials')
    return reply.type(deps.metrics.contentType).serializer(String).send(await deps.metrics.metrics())
  })
}

/** Compared as digests: equal lengths, so that the time tells nothing. */
function isScraper(header: string | undefined, token: string | undefined): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return token === undefined || timingSafeEqual(digest(header ?? ''), digest(`Bearer ${token}`))
}

async function answers(probe: Promise<unknown>): Promise<'ok' | 'away'> {
  const late = AbortSignal.timeout(DEADLINE_MS)
  const { promise, resolve } = Promise.withResolvers<'away'>()
  late.addEventListener('abort', () => resolve('away'), { once: true })
  return Promise.race([probe.then(() => 'ok' as const, () => 'away' as const), promise])
}
