import { AppError, newId } from '@trunkline/core'
import { findUserByEmail, insertEmailToken, insertMembership, insertProject, insertTenant, insertUser, NO_PASSWORD, SCOPES, setPassword, writeAudit, type ApiKey, type Project, type Tenant, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import type { ApiDeps } from './deps.ts'
import { verificationMail } from './mails.ts'
import { prepareKey, storeKey } from './new-key.ts'
import { issueSession, type SessionTokens } from './session.ts'
import { hashSecret, newSecret } from './tokens.ts'

export const VERIFY_LIFE_MS = 24 * 3_600_000

export type SignUp = { email: string; password: string; name: string; tenantName: string }
export type SignedUp = { tenant: Tenant; project: Project; userId: string; apiKey: ApiKey & { key: string }; session: SessionTokens }

/** All in one transaction, receptionist and starting credit included: there is no half of a tenant. The hashes are made before it. */
export async function signUp(deps: ApiDeps, request: FastifyRequest, input: SignUp): Promise<SignedUp> {
  const passwordHash = await deps.access.passwords.hash(input.password)
  const prepared = await prepareKey({ keyring: deps.keyring, passwords: deps.access.passwords }, 'production')
  const token = newSecret('tlv_')
  const signedUp = await deps.db.system('sign-up', async (tx) => {
    const userId = await createUser(tx, { ...input, passwordHash })
    const tenant = await insertTenant(tx, { id: newId(), name: input.tenantName })
    const project = await insertProject(tx, { id: newId(), tenantId: tenant.id, name: 'Production', environment: 'production' })
    if (project === null) throw new AppError('internal')
    await insertMembership(tx, { tenantId: tenant.id, userId, role: 'owner' })
    const apiKey = await storeKey(tx, prepared, { tenantId: tenant.id, projectId: project.id, name: 'First key', scopes: [...SCOPES], expiresAt: null, createdBy: userId })
    const afterwards = await deps.provision(tx, { tenantId: tenant.id, projectId: project.id })
    await insertEmailToken(tx, { userId, purpose: 'verify', tokenHash: hashSecret(token), lifeMs: VERIFY_LIFE_MS })
    await writeAudit(tx, { tenantId: tenant.id, actor: { kind: 'user', id: userId }, action: 'tenant.created', target: { kind: 'tenant', id: tenant.id }, requestId: request.id, ip: request.ip })
    return { afterwards, made: { tenant, project, userId, apiKey, session: await issueSession(tx, deps, { userId, tenantId: tenant.id }) } }
  })
  // The tenant exists by now: what fails here is told to the operator and can be done again.
  await signedUp.afterwards().catch((error: unknown) => deps.log.warn({ error, tenantId: signedUp.made.tenant.id }, 'sign-up could not be finished'))
  deps.mailer.send(verificationMail(deps.config, input.email, token))
  return signedUp.made
}

/** A person who was only invited so far has no password: signing up gives them one. The address still has to be verified. */
async function createUser(tx: Tx, user: { email: string; name: string; passwordHash: string }): Promise<string> {
  const created = await insertUser(tx, { id: newId(), email: user.email, name: user.name, passwordHash: user.passwordHash })
  if (created !== null) return created.id
  const existing = await findUserByEmail(tx, user.email)
  if (existing === null || existing.passwordHash !== NO_PASSWORD) throw new AppError('conflict', { message: 'This e-mail address has an account. Log in instead.', param: 'body.email' })
  await setPassword(tx, existing.id, user.passwordHash, user.name)
  return existing.id
}
