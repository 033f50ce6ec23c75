import { realtime } from '@trunkline/channels'
import { AppError, Id, type PromptContent } from '@trunkline/core'
import { findKey, findTenant, promptOfAgent, type Access, type ClientSecrets, type Db, type Tx } from '@trunkline/db'
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

export type DoorDeps = { access: Access; db: Db; secrets: ClientSecrets<realtime.SecretGrant>; nowMs: () => number }

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

async function byKey(key: string, connection: realtime.Connection, { access, db }: DoorDeps): Promise<Visit> {
  const { tenantId, projectId, scopes } = await access.keys.check(key)
  if (!scopes.has(SCOPE)) throw new AppError('permission_denied', { details: { needs: SCOPE } })
  const model = connection.target.mode === 'realtime' ? connection.target.model : ''
  const agent = await db.tenant(tenantId, (tx) => agentOf(tx, model, projectId))
  return { tenantId, projectId, connection, model, agent, made: null }
}

async function bySecret(secret: string, connection: realtime.Connection, { db, secrets, nowMs }: DoorDeps): Promise<Visit> {
  const found = realtime.isClientSecret(secret) ? await secrets.take(secret) : null
  const grant = realtime.redeem(found, connection.target, nowMs())
  const { tenantId, projectId, config } = grant
  const model = config.type === 'realtime' ? config.model : ''
  const agent = await db.tenant(tenantId, async (tx) => {
    await stillGood(tx, grant, nowMs())
    return agentOf(tx, model, projectId)
  })
  return { tenantId, projectId, connection, model, agent, made: grant }
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
