import { AppError, Id } from '@trunkline/core'
import { defaultProject, findKey, findProject, listKeys, retireKey, revokeKey, Scope, type ApiKey as ApiKeyRow, type Project, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import { grantable, type Auth } from '../auth.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { found } from '../found.ts'
import { prepareKey, storeKey } from '../new-key.ts'
import { decodeIdCursor, encodeCursor, IdParams, pageOf, PageQuery, Time, toPage, toWire } from '../wire.ts'

export const KEY_EXAMPLE = {
  id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5d', project_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c', name: 'Website', environment: 'production', key_id: '4ZkQ81mxTq0P', last_four: '9f3a',
  scopes: ['messages:read' as const], expires_at: null, revoked_at: null, grace_until: null, rotated_to: null, last_used_at: null, created_at: '2026-11-20T09:30:00.000Z',
}

export const ApiKey = z
  .object({
    id: Id, project_id: Id, name: z.string(), environment: z.string(), key_id: z.string().meta({ description: 'The public half, part of the key' }), last_four: z.string(), scopes: z.array(Scope),
    expires_at: Time.nullable(), revoked_at: Time.nullable(), grace_until: Time.nullable().meta({ description: 'Rotated: works until then' }), rotated_to: Id.nullable(), last_used_at: Time.nullable(), created_at: Time,
  })
  .meta({ id: 'ApiKey', examples: [KEY_EXAMPLE] })

export const ApiKeyCreated = ApiKey.extend({ key: z.string().meta({ description: 'Shown this once' }) }).meta({ id: 'ApiKeyCreated', examples: [{ ...KEY_EXAMPLE, key: 'tl_live_4ZkQ81mxTq0P_...' }] })

const Expiry = z.iso.datetime({ offset: true }).optional().meta({ description: 'Must be in the future', examples: ['2027-11-20T09:30:00Z'] })
const KeyCreate = z
  .strictObject({ name: z.string().trim().min(1).max(200), project_id: Id.optional().meta({ description: 'The project of the credentials, or the oldest, by default' }), scopes: z.array(Scope).min(1), expires_at: Expiry })
  .meta({ id: 'ApiKeyCreate', examples: [{ name: 'Website', scopes: ['messages:read', 'conversations:read'] }] })

const GRACE_DEFAULT_S = 86_400
const KeyRotate = z
  .strictObject({ grace_seconds: z.number().int().min(0).max(7 * 86_400).default(GRACE_DEFAULT_S).meta({ description: 'How long the old key works on' }), expires_at: Expiry })
  .prefault({})
  .meta({ id: 'ApiKeyRotate', examples: [{ grace_seconds: GRACE_DEFAULT_S }] })

const KeyQuery = PageQuery.extend({ project_id: Id.optional() })
const KeyPage = pageOf(ApiKey).meta({ id: 'ApiKeyPage', examples: [{ data: [KEY_EXAMPLE], has_more: false, next_cursor: null }] })

const tags = ['keys']

/** A key of a project sees and makes keys of its own project only, and nobody gives away more than they have. */
export function registerKeys(app: ApiApp, deps: ApiDeps): void {
  app.get('/v1/admin/keys', { config: { access: { scope: 'keys:read' } }, schema: { tags, summary: 'List API keys', querystring: KeyQuery, response: { 200: KeyPage } } }, async ({ auth, query }) => {
    const projectId = auth.projectId ?? query.project_id
    const rows = await deps.db.tenant(auth.tenantId, (tx) => listKeys(tx, { limit: query.limit + 1, before: decodeIdCursor(query.cursor), projectId }))
    return toPage(rows, query.limit, (row) => encodeCursor(row.id))
  })

  app.get('/v1/admin/keys/:id', { config: { access: { scope: 'keys:read' } }, schema: { tags, summary: 'Read an API key; its text is never shown again', params: IdParams, response: { 200: ApiKey } } }, async ({ auth, params }) =>
    toWire(await deps.db.tenant(auth.tenantId, (tx) => ownKey(tx, auth, params.id))),
  )

  app.post('/v1/admin/keys', { config: { access: { scope: 'keys:write' }, idempotent: true }, schema: { tags, summary: 'Create an API key; its text is shown this once', body: KeyCreate, response: { 201: ApiKeyCreated } } }, async (request, reply) => {
    const { auth, body } = request
    requireGrantable(auth, body.scopes)
    const expiresAt = future(body.expires_at, deps)
    const project = await deps.db.tenant(auth.tenantId, (tx) => targetProject(tx, auth, body.project_id))
    const prepared = await prepareKey({ keyring: deps.keyring, passwords: deps.access.passwords }, project.environment)
    const key = await deps.db.tenant(auth.tenantId, async (tx) => {
      const made = await storeKey(tx, prepared, { tenantId: auth.tenantId, projectId: project.id, name: body.name, scopes: [...new Set(body.scopes)], expiresAt, createdBy: creator(auth) })
      await audit(tx, request, { action: 'key.created', target: { kind: 'api_key', id: made.id }, changes: { name: body.name, scopes: made.scopes, project_id: project.id } })
      return made
    })
    return reply.code(201).send(toWire(key))
  })

  app.post('/v1/admin/keys/:id/rotate', { config: { access: { scope: 'keys:write' }, idempotent: true }, schema: { tags, summary: 'Replace an API key; both work until the grace ends', params: IdParams, body: KeyRotate, response: { 201: ApiKeyCreated } } }, async (request, reply) =>
    reply.code(201).send(toWire(await rotate(deps, request, request.params.id, { graceS: request.body.grace_seconds, expiresAt: future(request.body.expires_at, deps) }))),
  )

  app.delete('/v1/admin/keys/:id', { config: { access: { scope: 'keys:write' } }, schema: { tags, summary: 'Revoke an API key; it is refused within a second', params: IdParams, response: { 200: ApiKey } } }, async (request) => {
    const { auth, params } = request
    const { key, digest } = await deps.db.tenant(auth.tenantId, async (tx) => {
      const old = await ownKey(tx, auth, params.id)
      const key = found(await revokeKey(tx, params.id))
      if (old.revokedAt === null) await audit(tx, request, { action: 'key.revoked', target: { kind: 'api_key', id: params.id } })
      return { key, digest: old.digest }
    })
    await deps.access.dropKeys([digest])
    return toWire(key)
  })
}

async function rotate(deps: ApiDeps, request: FastifyRequest, id: string, order: { graceS: number; expiresAt: Date | null }): Promise<ApiKeyRow & { key: string }> {
  const { auth } = request
  const { old, project } = await deps.db.tenant(auth.tenantId, async (tx) => {
    const old = await ownKey(tx, auth, id)
    return { old, project: found(await findProject(tx, old.projectId)) }
  })
  requireGrantable(auth, old.scopes)
  const prepared = await prepareKey({ keyring: deps.keyring, passwords: deps.access.passwords }, project.environment)
  const key = await deps.db.tenant(auth.tenantId, async (tx) => {
    const made = await storeKey(tx, prepared, { tenantId: auth.tenantId, projectId: old.projectId, name: old.name, scopes: old.scopes, expiresAt: order.expiresAt ?? old.expiresAt, createdBy: creator(auth) })
    const retired = await retireKey(tx, id, made.id, new Date(deps.clock.nowMs() + order.graceS * 1000))
    if (!retired) throw new AppError('invalid_state', { message: 'This key is revoked, expired or rotated already.', param: 'params.id' })
    await audit(tx, request, { action: 'key.rotated', target: { kind: 'api_key', id }, changes: { rotated_to: made.id, grace_seconds: order.graceS } })
    return made
  })
  await deps.access.dropKeys([old.digest])
  return key
}

async function ownKey(tx: Tx, auth: Auth, id: string): Promise<ApiKeyRow & { digest: string }> {
  const key = found(await findKey(tx, id))
  return found(auth.projectId === null || auth.projectId === key.projectId ? key : null)
}

async function targetProject(tx: Tx, auth: Auth, wanted: string | undefined): Promise<Project> {
  if (auth.projectId !== null && wanted !== undefined && wanted !== auth.projectId) throw new AppError('not_found', { param: 'body.project_id' })
  const id = wanted ?? auth.projectId
  const project = found(id === null ? await defaultProject(tx) : await findProject(tx, id), 'body.project_id')
  if (project.archivedAt !== null) throw new AppError('invalid_state', { message: 'This project is archived.', param: 'body.project_id' })
  return project
}

function requireGrantable(auth: Auth, scopes: readonly Scope[]): void {
  const mine = grantable(auth)
  const excess = scopes.filter((scope) => !mine.has(scope))
  if (excess.length > 0) throw new AppError('permission_denied', { message: 'A key cannot be given scopes that you do not have.', param: 'body.scopes', details: { scopes: excess } })
}

function future(text: string | undefined, deps: ApiDeps): Date | null {
  if (text === undefined) return null
  const date = new Date(text)
  if (date.getTime() <= deps.clock.nowMs()) throw new AppError('invalid_request', { message: 'This is in the past.', param: 'body.expires_at' })
  return date
}

const creator = (auth: Auth): string | null => (auth.actor.kind === 'user' ? auth.actor.id : null)
