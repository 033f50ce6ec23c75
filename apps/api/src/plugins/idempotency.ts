import { createHash } from 'node:crypto'
import { AppError } from '@trunkline/core'
import { claimIdempotencyKey, completeIdempotencyKey, releaseIdempotencyKey, type StoredAnswer } from '@trunkline/db'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ApiApp, ApiDeps } from '../deps.ts'

/** A first request that has not ended by then will not: its process died, and what it did is unknown. */
const ABANDONED_AFTER_MS = 120_000

declare module 'fastify' {
  interface FastifyRequest {
    /** The key this request holds while it runs. */
    idempotencyKey: string | null
  }
}

/**
 * `Idempotency-Key` for routes with `config.idempotent`: the first request runs, every later one with the same key, method,
 * path and body gets its status and body, with `idempotency-replayed: true`. Keys are the project's (or the person's) own and live 24 hours.
 * Answers that say "try again" (429 and 5xx) are not kept. Runs after validation: a request that cannot run does not use a key up.
 */
export function registerIdempotency(app: ApiApp, deps: ApiDeps): void {
  app.decorateRequest('idempotencyKey', null)
  app.addHook('onRoute', (route) => {
    if (route.method === 'POST' && route.url.startsWith('/v1') && route.config?.idempotent === undefined) throw new Error(`POST ${route.url} does not say whether it honours Idempotency-Key (config.idempotent)`)
  })
  app.addHook('preHandler', async (request, reply) => {
    const header = request.headers['idempotency-key']
    if (request.routeOptions.config.idempotent !== true || header === undefined || request.principal === null) return
    return claim(request, reply, keyOf(header, request), deps)
  })
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.idempotencyKey !== null) await settle(request, reply, typeof payload === 'string' ? payload : null, deps)
    return payload
  })
}

function keyOf(header: string | string[], request: FastifyRequest): string {
  if (typeof header !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(header)) {
    throw new AppError('invalid_request', { message: 'An Idempotency-Key is 1 to 255 visible ASCII characters.', param: 'headers.idempotency-key' })
  }
  return `${request.auth.projectId ?? request.auth.actor.id}:${header}`
}

const fingerprintOf = (request: FastifyRequest): Buffer => createHash('sha256').update(`${request.method}\n${request.url}\n${JSON.stringify(request.body) ?? ''}`).digest()

async function claim(request: FastifyRequest, reply: FastifyReply, key: string, deps: ApiDeps): Promise<FastifyReply | void> {
  const { tenantId } = request.auth
  const found = await deps.db.tenant(tenantId, (tx) => claimIdempotencyKey(tx, tenantId, key, fingerprintOf(request)))
  switch (found.state) {
    case 'claimed':
      request.idempotencyKey = key
      return
    case 'mismatch':
      throw new AppError('idempotency_mismatch', { param: 'headers.idempotency-key' })
    case 'running':
      if (found.ageMs < ABANDONED_AFTER_MS) throw new AppError('idempotency_in_progress', { retryAfterMs: 1_000 })
      // Never run it again by ourselves: what the first one did before it was lost is unknown, and twice may cost money.
      throw new AppError('conflict', { message: 'The first request with this Idempotency-Key was interrupted. Check what it did, then use a new key.', param: 'headers.idempotency-key' })
    case 'answered':
      return replay(reply, found.answer, deps.keyring.open(found.answer.sealedBody, tenantId))
  }
}

const replay = (reply: FastifyReply, answer: StoredAnswer, body: Buffer): FastifyReply =>
  reply.code(answer.status).header('idempotency-replayed', 'true').header('content-type', answer.contentType).serializer(String).send(body.toString('utf8'))

async function settle(request: FastifyRequest, reply: FastifyReply, body: string | null, deps: ApiDeps): Promise<void> {
  const { tenantId } = request.auth
  const key = request.idempotencyKey!
  request.idempotencyKey = null
  const again = reply.statusCode >= 500 || reply.statusCode === 429 || body === null
  try {
    await deps.db.tenant(tenantId, (tx) =>
      again
        ? releaseIdempotencyKey(tx, tenantId, key)
        : completeIdempotencyKey(tx, tenantId, key, { status: reply.statusCode, contentType: String(reply.getHeader('content-type') ?? 'application/json'), sealedBody: deps.keyring.seal(body, tenantId) }),
    )
  } catch (err) {
    // The work is done and its answer goes out; a retry will be told that the first one was interrupted.
    deps.log.error({ requestId: request.id, err }, 'the answer of an idempotent request could not be kept')
  }
}
