import { AppError } from '@trunkline/core'
import { findUser, findUserByEmail, insertEmailToken, insertMembership, markEmailVerified, NO_PASSWORD, revokeSessionsOf, Role, setPassword, useEmailToken, writeAudit, type EmailTokenPurpose, type Tx } from '@trunkline/db'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { countTry } from '../guessing.ts'
import { resetMail, verificationMail } from '../mails.ts'
import { Email, NewPassword, TypedPassword } from '../password-rules.ts'
import { issueSession, SESSION_EXAMPLE, SessionTokens } from '../session.ts'
import { VERIFY_LIFE_MS } from '../sign-up.ts'
import { hashSecret, newSecret } from '../tokens.ts'
import { Done } from '../wire.ts'
import { checkPassword } from './auth.ts'

const RESET_LIFE_MS = 3_600_000
const EVEN_TIME_MS = 60

const Token = z.string().min(1).max(200)
const TokenBody = z.strictObject({ token: Token }).meta({ id: 'MailToken', examples: [{ token: 'tlv_4Zk...' }] })
const EmailBody = z.strictObject({ email: Email }).meta({ id: 'EmailAddress', examples: [{ email: 'ada@example.com' }] })
const ResetBody = z.strictObject({ token: Token, password: NewPassword }).meta({ id: 'PasswordReset', examples: [{ token: 'tlp_4Zk...', password: 'correct horse battery staple' }] })
const ChangeBody = z.strictObject({ current_password: TypedPassword, new_password: NewPassword }).meta({ id: 'PasswordChange', examples: [{ current_password: 'correct horse battery staple', new_password: 'staple battery horse correct' }] })
const AcceptBody = z
  .strictObject({ token: Token, name: z.string().trim().min(1).max(200).optional(), password: NewPassword.optional().meta({ description: 'Needed by people who have no account yet; ignored for others' }) })
  .meta({ id: 'InvitationAccept', examples: [{ token: 'tli_4Zk...', name: 'Grace', password: 'correct horse battery staple' }] })
const AcceptedBody = SessionTokens.extend({ role: Role }).meta({ id: 'InvitationAccepted', examples: [{ ...SESSION_EXAMPLE, role: 'developer' }] })

const tags = ['auth']
const open = { access: 'public', idempotent: false } as const
const people = { access: { scope: 'tenants:read', roles: Role.options }, idempotent: false } as const
const done = { ok: true as const }

/** What a person does with their own account: verify, forget, change, accept. Nothing here tells whether an address is known. */
export function registerAccount(app: ApiApp, deps: ApiDeps): void {
  registerVerification(app, deps)
  registerPasswords(app, deps)

  app.post('/v1/auth/invitations/accept', { config: open, schema: { tags, summary: 'Accept an invitation and log in', body: AcceptBody, response: { 200: AcceptedBody } } }, async (request) => {
    const { token, name, password } = request.body
    // Hashed before anything is known, so that the transaction is short.
    const passwordHash = password === undefined ? null : await deps.access.passwords.hash(password)
    const accepted = await deps.db.system('auth', async (tx) => {
      const invitation = await spend(tx, 'invite', token)
      const { userId, tenantId, role } = invitation
      if (tenantId === null || role === null) throw new AppError('invalid_token')
      const user = await findUser(tx, userId)
      if (user?.passwordHash === NO_PASSWORD) {
        if (passwordHash === null) throw new AppError('invalid_request', { message: 'Choose a password: this address has no account yet.', param: 'body.password' })
        await setPassword(tx, userId, passwordHash, name)
      }
      await markEmailVerified(tx, userId)
      await insertMembership(tx, { tenantId, userId, role })
      await writeAudit(tx, { tenantId, actor: { kind: 'user', id: userId }, action: 'member.joined', target: { kind: 'user', id: userId }, changes: { role }, requestId: request.id, ip: request.ip })
      return { ...(await issueSession(tx, deps, { userId, tenantId })), role }
    })
    return accepted
  })
}

