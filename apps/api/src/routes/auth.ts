import { AppError, Id, newId } from '@trunkline/core'
import { clearFailedLogins, countFailedLogin, findUser, findUserByEmail, listMembershipsOf, revokeFamily, revokeSessionsOf, Role, useRefreshToken, type Membership } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { countSignUp, countTry, forgetTries, LOCK_MS } from '../guessing.ts'
import { Email, NewPassword, TypedPassword } from '../password-rules.ts'
import { issueSession, SESSION_EXAMPLE, SessionTokens } from '../session.ts'
import { signUp } from '../sign-up.ts'
import { hashSecret } from '../tokens.ts'
import { Done, fromWire, toWire } from '../wire.ts'
import { ApiKeyCreated, KEY_EXAMPLE } from './keys.ts'
import { Project, PROJECT_EXAMPLE } from './projects.ts'
import { Tenant, TENANT_EXAMPLE } from './tenants.ts'

const TENANT_ID = TENANT_EXAMPLE.id

const SignUpBody = z
  .strictObject({ email: Email, password: NewPassword, name: z.string().trim().min(1).max(200), tenant_name: z.string().trim().min(1).max(200) })
  .meta({ id: 'SignUp', examples: [{ email: 'ada@example.com', password: 'correct horse battery staple', name: 'Ada', tenant_name: 'Analytical Engines' }] })

const SignedUpBody = z
  .object({ tenant: Tenant, project: Project, user_id: z.string(), api_key: ApiKeyCreated, session: SessionTokens })
  .meta({ id: 'SignedUp', examples: [{ tenant: TENANT_EXAMPLE, project: PROJECT_EXAMPLE, user_id: TENANT_ID, api_key: { ...KEY_EXAMPLE, key: 'tl_live_...' }, session: SESSION_EXAMPLE }] })

const LogInBody = z
  .strictObject({ email: Email, password: TypedPassword, tenant_id: Id.optional().meta({ description: 'Which tenant, for people in several; the oldest membership by default' }) })
  .meta({ id: 'LogIn', examples: [{ email: 'ada@example.com', password: 'correct horse battery staple' }] })

const MembershipBody = z.object({ tenant_id: z.string(), tenant_name: z.string(), role: Role })
const SessionBody = SessionTokens.extend({ memberships: z.array(MembershipBody) }).meta({
  id: 'Session',
  examples: [{ ...SESSION_EXAMPLE, memberships: [{ tenant_id: TENANT_ID, tenant_name: 'Analytical Engines', role: 'owner' }] }],
})
const RefreshBody = z.strictObject({ refresh_token: z.string().min(1).max(200) }).meta({ id: 'Refresh', examples: [{ refresh_token: 'tlr_4Zk...' }] })
const RefreshedBody = SessionTokens.meta({ id: 'SessionTokens', examples: [SESSION_EXAMPLE] })

const MeBody = z
  .object({ kind: z.enum(['user', 'api_key']), id: z.string(), tenant_id: z.string(), project_id: z.string().nullable(), role: Role.nullable(), scopes: z.array(z.string()), email: z.string().nullable(), name: z.string().nullable(), email_verified: z.boolean().nullable() })
  .meta({ id: 'Me', examples: [{ kind: 'api_key', id: TENANT_ID, tenant_id: TENANT_ID, project_id: TENANT_ID, role: null, scopes: ['numbers:read'], email: null, name: null, email_verified: null }] })

const tags = ['auth']

export function registerAuthRoutes(app: ApiApp, deps: ApiDeps): void {
  registerEntrance(app, deps)
  registerExit(app, deps)

  // Any role and any key may ask who it is: `tenants:read` is the scope that everybody who works here has.
  app.get('/v1/auth/me', { config: { access: { scope: 'tenants:read' } }, schema: { tags, summary: 'Who am I?', response: { 200: MeBody } } }, async ({ auth }) => {
    const user = auth.actor.kind === 'user' ? await deps.db.system('auth', (tx) => findUser(tx, auth.actor.id)) : null
    const { kind, id } = auth.actor
    return { kind, id, tenant_id: auth.tenantId, project_id: auth.projectId, role: auth.role, scopes: [...auth.scopes], email: user?.email ?? null, name: user?.name ?? null, email_verified: user === null ? null : user.emailVerifiedAt !== null }
  })
}

