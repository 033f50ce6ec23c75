import type { Logger } from '@trunkline/core'
import { ensurePartitions, ledger, purgeIdempotencyKeys, type Db } from '@trunkline/db'

type Deps = { db: Db; log: Logger }

/** Holds whose turn never ended give their credits back. */
export async function expireOldHolds({ db, log }: Deps): Promise<void> {
  for (;;) {
    const expired = await db.system('ledger', (tx) => ledger.expireHolds(tx, Date.now(), 500))
    if (expired.length > 0) log.info({ expired: expired.length }, 'holds expired')
    if (expired.length < 500) return
  }
}

/** Partitions of the coming months, and answers of old idempotency keys. */
export async function tidyUp({ db, log }: Deps): Promise<void> {
  const made = await db.system('maintenance', (tx) => ensurePartitions(tx))
  const purged = await db.system('maintenance', (tx) => purgeIdempotencyKeys(tx))
  if (made + purged > 0) log.info({ partitionsMade: made, idempotencyKeysPurged: purged }, 'maintenance done')
}
