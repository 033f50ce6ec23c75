import type { Id } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'

/** What is kept of an answer. The body is sealed: it may hold a secret that is shown once, or a customer's text. */
export type StoredAnswer = { status: number; contentType: string; sealedBody: Buffer }

export type IdempotencyClaim =
  /** This request is the first: run it, then `complete` or `release`. */
  | { state: 'claimed' }
  | { state: 'mismatch' }
  /** `ageMs`: how long the first one has been running. */
  | { state: 'running'; ageMs: number }
  | { state: 'answered'; answer: StoredAnswer }

const LIFETIME = "interval '24 hours'"
type Row = { same: boolean; status: number | null; response: { content_type: string; sealed: string } | null; age_ms: string }

/** One statement decides who is first, however many arrive together. A key older than 24 hours is free again. */
export async function claimIdempotencyKey(tx: Tx, tenantId: Id, key: string, fingerprint: Buffer): Promise<IdempotencyClaim> {
  const claimed = await tx.query(
    `INSERT INTO idempotency_keys AS k (tenant_id, key, fingerprint) VALUES ($1, $2, $3)
     ON CONFLICT (tenant_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = NULL, response = NULL, kept_bytes = 0, created_at = now(), completed_at = NULL
     WHERE k.created_at < now() - ${LIFETIME} RETURNING key`,
    [tenantId, key, fingerprint],
  )
  if (claimed.rowCount === 1) return { state: 'claimed' }
  const { rows } = await tx.query<Row>(
    'SELECT fingerprint = $3 AS same, status, response, extract(epoch FROM clock_timestamp() - created_at) * 1000 AS age_ms FROM idempotency_keys WHERE tenant_id = $1 AND key = $2',
    [tenantId, key, fingerprint],
  )
  const row = rows[0]
  // Released between the two statements: the twin failed, so the caller may come again.
  if (row === undefined) return { state: 'running', ageMs: 0 }
  if (!row.same) return { state: 'mismatch' }
  if (row.status === null || row.response === null) return { state: 'running', ageMs: Number(row.age_ms) }
  return { state: 'answered', answer: { status: row.status, contentType: row.response.content_type, sealedBody: Buffer.from(row.response.sealed, 'base64') } }
}

export async function completeIdempotencyKey(tx: Tx, tenantId: Id, key: string, answer: StoredAnswer): Promise<void> {
  const response = JSON.stringify({ content_type: answer.contentType, sealed: answer.sealedBody.toString('base64') })
  const kept = answer.sealedBody.length < COUNTED_BYTES ? 0 : answer.sealedBody.length
  await tx.query('UPDATE idempotency_keys SET status = $3, response = $4, kept_bytes = $5, completed_at = now() WHERE tenant_id = $1 AND key = $2', [tenantId, key, answer.status, response, kept])
}

/** Smaller answers are not counted: there is a row of theirs anyway. */
const COUNTED_BYTES = 64 * 1024

/** What is kept of a tenant's large answers. About: two at once may both find room. */
export async function keptIdempotentBytes(tx: Tx, tenantId: Id): Promise<number> {
  const { rows } = await tx.query<{ bytes: string }>('SELECT coalesce(sum(kept_bytes), 0)::text AS bytes FROM idempotency_keys WHERE tenant_id = $1 AND kept_bytes > 0', [tenantId])
  return Number(rows[0]!.bytes)
}

/** The request did nothing: the key is free for another try. */
export async function releaseIdempotencyKey(tx: Tx, tenantId: Id, key: string): Promise<void> {
  await tx.query('DELETE FROM idempotency_keys WHERE tenant_id = $1 AND key = $2 AND completed_at IS NULL', [tenantId, key])
}

/** Forgets keys past their life, `limit` at a time; gives how many. Run by the worker under `maintenance`. */
export async function purgeIdempotencyKeys(tx: Tx, limit = 5_000): Promise<number> {
  const { rowCount } = await tx.query(
    `DELETE FROM idempotency_keys WHERE (tenant_id, key) IN (SELECT tenant_id, key FROM idempotency_keys WHERE created_at < now() - ${LIFETIME} LIMIT $1)`,
    [limit],
  )
  return rowCount ?? 0
}
