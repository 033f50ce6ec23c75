import { rateTurn } from '@trunkline/billing'
import { messageChannel, type Id, type Logger } from '@trunkline/core'
import { closeDirect, holdDirect, markStaleDirectSends, openJson, recordSends, takeDirectSends, type Db, type Keyring, type NumberRouting, type RoutedNumber, type SendRecord } from '@trunkline/db'
import { awaitRate, deliver, type DeliverDeps, type StoredRequest } from './deliver.ts'

const BATCH = 20
const STALE_MS = 120_000

type Deps = DeliverDeps & {
  /** Balances that may be cached elsewhere have changed. */
  onCharged?: (tenantIds: Id[]) => void
  db: Db
  keyring: Keyring
  log: Logger
  routing: NumberRouting
  stopNumber(number: RoutedNumber, reason: string): Promise<void>
}
type Taken = Awaited<ReturnType<typeof takeDirectSends>>[number]

const isFinal = (record: SendRecord) => record.state === 'accepted' || record.state === 'failed' || record.state === 'parked'
const notCovered = (outboxId: Id): SendRecord => ({ outboxId, state: 'failed', errorCode: 'insufficient_credit', errorMessage: 'The credit balance does not cover this.' })

export type DirectSends = {
  /** Sends what waits now, until nothing is due. Runs alone in its process; other processes may run beside it. */
  run(signal: AbortSignal): Promise<number>
}

/** Sends what people write, templates and manual retries: messages that answer no turn and wait for no model. */
export function createDirectSends(deps: Deps): DirectSends {
  async function sendOne(row: Taken, signal: AbortSignal): Promise<SendRecord> {
    const number = await deps.routing.numberForRouting(row.numberId)
    if (!number || number.status !== 'active') return { outboxId: row.id, state: 'failed', errorCode: 'number_not_active' }
    const stored = openJson(deps.keyring, row.requestSealed, row.tenantId) as StoredRequest
    const waitMs = await awaitRate(deps, number, stored.to, signal)
    if (waitMs > 0) return { outboxId: row.id, state: 'pending', retryAt: new Date(Date.now() + waitMs) }
    const result = await deliver(deps, number, { outboxId: row.id, attempt: row.attempt, ...stored }, signal)
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

  /** Takes what is due and holds its fee, in one transaction: nothing leaves that is not covered. */
  async function take(): Promise<{ rows: Taken[]; uncovered: Set<Id> }> {
    return deps.db.system('queue', async (tx) => {
      const rows = await takeDirectSends(tx, BATCH)
      const prices = await Promise.all(rows.map(async (row) => ({ outboxId: row.id, tenantId: row.tenantId, amountMicros: await feeOf(row) })))
      return { rows, uncovered: await holdDirect(tx, prices) }
    })
  }

  async function feeOf(row: Taken): Promise<bigint> {
    const number = await deps.routing.numberForRouting(row.numberId)
    if (!number) return 0n
    const template = row.kind === 'template'
    return rateTurn({ atMs: Date.now(), channel: messageChannel(number.channel), usage: [], messagesSent: template ? 0 : 1, templatesSent: template ? 1 : 0 }).totalMicros
  }

  return {
    async run(signal) {
      let sent = 0
      await deps.db.system('queue', (tx) => markStaleDirectSends(tx, STALE_MS))
      while (!signal.aborted) {
        const { rows, uncovered } = await take()
        if (rows.length === 0) break
        const records = await Promise.all(rows.map(async (row) => (uncovered.has(row.id) ? notCovered(row.id) : settle(row, signal))))
        await deps.db.system('queue', async (tx) => {
          await recordSends(tx, records)
          await closeDirect(tx, records.flatMap((record) => (isFinal(record) ? [{ outboxId: record.outboxId, accepted: record.state === 'accepted' }] : [])))
        })
        deps.onCharged?.(rows.map((row) => row.tenantId))
        sent += rows.length
      }
      return sent
    },
  }
}
