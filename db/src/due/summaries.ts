import type { Id, Micros } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import type { HistoryRow } from '../turns/open.ts'

/** A call that is over and has no summary yet. */
export type DueSummary = { callId: Id; tenantId: Id; projectId: Id; numberId: Id; conversationId: Id }

/** Takes the oldest ones for `leaseMs`: a worker that dies leaves them to the next. */
export async function takeDueSummaries(tx: Tx, limit: number, leaseMs: number): Promise<DueSummary[]> {
  const { rows } = await tx.query<{ id: Id; tenant_id: Id; project_id: Id; number_id: Id; conversation_id: Id }>(
    `WITH due AS (SELECT id FROM calls WHERE summary_due_at <= now() ORDER BY summary_due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
     UPDATE calls c SET summary_due_at = now() + make_interval(secs => $2::float8 / 1000) FROM due WHERE c.id = due.id
     RETURNING c.id, c.tenant_id, c.project_id, c.number_id, c.conversation_id`,
    [limit, leaseMs],
    'summaries_take',
  )
  return rows.map((row) => ({ callId: row.id, tenantId: row.tenant_id, projectId: row.project_id, numberId: row.number_id, conversationId: row.conversation_id }))
}

/** What was said in the call, in order; of a very long one the last 400. */
export async function callTranscript(tx: Tx, callId: Id): Promise<HistoryRow[]> {
  const { rows } = await tx.query<{ id: Id; seq: string; author: HistoryRow['author']; content_sealed: Buffer; status: string; created_at: Date }>(
    'SELECT id, seq, author, content_sealed, status, created_at FROM messages WHERE call_id = $1 ORDER BY seq DESC LIMIT 400',
    [callId],
    'summaries_transcript',
  )
  return rows.toReversed().map((row) => ({ id: row.id, seq: Number(row.seq), author: row.author, contentSealed: row.content_sealed, status: row.status, createdAt: row.created_at }))
}

/** Once: false when the call has one already. What it cost is a part of what the call's model cost. */
export async function storeSummary(tx: Tx, callId: Id, summarySealed: Buffer, costMicros: Micros): Promise<boolean> {
  const { rowCount } = await tx.query(
    'UPDATE calls SET summary_sealed = $2, summary_due_at = NULL, cost_model_micros = cost_model_micros + $3 WHERE id = $1 AND summary_due_at IS NOT NULL',
    [callId, summarySealed, costMicros.toString()],
    'summaries_store',
  )
  return rowCount === 1
}
