import { AppError } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import type { MediaStore } from './contract.ts'

/**
 * An object is shared by everything with the same bytes, so writing a row that names it and deleting it are done under one lock of
 * its key. Who writes a row calls this first, in the same transaction: until it ends nobody deletes the object.
 * Throws AppError `unavailable` when it was deleted since it was put: put it again.
 */
export async function holdObject(tx: Tx, store: MediaStore, key: string): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))', [key], 'object_hold')
  if ((await store.head(key)) === null) throw new AppError('unavailable', { message: 'The file was deleted while it was stored.' })
}

/** Deletes an object unless a row still names it. False: it stays. The lock is held until the transaction ends. */
export async function releaseObject(tx: Tx, store: MediaStore, key: string): Promise<boolean> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [key], 'object_lock')
  // A statement of its own: it has to see what was committed while the lock was waited for.
  const { rows } = await tx.query<{ kept: boolean }>('SELECT EXISTS (SELECT 1 FROM media WHERE storage_key = $1) OR EXISTS (SELECT 1 FROM calls WHERE recording_key = $1) AS kept', [key], 'object_kept')
  if (rows[0]!.kept) return false
  await store.delete(key)
  return true
}
