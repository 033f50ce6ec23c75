import type { Id } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import { outboxColumns, outboxRow, summariseMessages, type OutboxRow } from './send.ts'

/**
 * The lane of messages that answer no turn: a person's words, templates, manual retries. They wait for no model. One
 * conversation is served in order: a row is taken only when no earlier one of its conversation is on its way.
 */
export async function takeDirectSends(tx: Tx, limit: number): Promise<(OutboxRow & { kind: string })[]> {
  const { rows } = await tx.query<Parameters<typeof outboxRow>[0] & { kind: string }>(
    `WITH due AS (
       SELECT o.id FROM outbox o
       WHERE o.turn_id IS NULL AND o.state = 'pending' AND (o.next_attempt_at IS NULL OR o.next_attempt_at <= now())
         AND NOT EXISTS (
           SELECT 1 FROM outbox e WHERE e.conversation_id = o.conversation_id AND e.number_id = o.number_id AND e.turn_id IS NULL
             AND (e.message_id, e.part) < (o.message_id, o.part) AND e.state IN ('pending', 'sending'))
       ORDER BY o.message_id, o.part LIMIT $1 FOR UPDATE SKIP LOCKED
     )
     UPDATE outbox o SET state = 'sending', attempt = o.attempt + 1, sending_at = now() FROM due, messages m WHERE o.id = due.id AND m.id = o.message_id
     RETURNING ${outboxColumns}, m.kind`,
    [limit],
    'outbox_take_direct',
  )
  return rows.map((row) => ({ ...outboxRow(row), kind: row.kind }))
}

/** Direct sends whose process died: their outcome is unknown after `olderThanMs`. Turns' rows are judged by epoch instead. */
export async function markStaleDirectSends(tx: Tx, olderThanMs: number): Promise<number> {
  const { rows } = await tx.query<{ message_id: Id }>(
    `UPDATE outbox SET state = 'unknown', error_message = 'interrupted', settled_at = now()
     WHERE turn_id IS NULL AND state = 'sending' AND sending_at < now() - make_interval(secs => $1::float8 / 1000) RETURNING message_id`,
    [olderThanMs],
    'outbox_stale_direct',
  )
  await summariseMessages(tx, [...new Set(rows.map((row) => row.message_id))])
  return rows.length
}
