import type { Id } from '@trunkline/core'
import type { LiveEventType } from '../events/contract.ts'
import { happened } from '../events/notes.ts'
import type { Tx } from '../tenancy.ts'

/** A message whose status has changed. `was`: the status before, where the statement asked for it. */
export type ChangedMessage = { id: Id; tenant_id: Id; status: string; reason: string | null; was?: string | null }

/**
 * For RETURNING of an UPDATE of `messages m`: the status before it, where `when` holds, because reading it costs a look at the index. A
 * query inside the statement still sees the rows as they were (postgresql.org/docs/current/transaction-iso.html).
 */
export const wasSql = (when: string): string => `CASE WHEN ${when} THEN (SELECT o.status FROM messages o WHERE o.id = m.id) END AS was`

/** Of a customer's message: no answer comes. Of ours: it did not leave, was refused, or nobody knows (`unknown`). Other statuses are no news. */
const NEWS: Partial<Record<string, Extract<LiveEventType, `message.${string}`>>> = {
  sent: 'message.sent',
  delivered: 'message.delivered',
  read: 'message.read',
  played: 'message.read',
  failed: 'message.failed',
  parked: 'message.failed',
  rejected: 'message.failed',
  unknown: 'message.failed',
}

/** Says which messages have come how far. */
export function tellMessages(tx: Tx, messages: readonly ChangedMessage[]): void {
  for (const { id, tenant_id, status, reason } of messages) {
    const type = NEWS[status]
    if (type) happened(tx, tenant_id, { type, projectId: null, data: { message_id: id, status, reason } })
  }
}
