import type { Id, RejectionPolicy } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import { checkFence } from '../queue/lanes.ts'
import { tellMessages, wasSql, type ChangedMessage } from './news.ts'

export type OutboxRow = {
  id: Id
  tenantId: Id
  numberId: Id
  conversationId: Id
  turnId: Id | null
  messageId: Id
  part: number
  state: 'pending' | 'sending' | 'accepted' | 'failed' | 'unknown' | 'parked' | 'cancelled'
  attempt: number
  epoch: number
  requestSealed: Buffer
}

type RawOutboxRow = {
  id: Id
  tenant_id: Id
  number_id: Id
  conversation_id: Id
  turn_id: Id | null
  message_id: Id
  part: number
  state: OutboxRow['state']
  attempt: number
  epoch: string
  request_sealed: Buffer
}

export const outboxColumns = 'o.id, o.tenant_id, o.number_id, o.conversation_id, o.turn_id, o.message_id, o.part, o.state, o.attempt, o.epoch, o.request_sealed'

export const outboxRow = (row: RawOutboxRow): OutboxRow => ({
  id: row.id,
  tenantId: row.tenant_id,
  numberId: row.number_id,
  conversationId: row.conversation_id,
  turnId: row.turn_id,
  messageId: row.message_id,
  part: row.part,
  state: row.state,
  attempt: row.attempt,
  epoch: Number(row.epoch),
  requestSealed: row.request_sealed,
})

/** The parts of a turn's answer in the order they leave. */
export async function turnOutbox(tx: Tx, turnId: Id): Promise<OutboxRow[]> {
  const { rows } = await tx.query<RawOutboxRow>(
    `SELECT ${outboxColumns} FROM outbox o JOIN messages m ON m.id = o.message_id WHERE o.turn_id = $1 ORDER BY m.seq, o.part`,
    [turnId],
    'outbox_of_turn',
  )
  return rows.map(outboxRow)
}

export type BeginSend = { outboxId: Id; numberId: Id; epoch: number; /** What this attempt will be: a begin whose answer was lost may be asked again. */ attempt: number }
/**
 * `sending`: written and committed, the request may leave. `fenced`: another worker owns the lane. `discarded`: a person took over.
 * `settled`: it is not pending any more (sent, cancelled, or its outcome is unknown).
 */
export type BeginResult = { state: 'sending'; attempt: number } | { state: 'fenced' | 'discarded' | 'settled' }

/** Writes `sending` BEFORE the HTTP call, under the lane's fence and the conversation's handler epoch. */
export async function beginSends(tx: Tx, sends: BeginSend[]): Promise<Map<Id, BeginResult>> {
  const fenced = await checkFence(tx, sends)
  const results = new Map<Id, BeginResult>(sends.map((send) => [send.outboxId, { state: fenced.has(send.numberId) ? 'fenced' : 'settled' }]))
  const mine = sends.filter((send) => !fenced.has(send.numberId))
  if (mine.length === 0) return results
  const { rows } = await tx.query<{ id: Id; message_id: Id; attempt: number; current: boolean }>(
    `UPDATE outbox o SET
       state = CASE WHEN c.handler_epoch = o.handler_epoch THEN 'sending' ELSE 'cancelled' END,
       attempt = CASE WHEN c.handler_epoch = o.handler_epoch THEN i.attempt ELSE o.attempt END,
       epoch = i.epoch, sending_at = now()
     FROM unnest($1::uuid[], $2::bigint[], $3::int[]) AS i (id, epoch, attempt), conversations c
     WHERE o.id = i.id AND c.id = o.conversation_id
       AND (o.state = 'pending' OR (o.state = 'sending' AND o.epoch = i.epoch AND o.attempt = i.attempt))
     RETURNING o.id, o.message_id, o.attempt, o.state = 'sending' AS current`,
    [mine.map((send) => send.outboxId), mine.map((send) => send.epoch), mine.map((send) => send.attempt)],
    'outbox_begin',
  )
  for (const row of rows) results.set(row.id, row.current ? { state: 'sending', attempt: row.attempt } : { state: 'discarded' })
  await summariseMessages(tx, [...new Set(rows.filter((row) => !row.current).map((row) => row.message_id))])
  return results
}

/** What became of one send. `pending` with `retryAt` tries again later under the same row. */
export type SendRecord = {
  outboxId: Id
  state: 'accepted' | 'failed' | 'unknown' | 'pending' | 'parked'
  providerMessageId?: string
  policy?: RejectionPolicy
  errorCode?: string
  errorMessage?: string
  retryAt?: Date
}

/** What a late word has made known of a turn that had ended as unknown. */
export type Reconciled = { turnId: Id; accepted: boolean; /** A message of which it is now known that nothing has left: it may be sent again without asking anybody. */ resend?: Id }

/**
 * Writes outcomes AFTER the HTTP call. Not fenced: what happened has happened, whoever owns the lane now. Only `sending` and
 * `unknown` rows change, so that a receipt that came first is not undone; parking also takes what has not left yet. A worker that was
 * frozen may know what its successor had to call unknown: that nothing left is then a failure of the turn, and `resend` names the message.
 * Give the answer to `settleReconciled`, after any `finishTurns` of the same transaction.
 */
