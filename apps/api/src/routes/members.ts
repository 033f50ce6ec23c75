import { AppError, Id, newId } from '@trunkline/core'
import { deleteMembership, findMember, findTenant, findUser, findUserByEmail, insertEmailToken, insertUser, listInvitations, listMembers, lockOwners, NO_PASSWORD, revokeSessionsOf, Role, setRole, withdrawInvitation, type Member as MemberRow, type Tx } from '@trunkline/db'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { Auth } from '../auth.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { found } from '../found.ts'
import { invitationMail } from '../mails.ts'
import { Email } from '../password-rules.ts'
import { hashSecret, newSecret } from '../tokens.ts'
import { decodeIdCursor, Done, encodeCursor, IdParams, pageOf, PageQuery, Time, toPage, toWire } from '../wire.ts'

const INVITATION_LIFE_MS = 7 * 24 * 3_600_000

const MEMBER_EXAMPLE = { user_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5e', email: 'ada@example.com', name: 'Ada', role: 'owner' as const, email_verified: true, created_at: '2026-11-20T09:30:00.000Z' }
const INVITATION_EXAMPLE = { id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5f', email: 'grace@example.com', role: 'developer' as const, expires_at: '2026-11-27T09:30:00.000Z', created_at: '2026-11-20T09:30:00.000Z' }

const Member = z.object({ user_id: Id, email: z.string(), name: z.string(), role: Role, email_verified: z.boolean(), created_at: Time }).meta({ id: 'Member', examples: [MEMBER_EXAMPLE] })
const Invitation = z.object({ id: Id, email: z.string(), role: Role, expires_at: Time, created_at: Time }).meta({ id: 'Invitation', examples: [INVITATION_EXAMPLE] })
const MemberPage = pageOf(Member).meta({ id: 'MemberPage', examples: [{ data: [MEMBER_EXAMPLE], has_more: false, next_cursor: null }] })
const InvitationPage = pageOf(Invitation).meta({ id: 'InvitationPage', examples: [{ data: [INVITATION_EXAMPLE], has_more: false, next_cursor: null }] })
const InvitationCreate = z.strictObject({ email: Email, role: Role }).meta({ id: 'InvitationCreate', examples: [{ email: 'grace@example.com', role: 'developer' }] })
const MemberPatch = z.strictObject({ role: Role }).meta({ id: 'MemberPatch', examples: [{ role: 'admin' }] })

const tags = ['members']
const reading = { access: { scope: 'members:read' } } as const
const writing = { access: { scope: 'members:write', roles: ['owner', 'admin'] } } as const

/** People of a tenant. Owners are made and unmade by owners only, and the last one stays. */
export function registerMembers(app: ApiApp, deps: ApiDeps): void {
  registerInvitations(app, deps)

  app.get('/v1/admin/members', { config: reading, schema: { tags, summary: 'List members', querystring: PageQuery, response: { 200: MemberPage } } }, async ({ auth, query }) => {
    const rows = await deps.db.system('auth', (tx) => listMembers(tx, auth.tenantId, { limit: query.limit + 1, before: decodeIdCursor(query.cursor) }))
    return toPage(rows, query.limit, (row) => encodeCursor(row.userId))
  })

  app.patch('/v1/admin/members/:id', { config: writing, schema: { tags, summary: 'Change the role of a member', params: IdParams, body: MemberPatch, response: { 200: Member } } }, async (request) => {
    const { auth, params, body } = request
    const member = await deps.db.system('auth', async (tx) => {
      const old = await changeable(tx, auth, params.id, body.role)
      await setRole(tx, auth.tenantId, params.id, body.role)
      await audit(tx, request, { action: 'member.role_changed', target: { kind: 'user', id: params.id }, changes: { from: old.role, to: body.role } })
      return { ...old, role: body.role }
    })
    await deps.access.dropTenant(auth.tenantId)
    return toWire(member)
  })

  app.delete('/v1/admin/members/:id', { config: writing, schema: { tags, summary: 'Remove a member; their sessions here end', params: IdParams, response: { 200: Done } } }, async (request) => {
    const { auth, params } = request
    await deps.db.system('auth', async (tx) => {
      await changeable(tx, auth, params.id, null)
      await deleteMembership(tx, auth.tenantId, params.id)
      await revokeSessionsOf(tx, params.id, { tenantId: auth.tenantId })
      await audit(tx, request, { action: 'member.removed', target: { kind: 'user', id: params.id } })
    })
    await deps.access.dropTenant(auth.tenantId)
    return { ok: true as const }
  })
}

function registerInvitations(app: ApiApp, deps: ApiDeps): void {
  app.get('/v1/admin/invitations', { config: reading, schema: { tags, summary: 'List open invitations', querystring: PageQuery, response: { 200: InvitationPage } } }, async ({ auth, query }) => {
    const rows = await deps.db.system('auth', (tx) => listInvitations(tx, auth.tenantId, { limit: query.limit + 1, before: decodeIdCursor(query.cursor) }))
    return toPage(rows, query.limit, (row) => encodeCursor(row.id))
  })

  app.post('/v1/admin/invitations', { config: { ...writing, idempotent: true }, schema: { tags, summary: 'Invite somebody by e-mail; a second invitation replaces the first', body: InvitationCreate, response: { 201: Invitation } } }, async (request, reply) => {
    const { auth, body } = request
    requireOwnerFor(auth, [body.role])
    const token = newSecret('tli_')
    const expiresAt = new Date(deps.clock.nowMs() + INVITATION_LIFE_MS)
    const made = await deps.db.system('auth', async (tx) => {
      await requireVerified(tx, auth)
      const user = await invited(tx, body.email)
      if ((await findMember(tx, auth.tenantId, user.id)) !== null) throw new AppError('conflict', { message: 'This person is a member already.', param: 'body.email' })
      const id = await insertEmailToken(tx, { userId: user.id, tenantId: auth.tenantId, role: body.role, purpose: 'invite', tokenHash: hashSecret(token), lifeMs: INVITATION_LIFE_MS })
      await audit(tx, request, { action: 'member.invited', target: { kind: 'user', id: user.id }, changes: { role: body.role } })
      return { id, email: user.email, tenantName: found(await findTenant(tx, auth.tenantId)).name }
    })
    deps.mailer.send(invitationMail(deps.config, made.email, token, made.tenantName))
    return reply.code(201).send(toWire({ id: made.id, email: body.email, role: body.role, expiresAt, createdAt: new Date(deps.clock.nowMs()) }))
  })

  app.delete('/v1/admin/invitations/:id', { config: writing, schema: { tags, summary: 'Withdraw an invitation', params: IdParams, response: { 200: Done } } }, async (request) => {
    const { auth, params } = request
    await deps.db.system('auth', async (tx) => {
      found((await withdrawInvitation(tx, auth.tenantId, params.id)) || null)
      await audit(tx, request, { action: 'invitation.withdrawn', target: { kind: 'invitation', id: params.id } })
    })
    return { ok: true as const }
  })
}

/** Whoever makes us write to strangers has an address themselves. */
async function requireVerified(tx: Tx, auth: Auth): Promise<void> {
  const user = await findUser(tx, auth.actor.id)
  if (user?.emailVerifiedAt == null) throw new AppError('email_not_verified')
}

async function invited(tx: Tx, email: string): Promise<{ id: string; email: string }> {
  return found((await findUserByEmail(tx, email)) ?? (await insertUser(tx, { id: newId(), email, name: '', passwordHash: NO_PASSWORD })) ?? (await findUserByEmail(tx, email)))
}

/** The member, once it is clear that this caller may give them `role` (null: take them out). */
async function changeable(tx: Tx, auth: Auth, userId: string, role: Role | null): Promise<MemberRow> {
  const owners = await lockOwners(tx, auth.tenantId)
  const member = found(await findMember(tx, auth.tenantId, userId))
  requireOwnerFor(auth, role === null ? [member.role] : [member.role, role])
  if (member.role === 'owner' && role !== 'owner' && owners.length <= 1) throw new AppError('invalid_state', { message: 'The last owner stays. Make somebody else an owner first.', param: 'params.id' })
  return member
}

function requireOwnerFor(auth: Auth, roles: Role[]): void {
  if (roles.includes('owner') && auth.role !== 'owner') throw new AppError('permission_denied', { message: 'Only an owner makes or changes owners.' })
}
