import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { AppError, toWireError } from '@trunkline/core'
import { claimIdempotencyKey, completeIdempotencyKey, keptIdempotentBytes, releaseIdempotencyKey, type StoredAnswer } from '@trunkline/db'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { keptStream, type Fate } from './kept-stream.ts'

/** A first request that has not ended by then will not: its process died, and what it did is unknown. */
const ABANDONED_AFTER_MS = 120_000
/** Of answers that are streamed: the longest text that can be spoken, as MP3, and much more of text. */
export const KEPT_BYTES_MAX = 4 * 1024 * 1024
/** Of one tenant, in 24 hours. */
const TENANT_BYTES_MAX = 256 * 1024 * 1024
/** A server that goes away waits so long for answers whose clients have gone. */
const LAST_ANSWERS_MS = 15_000

/** A request that came with a key, and is the first with it. */
export type Keyed = {
  key: string
  /** It has cost something: it must not be done again under its key. Set by the route, before the answer ends. */
  charged: boolean
  /** What went out with status 200 tells of a failure. Set by the route. */
  failed: boolean
  /** Resolves when its answer is kept, or its key free again, whoever hears it. */
  over: Promise<void>
  end: () => void
  isAnswered: boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Null: no key, or another request has it. */
    keyed: Keyed | null
  }
}

type KeyDeps = Pick<ApiDeps, 'db' | 'keyring' | 'log'>

/**
 * `Idempotency-Key` for routes with `config.idempotent`: the first request runs, every later one with the same key, method,
 * path and body gets its status and body, with `idempotency-replayed: true`. Keys are the project's (or the person's) own and live 24 hours.
 * Answers that say "try again" (429 and 5xx) are not kept, unless they have cost something. Runs after validation: a request that cannot run
 * does not use a key up. An answer that is streamed is made to its end even when its client goes away: whoever sent a key will ask again.
 */
export function registerIdempotency(app: ApiApp, deps: ApiDeps): void {
  const running = new Set<Promise<void>>()
  app.decorateRequest('keyed', null)
  app.addHook('onRoute', (route) => {
    if (route.method === 'POST' && route.url.startsWith('/v1') && route.config?.idempotent === undefined) throw new Error(`POST ${route.url} does not say whether it honours Idempotency-Key (config.idempotent)`)
  })
  app.addHook('preHandler', async (request, reply) => {
    if (request.routeOptions.config.idempotent !== true || request.principal === null) return
    if (await claimKey(deps, request, reply, request.body)) return reply
  })
  app.addHook('onSend', async (request, reply, payload) => {
    const { keyed } = request
    if (keyed === null || keyed.isAnswered) return payload
    keyed.isAnswered = true
    running.add(keyed.over)
    void keyed.over.then(() => running.delete(keyed.over))
    if (payload instanceof Readable) return keptStream(payload, KEPT_BYTES_MAX, (fate) => settle(deps, request, reply, keyed, fate))
    await settle(deps, request, reply, keyed, typeof payload === 'string' || Buffer.isBuffer(payload) ? { whole: Buffer.from(payload) } : 'broken')
    return payload
  })
  app.addHook('onClose', async () => {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const cancel = deps.clock.after(LAST_ANSWERS_MS, resolve)
    await Promise.race([Promise.all(running), late])
    cancel()
  })
}

/**
 * Claims the request's key, if it has one. True: it was answered before, and that answer is sent. `content` is what makes a request the same: JSON.
 * Throws AppError. Routes whose body is no JSON call it themselves.
 */
export async function claimKey(deps: KeyDeps, request: FastifyRequest, reply: FastifyReply, content: unknown): Promise<boolean> {
  const header = request.headers['idempotency-key']
  if (header === undefined) return false
  const key = keyOf(header, request)
  const { tenantId } = request.auth
  const found = await deps.db.tenant(tenantId, (tx) => claimIdempotencyKey(tx, tenantId, key, fingerprintOf(request, content)))
  switch (found.state) {
    case 'claimed': {
      const { promise: over, resolve: end } = Promise.withResolvers<void>()
      request.keyed = { key, charged: false, failed: false, over, end, isAnswered: false }
      return false
    }
    case 'mismatch':
      throw new AppError('idempotency_mismatch', { param: 'headers.idempotency-key' })
    case 'running':
      if (found.ageMs < (request.routeOptions.config.endsWithinMs ?? ABANDONED_AFTER_MS)) throw new AppError('idempotency_in_progress', { retryAfterMs: 1_000 })
      // Never run it again by ourselves: what the first one did before it was lost is unknown, and twice may cost money.
      throw new AppError('conflict', { message: 'The first request with this Idempotency-Key was interrupted. Check what it did, then use a new key.', param: 'headers.idempotency-key' })
    case 'answered':
      replay(reply, found.answer, deps.keyring.open(found.answer.sealedBody, tenantId))
      // Not the reply itself: it is a thenable, and would be waited for.
      return true
  }
}

function keyOf(header: string | string[], request: FastifyRequest): string {
  if (typeof header !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(header)) {
    throw new AppError('invalid_request', { message: 'An Idempotency-Key is 1 to 255 visible ASCII characters.', param: 'headers.idempotency-key' })
  }
  return `${request.auth.projectId ?? request.auth.actor.id}:${header}`
}

const fingerprintOf = (request: FastifyRequest, content: unknown): Buffer => createHash('sha256').update(`${request.method}\n${request.url}\n${JSON.stringify(content) ?? ''}`).digest()

const replay = (reply: FastifyReply, answer: StoredAnswer, body: Buffer): void => void reply.code(answer.status).header('idempotency-replayed', 'true').header('content-type', answer.contentType).send(body)

const TOO_LARGE = 'The answer to the first request with this Idempotency-Key is too large to be kept. It was made and charged once; a new key makes, and charges, another.'
const BROKEN = 'The first request with this Idempotency-Key broke off, and what it had used was charged. A new key begins anew.'

async function settle(deps: KeyDeps, request: FastifyRequest, reply: FastifyReply, keyed: Keyed, fate: Fate): Promise<void> {
  const { tenantId } = request.auth
  const contentType = String(reply.getHeader('content-type') ?? 'application/json')
  const refuse = (message: string): StoredAnswer => {
    const error = new AppError('conflict', { message, param: 'headers.idempotency-key' })
    return { status: error.status, contentType: 'application/json; charset=utf-8', sealedBody: deps.keyring.seal(JSON.stringify(toWireError(error, request.id)), tenantId) }
  }
  const again = fate === 'broken' || keyed.failed || reply.statusCode >= 500 || reply.statusCode === 429
  try {
    await deps.db.tenant(tenantId, async (tx) => {
      if (again) return keyed.charged ? completeIdempotencyKey(tx, tenantId, keyed.key, refuse(BROKEN)) : releaseIdempotencyKey(tx, tenantId, keyed.key)
      const hasRoom = fate !== 'too_large' && (await keptIdempotentBytes(tx, tenantId)) + fate.whole.length <= TENANT_BYTES_MAX
      await completeIdempotencyKey(tx, tenantId, keyed.key, hasRoom ? { status: reply.statusCode, contentType, sealedBody: deps.keyring.seal(fate.whole, tenantId) } : refuse(TOO_LARGE))
    })
  } catch (err) {
    // The work is done and its answer goes out; a retry will be told that the first one was interrupted.
    deps.log.error({ requestId: request.id, err }, 'the answer of an idempotent request could not be kept')
  } finally {
    keyed.end()
  }
}
