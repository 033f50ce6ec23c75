import type { Id, MediaRef } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'

/** WhatsApp keeps webhook media for 7 days; after that a download can only fail. */
const GIVE_UP_AFTER = '7 days'

export type DueMedia = { id: Id; tenantId: Id; numberId: Id; source: MediaRef; attempts: number; filename: string | null }

/** Lends due downloads to this process until `leaseMs` from now. What is older than the supplier keeps it becomes `failed`. */
export async function takeDueMedia(tx: Tx, limit: number, leaseMs: number): Promise<DueMedia[]> {
  await tx.query(`UPDATE media SET state = 'failed', error = 'expired', next_attempt_at = NULL WHERE state = 'pending' AND next_attempt_at <= now() AND created_at < now() - interval '${GIVE_UP_AFTER}'`)
  const { rows } = await tx.query<{ id: Id; tenant_id: Id; number_id: Id; source: MediaRef; attempts: number; filename: string | null }>(
    `WITH due AS (SELECT id FROM media WHERE state = 'pending' AND next_attempt_at <= now() ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED)
     UPDATE media m SET next_attempt_at = now() + make_interval(secs => $2::float8 / 1000), attempts = m.attempts + 1 FROM due WHERE m.id = due.id
     RETURNING m.id, m.tenant_id, m.number_id, m.source, m.attempts, m.filename`,
    [limit, leaseMs],
    'media_take',
  )
  return rows.map((row) => ({ id: row.id, tenantId: row.tenant_id, numberId: row.number_id, source: row.source, attempts: row.attempts, filename: row.filename }))
}

export type StoredMedia = { storageKey: string; sha256: string; sizeBytes: number; mimeType: string }

export async function markMediaStored(tx: Tx, id: Id, file: StoredMedia): Promise<void> {
  await tx.query(
    "UPDATE media SET state = 'stored', storage_key = $2, sha256 = $3, size_bytes = $4, mime_type = $5, stored_at = now(), next_attempt_at = NULL, error = NULL WHERE id = $1 AND state = 'pending'",
    [id, file.storageKey, file.sha256, file.sizeBytes, file.mimeType],
    'media_stored',
  )
}

/** `retryAt` null: for ever. `error` is a code, never a supplier's text. */
export async function markMediaFailed(tx: Tx, id: Id, error: string, retryAt: Date | null): Promise<void> {
  await tx.query(
    "UPDATE media SET state = CASE WHEN $3::timestamptz IS NULL THEN 'failed' ELSE 'pending' END, error = $2, next_attempt_at = $3 WHERE id = $1 AND state = 'pending'",
    [id, error, retryAt],
    'media_failed',
  )
}