function registerVerification(app: ApiApp, deps: ApiDeps): void {
  app.post('/v1/auth/verify-email', { config: open, schema: { tags, summary: 'Confirm an e-mail address', body: TokenBody, response: { 200: Done } } }, async (request) => {
    await deps.db.system('auth', async (tx) => markEmailVerified(tx, (await spend(tx, 'verify', request.body.token)).userId))
    return done
  })

  app.post('/v1/auth/verify-email/resend', { config: open, schema: { tags, summary: 'Send the confirmation again; says the same for any address', body: EmailBody, response: { 202: Done } } }, async (request, reply) => {
    const { email } = request.body
    await countTry(deps, request, `verify:${email}`)
    await inEvenTime(deps, async () => {
      const token = newSecret('tlv_')
      const to = await deps.db.system('auth', async (tx) => {
        const user = await findUserByEmail(tx, email)
        if (user === null || user.emailVerifiedAt !== null) return null
        await insertEmailToken(tx, { userId: user.id, purpose: 'verify', tokenHash: hashSecret(token), lifeMs: VERIFY_LIFE_MS })
        return user.email
      })
      if (to !== null) deps.mailer.send(verificationMail(deps.config, to, token))
    })
    return reply.code(202).send(done)
  })
}

function registerPasswords(app: ApiApp, deps: ApiDeps): void {
  app.post('/v1/auth/forgot-password', { config: open, schema: { tags, summary: 'Send a link for a new password; says the same for any address', body: EmailBody, response: { 202: Done } } }, async (request, reply) => {
    const { email } = request.body
    await countTry(deps, request, `reset:${email}`)
    await inEvenTime(deps, async () => {
      const token = newSecret('tlp_')
      const to = await deps.db.system('auth', async (tx) => {
        const user = await findUserByEmail(tx, email)
        if (user === null) return null
        await insertEmailToken(tx, { userId: user.id, purpose: 'reset', tokenHash: hashSecret(token), lifeMs: RESET_LIFE_MS })
        return user.email
      })
      if (to !== null) deps.mailer.send(resetMail(deps.config, to, token))
    })
    return reply.code(202).send(done)
  })

  app.post('/v1/auth/reset-password', { config: open, schema: { tags, summary: 'Choose a new password with a link; ends all sessions', body: ResetBody, response: { 200: Done } } }, async (request) => {
    const passwordHash = await deps.access.passwords.hash(request.body.password)
    const ended = await deps.db.system('auth', async (tx) => {
      const { userId } = await spend(tx, 'reset', request.body.token)
      await setPassword(tx, userId, passwordHash)
      // Whoever has the link reads the mail: the address is theirs.
      await markEmailVerified(tx, userId)
      return revokeSessionsOf(tx, userId)
    })
    await deps.access.dropSessions(ended)
    return done
  })

  app.post('/v1/auth/change-password', { config: people, schema: { tags, summary: 'Change my password; ends my other sessions', body: ChangeBody, response: { 200: Done } } }, async (request) => {
    const { actor, sessionId } = request.auth
    const user = await deps.db.system('auth', (tx) => findUser(tx, actor.id))
    if (user === null) throw new AppError('invalid_token')
    await checkPassword(deps, request, user.email, request.body.current_password)
    const passwordHash = await deps.access.passwords.hash(request.body.new_password)
    const ended = await deps.db.system('auth', async (tx) => {
      await setPassword(tx, user.id, passwordHash)
      return revokeSessionsOf(tx, user.id, { exceptFamilyId: sessionId ?? undefined })
    })
    await deps.access.dropSessions(ended)
    return done
  })
}

/** Longer than the work takes, so that how long it took does not tell whether the address is known. */
async function inEvenTime(deps: ApiDeps, work: () => Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  deps.clock.after(EVEN_TIME_MS, resolve)
  await Promise.all([work(), promise])
}

async function spend(tx: Tx, purpose: EmailTokenPurpose, token: string) {
  const spent = await useEmailToken(tx, purpose, hashSecret(token))
  if (spent === null) throw new AppError('invalid_token', { message: 'This link is not valid any more. Ask for a new one.', param: 'body.token' })
  return spent
}

