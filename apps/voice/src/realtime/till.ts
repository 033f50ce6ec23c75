import type { Id } from '@trunkline/core'
import type { Db, Tx } from '@trunkline/db'

/**
 * Transactions on the wallets of tenants, one at a time for each. Bug: a tenant that asked for much at once had all connections to Postgres
 * wait for the lock of its own wallet; everybody else's answers waited five seconds and failed, and what was used was not charged.
 */
export type Till = <R>(tenantId: Id, work: (tx: Tx) => Promise<R>) => Promise<R>

export function createTill(db: Pick<Db, 'system'>): Till {
  const lines = new Map<Id, Promise<unknown>>()
  return (tenantId, work) => {
    const mine = (lines.get(tenantId) ?? Promise.resolve()).then(() => db.system('ledger', work))
    const over = mine.then(() => {}, () => {}).then(() => {
      if (lines.get(tenantId) === over) lines.delete(tenantId)
    })
    lines.set(tenantId, over)
    return mine
  }
}
