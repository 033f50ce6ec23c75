import { newId, type Id } from '@trunkline/core'
import type { Role } from '../access/scopes.ts'
import type { Tx } from '../tenancy.ts'

// Single-use links. Only a SHA-256 of the token is kept: it has 256 random bits. Runs under `db.system('auth')`.

export type EmailTokenPurpose = 'verify' | 'reset' | 'invite'
export type EmailToken = { id: string; userId: string; tenantId: string | null; role: Role | null }

export type NewEmailToken = { userId: Id; purpose: EmailTokenPurpose; tokenHash: Buffer; lifeMs: number; tenantId?: Id; role?: Role }

/** A new link of a purpose replaces the earlier ones (of the same tenant, for invitations). */
export async function insertEmailToken(tx: Tx, token: NewEmailToken): Promise<string> {
  const id = newId()
  await tx.query('UPDATE email_tokens SET used_at = now() WHERE user_id = $1 AND purpose = $2 AND tenant_id IS NOT DISTINCT FROM $3 AND used_at IS NULL', [token.userId, token.purpose, token.tenantId ?? null])
  await tx.query(
    'INSERT INTO email_tokens (id, user_id, tenant_id, purpose, role, token_hash, expires_at) VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7 / 1000.0))',
    [id, token.userId, token.tenantId ?? null, token.purpose, token.role ?? null, token.tokenHash, token.lifeMs],
  )
  return id
}

/** Uses the link up. Null: unknown, used, replaced or expired. */
export async function useEmailToken(tx: Tx, purpose: EmailTokenPurpose, tokenHash: Buffer): Promise<EmailToken | null> {
  const { rows } = await tx.query<EmailToken>(
    `UPDATE email_tokens SET used_at = now() WHERE token_hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now()
     RETURNING id, user_id AS "userId", tenant_id AS "tenantId", role`,
    [tokenHash, purpose],
  )
  return rows[0] ?? null
}

export type Invitation = { id: string; email: string; role: Role; expiresAt: Date; createdAt: Date }

/** Open invitations into a tenant, newest first. */
export async function listInvitations(tx: Tx, tenantId: Id, filter: { limit: number; before?: Id }): Promise<Invitation[]> {
  const { rows } = await tx.query<Invitation>(
    `SELECT e.id, u.email, e.role, e.expires_at AS "expiresAt", e.created_at AS "createdAt" FROM email_tokens e JOIN users u ON u.id = e.user_id
     WHERE e.tenant_id = $1 AND e.purpose = 'invite' AND e.used_at IS NULL AND e.expires_at > now() AND ($2::uuid IS NULL OR e.id < $2) ORDER BY e.id DESC LIMIT $3`,
    [tenantId, filter.before ?? null, filter.limit],
  )
  return rows
}

/** False when there is no such open invitation in this tenant. */
export async function withdrawInvitation(tx: Tx, tenantId: Id, id: Id): Promise<boolean> {
  const { rowCount } = await tx.query("UPDATE email_tokens SET used_at = now() WHERE id = $1 AND tenant_id = $2 AND purpose = 'invite' AND used_at IS NULL", [id, tenantId])
  return rowCount === 1
}
