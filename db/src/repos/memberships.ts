import type { Id } from '@trunkline/core'
import type { Role } from '../access/scopes.ts'
import type { Tx } from '../tenancy.ts'

// Joined with users, which only the system role reads: every function here runs under `db.system` and names its tenant.

export type Membership = { tenantId: string; tenantName: string; role: Role }
export type Member = { userId: string; email: string; name: string; role: Role; emailVerified: boolean; createdAt: Date }

/** Oldest first: the first is where a log-in without a choice goes. Suspended tenants included. */
export async function listMembershipsOf(tx: Tx, userId: Id): Promise<Membership[]> {
  const { rows } = await tx.query<Membership>(
    'SELECT m.tenant_id AS "tenantId", t.name AS "tenantName", m.role FROM memberships m JOIN tenants t ON t.id = m.tenant_id WHERE m.user_id = $1 ORDER BY m.created_at, m.tenant_id',
    [userId],
  )
  return rows
}

/** False when the person is a member already. */
export async function insertMembership(tx: Tx, membership: { tenantId: Id; userId: Id; role: Role }): Promise<boolean> {
  const { rowCount } = await tx.query('INSERT INTO memberships (tenant_id, user_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING', [membership.tenantId, membership.userId, membership.role])
  return rowCount === 1
}

const MEMBER = `SELECT u.id AS "userId", u.email, u.name, m.role, u.email_verified_at IS NOT NULL AS "emailVerified", m.created_at AS "createdAt"
  FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.tenant_id = $1`

/** By user id, newest first. */
export async function listMembers(tx: Tx, tenantId: Id, filter: { limit: number; before?: Id }): Promise<Member[]> {
  const { rows } = await tx.query<Member>(`${MEMBER} AND ($2::uuid IS NULL OR u.id < $2) ORDER BY u.id DESC LIMIT $3`, [tenantId, filter.before ?? null, filter.limit])
  return rows
}

export async function findMember(tx: Tx, tenantId: Id, userId: Id): Promise<Member | null> {
  const { rows } = await tx.query<Member>(`${MEMBER} AND u.id = $2`, [tenantId, userId])
  return rows[0] ?? null
}

/** Locks the tenant's owners until the transaction ends, so that two cannot take each other out; gives their ids. */
export async function lockOwners(tx: Tx, tenantId: Id): Promise<string[]> {
  const { rows } = await tx.query<{ user_id: string }>("SELECT user_id FROM memberships WHERE tenant_id = $1 AND role = 'owner' ORDER BY user_id FOR UPDATE", [tenantId])
  return rows.map((row) => row.user_id)
}

export async function setRole(tx: Tx, tenantId: Id, userId: Id, role: Role): Promise<void> {
  await tx.query('UPDATE memberships SET role = $3 WHERE tenant_id = $1 AND user_id = $2', [tenantId, userId, role])
}

export async function deleteMembership(tx: Tx, tenantId: Id, userId: Id): Promise<void> {
  await tx.query('DELETE FROM memberships WHERE tenant_id = $1 AND user_id = $2', [tenantId, userId])
}
