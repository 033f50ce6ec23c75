import type { Id } from '@trunkline/core'
import { and, desc, eq, isNull, lt, or, sql } from 'drizzle-orm'
import type { Scope } from '../access/scopes.ts'
import { apiKeys } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'

/** A key as its owner may see it: never the text, never a hash. */
export type ApiKey = {
  id: string
  projectId: string
  name: string
  environment: string
  keyId: string
  lastFour: string
  scopes: Scope[]
  expiresAt: Date | null
  revokedAt: Date | null
  graceUntil: Date | null
  rotatedTo: string | null
  lastUsedAt: Date | null
  createdAt: Date
}

export type NewApiKey = {
  id: Id
  tenantId: Id
  projectId: Id
  name: string
  environment: string
  keyId: string
  secretHash: string
  digest: Buffer
  lastFour: string
  scopes: Scope[]
  expiresAt: Date | null
  createdBy: Id | null
}

const shown = {
  id: apiKeys.id,
  projectId: apiKeys.projectId,
  name: apiKeys.name,
  environment: apiKeys.environment,
  keyId: apiKeys.keyId,
  lastFour: apiKeys.lastFour,
  scopes: sql<Scope[]>`${apiKeys.scopes}`,
  expiresAt: apiKeys.expiresAt,
  revokedAt: apiKeys.revokedAt,
  graceUntil: apiKeys.graceUntil,
  rotatedTo: apiKeys.rotatedTo,
  lastUsedAt: apiKeys.lastUsedAt,
  createdAt: apiKeys.createdAt,
}

export async function insertKey(tx: Tx, key: NewApiKey): Promise<ApiKey> {
  const [row] = await tx.orm.insert(apiKeys).values(key).returning(shown)
  return row!
}

/** Newest first, `limit` rows at most. */
export const listKeys = (tx: Tx, filter: { limit: number; before?: Id; projectId?: Id }): Promise<ApiKey[]> =>
  tx.orm
    .select(shown)
    .from(apiKeys)
    .where(and(filter.before === undefined ? undefined : lt(apiKeys.id, filter.before), filter.projectId === undefined ? undefined : eq(apiKeys.projectId, filter.projectId)))
    .orderBy(desc(apiKeys.id))
    .limit(filter.limit)

/** `digest` in hexadecimal is the name of the key's verdict in caches. */
export async function findKey(tx: Tx, id: Id): Promise<(ApiKey & { digest: string }) | null> {
  const [row] = await tx.orm.select({ ...shown, digest: sql<string>`encode(${apiKeys.digest}, 'hex')` }).from(apiKeys).where(eq(apiKeys.id, id))
  return row ?? null
}

export async function revokeKey(tx: Tx, id: Id): Promise<ApiKey | null> {
  const [row] = await tx.orm.update(apiKeys).set({ revokedAt: sql`coalesce(${apiKeys.revokedAt}, now())` }).where(eq(apiKeys.id, id)).returning(shown)
  return row ?? null
}

/** The old key of a rotation works until `graceUntil`. False when it was revoked or rotated before: only one of two rotations wins. */
export async function retireKey(tx: Tx, id: Id, rotatedTo: Id, graceUntil: Date): Promise<boolean> {
  const rows = await tx.orm
    .update(apiKeys)
    .set({ graceUntil, rotatedTo })
    .where(and(eq(apiKeys.id, id), isNull(apiKeys.revokedAt), isNull(apiKeys.rotatedTo), or(isNull(apiKeys.expiresAt), sql`${apiKeys.expiresAt} > now()`)))
    .returning({ id: apiKeys.id })
  return rows.length === 1
}

/** What a check needs to know, tenant and project included. Times are Unix milliseconds. */
export type KeyFacts = {
  id: string
  tenantId: string
  projectId: string
  scopes: Scope[]
  endsAtMs: number | null
  revoked: boolean
  suspended: boolean
  projectRateLimitPerMinute: number | null
}

/** By digest (hexadecimal), those that there are. Across tenants (`auth`): the key's text is all there is to go by. */
export async function findKeyFacts(tx: Pick<Tx, 'query'>, asked: readonly { keyId: string; digest: string }[]): Promise<Map<string, KeyFacts>> {
  const { rows } = await tx.query<Omit<KeyFacts, 'endsAtMs'> & { digest: string; endsAtMs: string | null }>(
    `SELECT a.digest, k.id, k.tenant_id AS "tenantId", k.project_id AS "projectId", k.scopes, k.revoked_at IS NOT NULL OR p.archived_at IS NOT NULL AS revoked,
            t.status = 'suspended' AS suspended, p.rate_limit_per_minute AS "projectRateLimitPerMinute",
            floor(extract(epoch FROM least(k.expires_at, k.grace_until)) * 1000)::text AS "endsAtMs"
     FROM unnest($1::text[], $2::text[]) AS a (key_id, digest) JOIN api_keys k ON k.key_id = a.key_id AND k.digest = decode(a.digest, 'hex')
     JOIN tenants t ON t.id = k.tenant_id JOIN projects p ON p.id = k.project_id`,
    [asked.map(({ keyId }) => keyId), asked.map(({ digest }) => digest)],
    'key-facts',
  )
  return new Map(rows.map(({ digest, endsAtMs, ...facts }) => [digest, { ...facts, endsAtMs: endsAtMs === null ? null : Number(endsAtMs) }]))
}

/** Batched: one statement for all keys that were used since the last call. */
export async function touchKeys(tx: Tx, used: { id: string; atMs: number }[]): Promise<void> {
  await tx.query(
    `UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, to_timestamp(u.at_ms / 1000.0))
     FROM unnest($1::uuid[], $2::float8[]) AS u (id, at_ms) WHERE k.id = u.id`,
    [used.map(({ id }) => id), used.map(({ atMs }) => atMs)],
  )
}
