import type { Logger } from '@trunkline/core'
import { markStaleDirectSends, openJson, recordSends, takeDirectSends, type Db, type Keyring, type NumberRouting, type RoutedNumber, type SendRecord } from '@trunkline/db'
import { awaitRate, deliver, type DeliverDeps } from './deliver.ts'


const BATCH = 20
const STALE_MS = 120_000

type Deps = DeliverDeps & { db: Db; keyring: Keyring; log: Logger; routing: NumberRouting; stopNumber(number: RoutedNumber, reason: string): Promise<void> }
type Taken = Awaited<ReturnType<typeof takeDirectSends>>[number]

export type DirectSends = {
  /** Sends what waits now, until nothing is due. Runs alone in its process; other processes may run beside it. */
  run(signal: AbortSignal): Promise<number>
}

/** Sends what people write, templates and manual retries: messages that answer no turn and wait for no model. */
export function createDirectSends(deps: Deps): DirectSends {
  async function sendOne(row: Taken, signal: AbortSignal): Promise<SendRecord> {
    const number = await deps.routing.numberForRouting(row.numberId)
    if (!number || number.status !== 'active') return { outboxId: row.id, state: 'failed', errorCode: 'number_not_active' }
    const stored = openJson(deps.keyring, row.requestSealed, row.tenantId) as { request: { kind: 'text'; body: Record<string, unknown>; text: string }; to: string }
    const waitMs = await awaitRate(deps, number, stored.to, signal)
    if (waitMs > 0) return { outboxId: row.id, state: 'pending', retryAt: new Date(Date.now() + waitMs) }
    const result = await deliver(deps, number, { outboxId: row.id, attempt: row.attempt, request: stored.request, to: stored.to }, signal)
    if (result.stopNumber) await deps.stopNumber(number, result.stopNumber)
    return result.record
  }

  /** A row is `sending` by now: whatever goes wrong here, its outcome is not known. */
  async function settle(row: Taken, signal: AbortSignal): Promise<SendRecord> {
    return sendOne(row, signal).catch((error: unknown): SendRecord => {
      deps.log.error({ outboxId: row.id, error }, 'direct send failed')
      return { outboxId: row.id, state: 'unknown', errorMessage: 'interrupted' }
    })
  }

  return {
    async run(signal) {
      let sent = 0
      await deps.db.system('queue', (tx) => markStaleDirectSends(tx, STALE_MS))
      while (!signal.aborted) {
        const rows = await deps.db.system('queue', (tx) => takeDirectSends(tx, BATCH))
        if (rows.length === 0) break
        const records = await Promise.all(rows.map((row) => settle(row, signal)))
        await deps.db.system('queue', (tx) => recordSends(tx, records))
        sent += rows.length
      }
      return sent
    },
  }
}
