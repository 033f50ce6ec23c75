import { realtime } from '@trunkline/channels'
import { AppError, Id, type Clock, type PromptContent } from '@trunkline/core'
import { findKey, findProject, findTenant, promptOfAgent, type Access, type ClientSecrets, type Db, type SessionBook, type Tx } from '@trunkline/db'

/** Who came in and what for, once everything about it has been checked. */
export type Visit = {
  tenantId: Id
  /** Null: a person's secret, for any project of the tenant. */
  projectId: Id | null
  /** The project's own limit of requests, where it has one. */
  projectPerMinute: number | null
  /** A model's name, or the id of an agent; '' in a session that only writes down. */
  model: string
  /** Named by its id instead of a model: its prompt speaks. */
  agent: PromptContent | null
  /** The session that the client comes back to. */
  sessionId: string | null
  /** With what the session begins, where that was said before; null: the defaults. A client secret has also made its id. */
  made: { config: realtime.SessionConfig; idSeed?: string } | null
  /** The names of before GA. */
  beta: boolean
  /** Makes the client secret good again that was used up to come here: its client is told to try again later. Null: it was a key. */
  giveBack: (() => Promise<void>) | null
}

export type DoorDeps = { access: Access; db: Db; secrets: ClientSecrets<realtime.SecretGrant>; book: SessionBook; clock: Clock }

const SCOPE = 'realtime:write'

/** Throws AppError; nothing about the credential is in it. A client secret is used up by this, whatever comes of it but a refusal for want of a place. */
export async function admit(connection: realtime.Connection, deps: DoorDeps): Promise<Visit> {
  if (connection.target.mode === 'call') throw new AppError('not_found', { message: 'There is no such call.' })
  const { value } = connection.credential
  return value.startsWith('ek_') ? bySecret(value, connection, deps) : byKey(value, connection, deps)
}

/** A call over WebRTC: a client secret says what for; a key may say it with the offer. */
export type CallWish = { credential: string; session: realtime.SessionPatch | null; model: string | null }

export async function admitCall({ credential, session, model }: CallWish, deps: DoorDeps): Promise<Visit> {
  if (credential.startsWith('ek_')) {
    if (session) throw new AppError('invalid_request', { message: 'A client secret was made for its session: leave `session` out.', param: 'body.session' })
    return ofSecret(credential, await grantOf(credential, null, deps), deps)
  }
  const owner = await ownerOf(credential, deps)
  const { tenantId, projectId } = owner
  if (session?.type === 'transcription') throw new AppError('invalid_request', { message: 'A call talks: its session is of type realtime.', param: 'body.session.type' })
  const wish = { type: 'realtime' as const, ...session, model: session?.model ?? model ?? realtime.USUAL.model }
  const agent = await deps.db.tenant(tenantId, (tx) => agentOf(tx, wish.model, projectId))
  return { ...owner, model: wish.model, agent, sessionId: null, made: { config: realtime.orderedConfig({ session: wish }, agent?.instructions) }, beta: false, giveBack: null }
}

export type Owner = Pick<Visit, 'tenantId' | 'projectId' | 'projectPerMinute'>

/** Whose the key is. Throws AppError. */
export async function ownerOf(key: string, { access }: Pick<DoorDeps, 'access'>): Promise<Owner> {
  const { tenantId, projectId, projectRateLimitPerMinute, scopes } = await access.keys.check(key)
  if (!scopes.has(SCOPE)) throw new AppError('permission_denied', { details: { needs: SCOPE } })
  return { tenantId, projectId, projectPerMinute: projectRateLimitPerMinute }
}

async function byKey(key: string, { target, sessionId, beta }: realtime.Connection, deps: DoorDeps): Promise<Visit> {
  const owner = await ownerOf(key, deps)
  const wanted = target.mode === 'realtime' ? target.model : ''
  const model = (await modelOfSession(sessionId, owner, deps)) ?? wanted
  const agent = await deps.db.tenant(owner.tenantId, (tx) => agentOf(tx, model, owner.projectId))
  const made = target.mode === 'transcription' ? { config: realtime.transcriptionDefaults(realtime.USUAL.transcriptionModel) } : null
  return { ...owner, model, agent, sessionId, made, beta, giveBack: null }
}

async function bySecret(secret: string, { target, sessionId, beta }: realtime.Connection, deps: DoorDeps): Promise<Visit> {
  const grant = await grantOf(secret, target, deps)
  const other = await modelOfSession(sessionId, grant, deps)
  if (other !== null && other !== modelOf(grant)) throw new AppError('permission_denied', { message: 'This client secret was made for another session.' })
  return { ...(await ofSecret(secret, grant, deps)), sessionId, beta }
}

async function grantOf(secret: string, target: realtime.Target | null, { secrets, clock }: DoorDeps): Promise<realtime.SecretGrant> {
  const found = realtime.isClientSecret(secret) ? await secrets.take(secret) : null
  return realtime.redeem(found, target, clock.nowMs())
}

async function ofSecret(secret: string, grant: realtime.SecretGrant, { db, secrets, clock }: DoorDeps): Promise<Visit> {
  const { tenantId, projectId, config, idSeed } = grant
  const model = modelOf(grant)
  const found = await db.tenant(tenantId, async (tx) => {
    await stillGood(tx, grant, clock.nowMs())
    const project = projectId === null ? null : await findProject(tx, projectId)
    return { agent: await agentOf(tx, model, projectId), projectPerMinute: project?.rateLimitPerMinute ?? null }
  })
  const giveBack = () => secrets.keep(secret, grant, Math.max(1, grant.expiresAtMs - clock.nowMs()))
  return { tenantId, projectId, ...found, model, sessionId: null, made: { config, idSeed }, beta: false, giveBack }
}

const modelOf = ({ config }: realtime.SecretGrant): string => (config.type === 'realtime' ? config.model : '')

/** Of the session that a client comes back to; null for a new one. Another tenant's or project's does not exist. */
async function modelOfSession(sessionId: string | null, { tenantId, projectId }: Pick<Visit, 'tenantId' | 'projectId'>, { book, clock }: DoorDeps): Promise<string | null> {
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