export async function recordSends(tx: Tx, records: SendRecord[]): Promise<Reconciled[]> {
  const { rows } = await tx.query<{ message_id: Id; turn_id: Id | null; state: OutboxRow['state']; was: OutboxRow['state']; told: SendRecord['state'] }>(
    `WITH given AS (
       SELECT i.*, o.state AS was, CASE WHEN o.state = 'unknown' AND i.state = 'pending' THEN 'failed' ELSE i.state END AS becomes
       FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
         AS i (id, state, provider_message_id, policy, error_code, error_message, retry_at)
       JOIN outbox o ON o.id = i.id AND (o.state IN ('sending', 'unknown') OR (o.state = 'pending' AND i.state = 'parked'))
       ORDER BY o.id FOR UPDATE OF o
     )
     UPDATE outbox o SET state = i.becomes, provider_message_id = coalesce(i.provider_message_id, o.provider_message_id), policy = i.policy,
       error_code = i.error_code, error_message = i.error_message, next_attempt_at = CASE WHEN i.becomes = 'pending' THEN i.retry_at END,
       settled_at = CASE WHEN i.becomes = 'pending' THEN NULL ELSE now() END
     FROM given i WHERE o.id = i.id
     RETURNING o.message_id, o.turn_id, o.state, i.was, i.state AS told`,
    [
      records.map((record) => record.outboxId),
      records.map((record) => record.state),
      records.map((record) => record.providerMessageId ?? null),
      records.map((record) => record.policy ?? null),
      records.map((record) => record.errorCode ?? null),
      records.map((record) => record.errorMessage?.slice(0, 1_000) ?? null),
      records.map((record) => record.retryAt ?? null),
    ],
    'outbox_record',
  )
  await summariseMessages(tx, [...new Set(rows.map((row) => row.message_id))])
  return rows.flatMap((row) => {
    if (row.was !== 'unknown' || row.turn_id === null || (row.state !== 'accepted' && row.state !== 'failed')) return []
    return [{ turnId: row.turn_id, accepted: row.state === 'accepted', ...(row.told === 'pending' ? { resend: row.message_id } : {}) }]
  })
}

/**
 * A message is as far as its parts: failed or unknown when one is, sent when all are accepted. Never goes backwards from what
 * a receipt has said (`delivered`, `read`).
 */
export async function summariseMessages(tx: Tx, messageIds: Id[]): Promise<void> {
  if (messageIds.length === 0) return
  const { rows } = await tx.query<ChangedMessage>(
    `WITH parts AS (
       SELECT o.message_id, bool_and(o.state = 'accepted') AS sent, bool_or(o.state = 'failed') AS failed, bool_or(o.state = 'unknown') AS unknown,
         bool_or(o.state = 'parked') AS parked, bool_or(o.state = 'cancelled') AS cancelled,
         min(o.provider_message_id) FILTER (WHERE o.part = 0) AS provider_message_id,
         coalesce(min(o.policy) FILTER (WHERE o.state IN ('failed', 'parked')), min(o.error_message) FILTER (WHERE o.state IN ('unknown', 'parked'))) AS policy,
         min(o.error_code) FILTER (WHERE o.state IN ('failed', 'parked')) AS error_code
       FROM outbox o WHERE o.message_id = ANY ($1::uuid[]) GROUP BY o.message_id
     )
     UPDATE messages m SET
       status = CASE WHEN p.failed THEN 'failed' WHEN p.parked THEN 'parked' WHEN p.unknown THEN 'unknown' WHEN p.cancelled THEN 'discarded'
         WHEN p.sent THEN 'sent' ELSE m.status END,
       provider_message_id = coalesce(p.provider_message_id, m.provider_message_id),
       reason = CASE WHEN p.failed OR p.parked OR p.unknown THEN coalesce(p.policy || coalesce(':' || p.error_code, ''), m.reason) WHEN p.cancelled THEN 'human_took_over' ELSE NULL END
     FROM parts p WHERE m.id = p.message_id AND m.status IN ('queued', 'sending', 'unknown', 'parked')
     RETURNING m.id, m.tenant_id, m.status, m.reason, ${wasSql("m.status IN ('unknown', 'parked')")}`,
    [messageIds],
    'messages_summarise',
  )
  tellMessages(tx, rows.filter((row) => row.was !== row.status))
}

/** `sending` rows of an older epoch: their worker died between the call and its record. The outcome is unknown, never a resend. */
export async function markInterrupted(tx: Tx, turnId: Id, epoch: number): Promise<Id[]> {
  const { rows } = await tx.query<{ id: Id; message_id: Id }>(
    `UPDATE outbox SET state = 'unknown', error_message = 'interrupted', settled_at = now() WHERE turn_id = $1 AND state = 'sending' AND epoch < $2 RETURNING id, message_id`,
    [turnId, epoch],
    'outbox_interrupted',
  )
  await summariseMessages(tx, [...new Set(rows.map((row) => row.message_id))])
  return rows.map((row) => row.id)
}
