import { newId, type Id } from '@trunkline/core'
import type { Role } from '../access/scopes.ts'
import type { Tx } from '../tenancy.ts'

// A session is a family of refresh tokens: each is used once and gives the next. Runs under `db.system('auth')`.

/** A browser with two tabs, or an answer lost on the way, may bring a token twice within this time without being a thief. */
export const REUSE_GRACE_MS = 10_000

export type NewRefreshToken = { familyId: Id; userId: Id; tenantId: Id; tokenHash: Buffer; expiresAt: Date }

export async function insertRefreshToken(tx: Tx, token: NewRefreshToken): Promise<void> {
  await tx.query('INSERT INTO refresh_tokens (id, family_id, user_id, tenant_id, token_hash, expires_at) VALUES ($1, $2, $3, $4, $5, $6)', [newId(), token.familyId, token.userId, token.tenantId, token.tokenHash, token.expiresAt])
}

export type RefreshOutcome =
  | { state: 'rotate'; familyId: string; userId: string; tenantId: string }
  /** Used before, and not just now: the whole family has been revoked by this call. */
  | { state: 'reused'; familyId: string; tenantId: string; userId: string }
  | { state: 'unknown' }

type Row = { family_id: string; user_id: string; tenant_id: string; live: boolean; fresh: boolean }

/** Marks a token as used. Commit whatever it says: a revocation must stand although the caller is refused. */
export async function useRefreshToken(tx: Tx, tokenHash: Buffer): Promise<RefreshOutcome> {
  const { rows } = await tx.query<Row>(
    `SELECT family_id, user_id, tenant_id, revoked_at IS NULL AND expires_at > now() AS live,
            used_at IS NULL OR used_at > clock_timestamp() - make_interval(secs => $2 / 1000.0) AS fresh
     FROM refresh_tokens WHERE token_hash = $1 FOR UPDATE`,
    [tokenHash, REUSE_GRACE_MS],
  )
  const row = rows[0]
  if (row === undefined || !row.live) return { state: 'unknown' }
  const owner = { familyId: row.family_id, userId: row.user_id, tenantId: row.tenant_id }
  if (!row.fresh) {
    await revokeFamily(tx, row.family_id)
    return { state: 'reused', ...owner }
  }
  await tx.query('UPDATE refresh_tokens SET used_at = coalesce(used_at, clock_timestamp()) WHERE token_hash = $1', [tokenHash])
  return { state: 'rotate', ...owner }
}

export async function revokeFamily(tx: Tx, familyId: Id): Promise<void> {
  await tx.query('UPDATE refresh_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE family_id = $1', [familyId])
}

/** Ends a person's sessions, in one tenant or in all, but for `exceptFamilyId`; gives the families that ended. */
export async function revokeSessionsOf(tx: Tx, userId: Id, options: { tenantId?: Id; exceptFamilyId?: Id } = {}): Promise<string[]> {
  const { rows } = await tx.query<{ family_id: string }>(
    `UPDATE refresh_tokens SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL
       AND ($2::uuid IS NULL OR tenant_id = $2) AND ($3::uuid IS NULL OR family_id <> $3) RETURNING family_id`,
    [userId, options.tenantId ?? null, options.exceptFamilyId ?? null],
  )
  return [...new Set(rows.map((row) => row.family_id))]
}

/** What a check of an access token needs to know. */
export type SessionFacts = { userId: string; tenantId: string; role: Role; suspended: boolean; platformAdmin: boolean }

/** By family; one that is not there is logged out, expired, or no longer a member's. */
export async function findSessionFacts(tx: Tx, familyIds: readonly Id[]): Promise<Map<Id, SessionFacts>> {
  const { rows } = await tx.query<SessionFacts & { familyId: Id }>(
    `SELECT DISTINCT r.family_id AS "familyId", r.user_id AS "userId", r.tenant_id AS "tenantId", m.role, t.status = 'suspended' AS suspended, u.platform_admin AS "platformAdmin"
     FROM refresh_tokens r JOIN memberships m ON m.user_id = r.user_id AND m.tenant_id = r.tenant_id JOIN tenants t ON t.id = r.tenant_id JOIN users u ON u.id = r.user_id
     WHERE r.family_id = ANY($1::uuid[]) AND r.revoked_at IS NULL AND r.expires_at > now()`,
    [familyIds],
    'session-facts',
  )
  return new Map(rows.map(({ familyId, ...facts }) => [familyId, facts]))
}

/** Forgets tokens that ended more than 30 days ago. Run by the worker under `maintenance`. */
export async function purgeRefreshTokens(tx: Tx, limit = 5_000): Promise<number> {
  const { rowCount } = await tx.query("DELETE FROM refresh_tokens WHERE id IN (SELECT id FROM refresh_tokens WHERE expires_at < now() - interval '30 days' LIMIT $1)", [limit])
  return rowCount ?? 0
}
