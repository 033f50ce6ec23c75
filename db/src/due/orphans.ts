import type { MediaStore } from '../storage/contract.ts'
import { releaseObject } from '../storage/object-lock.ts'
import type { Tx } from '../tenancy.ts'

/** A visitor's upload that no message names is deleted after this time; it cannot be sent any more an hour before (repos/webchat.ts). */
const ORPHAN_AFTER = '24 hours'

/**
 * Deletes up to `limit` uploads that visitors never sent, with their objects unless something else has the same bytes. Answers with how
 * many. An object goes before its row is gone for good: whoever dies in between leaves a row, which the next run finds.
 */
export async function deleteOrphans(tx: Tx, store: MediaStore, limit: number): Promise<number> {
  const { rows } = await tx.query<{ storage_key: string | null }>(
    `DELETE FROM media WHERE id IN (
       SELECT id FROM media WHERE message_id IS NULL AND source ? 'visitorId' AND created_at < now() - interval '${ORPHAN_AFTER}' ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED
     ) RETURNING storage_key`,
    [limit],
    'orphans_delete',
  )
  // Each once, and in one order for everybody.
  const keys = [...new Set(rows.flatMap((row) => row.storage_key ?? []))].toSorted()
  for (const key of keys) await releaseObject(tx, store, key)
  return rows.length
}
