import { newId, type Logger } from '@trunkline/core'
import type { Db, NumberRouting, RoutedNumber } from '@trunkline/db'
import { numbers } from '@trunkline/db'

type Deps = { db: Db; routing: NumberRouting; log: Logger }

/** Words for the person who will read the notice. */
const WORDS: Record<string, string> = {
  stop_number: 'The supplier refuses messages of this number (payment, policy or lock). Look into the supplier account, then resume the number.',
  reconnect: 'The supplier refuses the credentials of this number. Enter new credentials, then resume the number.',
}

/** Takes a number out of service after the supplier refused it as a whole, once, and tells its tenant. */
export function createNumberStopper({ db, routing, log }: Deps): (number: RoutedNumber, reason: string) => Promise<void> {
  return async (number, reason) => {
    await db.tenant(number.tenantId, async (tx) => {
      const now = await numbers.get(tx, number.id)
      if (now.status !== 'active') return
      await numbers.stop(tx, number.id, reason)
      await tx.query("INSERT INTO number_notices (id, tenant_id, number_id, topic, severity, data) VALUES ($1, $2, $3, 'number_stopped', 'critical', $4)", [
        newId(), number.tenantId, number.id, JSON.stringify({ reason, message: WORDS[reason] ?? reason }),
      ])
    })
    await routing.invalidateNumber(number.id)
    log.error({ numberId: number.id, tenantId: number.tenantId, reason }, 'number stopped')
  }
}
