import { realtime } from '@trunkline/channels'
import { AppError, Id, type Clock, type PromptContent } from '@trunkline/core'
import { findKey, findTenant, promptOfAgent, type Access, type ClientSecrets, type Db, type SessionBook, type Tx } from '@trunkline/db'
import type { IncomingHttpHeaders } from 'node:http'

/** Who came in and what for, once everything about it has been checked. */
export type Visit = {
  tenantId: Id
  /** Null: a person's secret, for any project of the tenant. */
  projectId: Id | null
  connection: realtime.Connection
  /** A model's name, or the id of an agent. */
  model: string
  /** Named by its id instead of a model: its prompt speaks. */
  agent: PromptContent | null
  /** What a client secret was made for; null for a key, which may begin any session. */
  made: Pick<realtime.SecretGrant, 'config' | 'idSeed'> | null
}

export type DoorDeps = { access: Access; db: Db; secrets: ClientSecrets<realtime.SecretGrant>; book: SessionBook; clock: Clock }

const SCOPE = 'realtime:write'

/** Throws AppError; nothing about the credential is in it. A client secret is used up by this, whatever comes of it. */
export async function admit(url: string, headers: IncomingHttpHeaders, deps: DoorDeps): Promise<Visit> {
  const parsed = realtime.parseConnection(url, headers)
  if (!parsed.ok) throw parsed.error
  const { connection } = parsed
  if (connection.target.mode === 'call') throw new AppError('not_found', { message: 'There is no such call.' })
  const { value } = connection.credential
  return value.startsWith('ek_') ? bySecret(value, connection, deps) : byKey(value, connection, deps)
}

async function byKey(key: string, connection: realtime.Connection, deps: DoorDeps): Promise<Visit> {
  const { access, db } = deps
  const { tenantId, projectId, scopes } = await access.keys.check(key)
  if (!scopes.has(SCOPE)) throw new AppError('permission_denied', { details: { needs: SCOPE } })
  const wanted = connection.target.mode === 'realtime' ? connection.target.model : ''
  const model = (await modelOfSession(connection, { tenantId, projectId }, deps)) ?? wanted
  const agent = await db.tenant(tenantId, (tx) => agentOf(tx, model, projectId))
  return { tenantId, projectId, connection, model, agent, made: null }
}

async function bySecret(secret: string, connection: realtime.Connection, deps: DoorDeps): Promise<Visit> {
  const { db, secrets, clock } = deps
  const found = realtime.isClientSecret(secret) ? await secrets.take(secret) : null
  const grant = realtime.redeem(found, connection.target, clock.nowMs())
  const { tenantId, projectId, config } = grant
  const model = config.type === 'realtime' ? config.model : ''
  if (((await modelOfSession(connection, grant, deps)) ?? model) !== model) throw new AppError('permission_denied', { message: 'This client secret was made for another session.' })
  const agent = await db.tenant(tenantId, async (tx) => {
    await stillGood(tx, grant, clock.nowMs())
    return agentOf(tx, model, projectId)
  })
  return { tenantId, projectId, connection, model, agent, made: grant }
}

/** Of the session that a client comes back to; null for a new one. Another tenant's or project's does not exist. */
async function modelOfSession({ sessionId }: realtime.Connection, { tenantId, projectId }: Pick<Visit, 'tenantId' | 'projectId'>, { book, clock }: DoorDeps): Promise<string | null> {
  if (sessionId === null) return null
  const facts = await book.find(sessionId)
  const ours = facts && facts.tenantId === tenantId && (projectId === null || facts.projectId === projectId) && facts.expiresAtMs > clock.nowMs()
  if (!ours) throw new AppError('not_found', { message: 'There is no such session, or it is over. Begin a new one.', param: 'query.session_id' })
  return facts.model
}

/** Minutes may have passed: a tenant that is suspended or a key that is revoked meanwhile opens nothing. */
async function stillGood(tx: Tx, { tenantId, issuer }: realtime.SecretGrant, nowMs: number): Promise<void> {
  if ((await findTenant(tx, tenantId))?.status !== 'active') throw new AppError('tenant_suspended')
  if (issuer.kind !== 'api_key') return
  const key = await findKey(tx, issuer.id)
  const endsAtMs = Math.min(...[key?.revokedAt, key?.expiresAt, key?.graceUntil].map((date) => date?.getTime() ?? Infinity))
  if (!key || endsAtMs <= nowMs) throw new AppError('invalid_token', { message: 'The key that made this client secret is not valid any more.' })
}

async function agentOf(tx: Tx, model: string, projectId: Id | null): Promise<PromptContent | null> {
  const id = Id.safeParse(model)
  return id.success ? promptOfAgent(tx, id.data, projectId) : null
}
