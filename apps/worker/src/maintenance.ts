import type { Logger } from '@trunkline/core'
import { deleteOrphans, ensurePartitions, ledger, purgeIdempotencyKeys, type Db, type MediaStore } from '@trunkline/db'

type Deps = { db: Db; log: Logger }

const ORPHANS_BATCH = 50

/** Holds whose turn never ended give their credits back. */
export async function expireOldHolds({ db, log }: Deps): Promise<void> {
  for (;;) {
    const expired = await db.system('ledger', (tx) => ledger.expireHolds(tx, Date.now(), 500))
    if (expired.length > 0) log.info({ expired: expired.length }, 'holds expired')
    if (expired.length < 500) return
  }
}

/** Partitions of the coming months, answers of old idempotency keys, and what visitors uploaded and never sent. */
export async function tidyUp({ db, log, store }: Deps & { store: MediaStore }): Promise<void> {
  const made = await db.system('maintenance', (tx) => ensurePartitions(tx))
  const purged = await db.system('maintenance', (tx) => purgeIdempotencyKeys(tx))
  const orphans = await deleteAllOrphans(db, store)
  if (made + purged + orphans > 0) log.info({ partitionsMade: made, idempotencyKeysPurged: purged, uploadsDeleted: orphans }, 'maintenance done')
}

/** In small transactions: their files are deleted within. */
async function deleteAllOrphans(db: Db, store: MediaStore): Promise<number> {
  for (let deleted = 0; ; ) {
    const found = await db.system('maintenance', (tx) => deleteOrphans(tx, store, ORPHANS_BATCH))
    deleted += found
    if (found < ORPHANS_BATCH) return deleted
  }
}