function registerEntrance(app: ApiApp, deps: ApiDeps): void {
  app.post(
    '/v1/auth/signup',
    { config: { access: 'public', idempotent: false }, schema: { tags, summary: 'Sign up: a tenant, its owner, a project, a first API key and a ready receptionist', body: SignUpBody, response: { 201: SignedUpBody } } },
    async (request, reply) => {
      await countSignUp(deps, request)
      const { apiKey, session, ...made } = await signUp(deps, request, fromWire(request.body))
      return reply.code(201).send({ ...toWire({ ...made, apiKey }), session })
    },
  )

  app.post('/v1/auth/login', { config: { access: 'public', idempotent: false }, schema: { tags, summary: 'Log in', body: LogInBody, response: { 200: SessionBody } } }, async (request) => {
    const { email, password, tenant_id: tenantId } = request.body
    const user = await checkPassword(deps, request, email, password)
    return deps.db.system('auth', async (tx) => {
      const memberships = await listMembershipsOf(tx, user.id)
      const session = await issueSession(tx, deps, { userId: user.id, tenantId: choose(memberships, tenantId).tenantId })
      return { ...session, memberships: memberships.map((membership) => toWire(membership)) }
    })
  })

  app.post('/v1/auth/refresh', { config: { access: 'public', idempotent: false }, schema: { tags, summary: 'The next pair of tokens; a refresh token works once', body: RefreshBody, response: { 200: RefreshedBody } } }, async (request) => {
    const tokenHash = hashSecret(request.body.refresh_token)
    const result = await deps.db.system('auth', async (tx) => {
      const outcome = await useRefreshToken(tx, tokenHash)
      if (outcome.state !== 'rotate') return outcome
      return { state: 'rotated' as const, tokens: await issueSession(tx, deps, { ...outcome, sessionId: outcome.familyId }) }
    })
    if (result.state === 'rotated') return result.tokens
    if (result.state === 'reused') {
      await deps.access.dropSessions([result.familyId])
      deps.log.warn({ requestId: request.id, sessionId: result.familyId, tenantId: result.tenantId }, 'a used refresh token came again: its session was ended')
    }
    throw new AppError('invalid_token')
  })
}

function registerExit(app: ApiApp, deps: ApiDeps): void {
  app.post('/v1/auth/logout', { config: { access: 'public', idempotent: false }, schema: { tags, summary: 'End the session of a refresh token', body: RefreshBody, response: { 200: Done } } }, async (request) => {
    const outcome = await deps.db.system('auth', async (tx) => {
      const found = await useRefreshToken(tx, hashSecret(request.body.refresh_token))
      if (found.state === 'rotate') await revokeFamily(tx, found.familyId)
      return found
    })
    if (outcome.state !== 'unknown') await deps.access.dropSessions([outcome.familyId])
    return { ok: true as const }
  })

  app.post('/v1/auth/logout-all', { config: { access: { scope: 'tenants:read', roles: Role.options }, idempotent: false }, schema: { tags, summary: 'End all sessions of mine, this one too', response: { 200: Done } } }, async ({ auth }) => {
    const ended = await deps.db.system('auth', (tx) => revokeSessionsOf(tx, auth.actor.id))
    await deps.access.dropSessions(ended)
    return { ok: true as const }
  })
}

/** One answer and one duration for a wrong password, an unknown address and an account that is locked in the database. */
export async function checkPassword(deps: ApiDeps, request: FastifyRequest, email: string, password: string): Promise<{ id: string }> {
  await countTry(deps, request, email)
  const user = await deps.db.system('auth', (tx) => findUserByEmail(tx, email))
  const matches = await deps.access.passwords.matches(password, user?.passwordHash ?? null)
  const locked = user?.lockedUntil != null && user.lockedUntil.getTime() > deps.clock.nowMs()
  if (user === null || !matches || locked) {
    // Nobody's id for an unknown address: the same statement, so the same time.
    const id = user === null || locked ? newId() : user.id
    await deps.db.system('auth', (tx) => countFailedLogin(tx, id, deps.config.guessing.perAccount, LOCK_MS))
    throw new AppError('invalid_login')
  }
  await deps.db.system('auth', (tx) => clearFailedLogins(tx, user.id))
  await forgetTries(deps, request, email)
  return user
}

function choose(memberships: Membership[], tenantId: string | undefined): Membership {
  const chosen = tenantId === undefined ? memberships[0] : memberships.find((membership) => membership.tenantId === tenantId)
  if (chosen === undefined) throw new AppError('permission_denied', { message: tenantId === undefined ? 'This account belongs to no tenant.' : 'This account does not belong to that tenant.', param: tenantId === undefined ? undefined : 'body.tenant_id' })
  return chosen
}
