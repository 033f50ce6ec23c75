import { newId, type Id, type LeadFields } from '@trunkline/core'
import { happened } from '../events/notes.ts'
import { storableJson, storableText } from '../storable.ts'
import type { Tx } from '../tenancy.ts'
import type { HistoryRow } from '../turns/index.ts'

/** A conversation whose lead deadline has come. */
export type DueConversation = {
  id: Id
  tenantId: Id
  projectId: Id
  numberId: Id
  lastSeq: number
  extractedSeq: number
  firstUnextractedAt: Date
  lastMessageAt: Date
  failures: number
  promptId: Id | null
  /** The last word was one of a call that is over: nothing is to be waited for. */
  callEnded: boolean
}

/**
 * Takes due conversations and lends them to this process until `leaseMs` from now: a process that dies gives them back by itself.
 * What has no new message since the last extraction is dropped from the list here.
 */
export async function takeDueConversations(tx: Tx, limit: number, leaseMs: number): Promise<DueConversation[]> {
  await tx.query('UPDATE conversations SET extraction_due_at = NULL, first_unextracted_at = NULL WHERE extraction_due_at <= now() AND last_seq <= extracted_seq')
  const { rows } = await tx.query<{ id: Id; tenant_id: Id; project_id: Id; number_id: Id; last_seq: string; extracted_seq: string; first_unextracted_at: Date | null; last_message_at: Date; extraction_failures: number; prompt_id: Id | null; call_ended: boolean }>(
    `WITH due AS (SELECT id FROM conversations WHERE extraction_due_at <= now() ORDER BY extraction_due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
     UPDATE conversations c SET extraction_due_at = now() + make_interval(secs => $2::float8 / 1000) FROM due
     LEFT JOIN conversations d ON d.id = due.id LEFT JOIN agents a ON a.id = d.agent_id
     WHERE c.id = due.id
     RETURNING c.id, c.tenant_id, c.project_id, c.number_id, c.last_seq, c.extracted_seq, c.first_unextracted_at, c.last_message_at, c.extraction_failures, a.prompt_id,
       EXISTS (SELECT 1 FROM calls k WHERE k.conversation_id = c.id AND k.ended_at > c.last_message_at - interval '10 seconds') AS call_ended`,
    [limit, leaseMs],
    'leads_take',
  )
  return rows.map((row) => ({
    id: row.id,
    tenantId: row.tenant_id,
    projectId: row.project_id,
    numberId: row.number_id,
    lastSeq: Number(row.last_seq),
    extractedSeq: Number(row.extracted_seq),
    firstUnextractedAt: row.first_unextracted_at ?? row.last_message_at,
    lastMessageAt: row.last_message_at,
    failures: row.extraction_failures,
    promptId: row.prompt_id,
    callEnded: row.call_ended,
  }))
}

/** Later: the customer is still writing, or the try failed. */
export async function postponeExtraction(tx: Tx, conversationId: Id, dueAt: Date, failed: boolean): Promise<void> {
  await tx.query('UPDATE conversations SET extraction_due_at = $2, extraction_failures = extraction_failures + $3 WHERE id = $1', [conversationId, dueAt, failed ? 1 : 0], 'leads_postpone')
}

/**
 * Stores what was found and marks the state as extracted, once per (conversation, last message). False: this state was extracted
 * before. Messages that came meanwhile begin the next waiting time.
 */
export async function storeExtraction(tx: Tx, due: DueConversation, fields: LeadFields, extractedBy: string, idleMs: number): Promise<boolean> {
  const fresh = await tx.query(
    'INSERT INTO lead_extractions (id, tenant_id, conversation_id, last_seq, fields, extracted_by) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING',
    [newId(), due.tenantId, due.id, due.lastSeq, storableJson(fields), extractedBy],
    'leads_extraction',
  )
  if (fresh.rowCount && hasSubstance(fields)) await upsertLead(tx, due, fields, extractedBy)
  await tx.query(
    `UPDATE conversations SET extracted_seq = greatest(extracted_seq, $2), extraction_failures = 0,
       first_unextracted_at = CASE WHEN last_seq > $2 THEN last_message_at ELSE NULL END,
       extraction_due_at = CASE WHEN last_seq > $2 THEN now() + make_interval(secs => $3::float8 / 1000) ELSE NULL END
     WHERE id = $1`,
    [due.id, due.lastSeq, idleMs],
    'leads_extracted',
  )
  return fresh.rowCount === 1
}

/** A conversation in which nobody said anything about themselves is no lead. */
const hasSubstance = (fields: LeadFields) => [fields.name, fields.email, fields.phone, fields.company, fields.intent, fields.demoDatetime].some((value) => value !== null)

/** Later extractions add and correct; what they do not mention stays. */
async function upsertLead(tx: Tx, due: DueConversation, fields: LeadFields, extractedBy: string): Promise<void> {
  // Whose conversation it is may have changed while the model thought: a merge under way is waited for, and the next one waits for us.
  await tx.query('SELECT 1 FROM conversations v JOIN contacts c ON c.id = v.contact_id WHERE v.id = $1 FOR KEY SHARE OF c', [due.id], 'leads_contact')
  const text = (value: string | null) => (value === null ? null : storableText(value))
  const { rows } = await tx.query<{ id: Id; is_new: boolean }>(
    `INSERT INTO leads AS l (id, tenant_id, project_id, conversation_id, number_id, contact_id, name, email, phone, company, intent, urgency, budget, fit, engagement, demo_datetime, smart_notification, evidence_message_ids, extracted_seq, extracted_by)
     VALUES ($1, $2, $3, $4, $5, (SELECT contact_id FROM conversations WHERE id = $4), $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
     ON CONFLICT (conversation_id) DO UPDATE SET
       name = coalesce(excluded.name, l.name), email = coalesce(excluded.email, l.email), phone = coalesce(excluded.phone, l.phone),
       company = coalesce(excluded.company, l.company), intent = coalesce(excluded.intent, l.intent), urgency = coalesce(excluded.urgency, l.urgency),
       budget = coalesce(excluded.budget, l.budget), fit = coalesce(excluded.fit, l.fit), engagement = coalesce(excluded.engagement, l.engagement),
       demo_datetime = coalesce(excluded.demo_datetime, l.demo_datetime), smart_notification = coalesce(excluded.smart_notification, l.smart_notification),
       evidence_message_ids = ARRAY(SELECT DISTINCT e FROM unnest(l.evidence_message_ids || excluded.evidence_message_ids) AS e ORDER BY e),
       extracted_seq = excluded.extracted_seq, extracted_by = excluded.extracted_by, updated_at = now()
     WHERE l.extracted_seq < excluded.extracted_seq
     RETURNING l.id, l.id = $1 AS is_new`,
    [
      newId(), due.tenantId, due.projectId, due.id, due.numberId,
      text(fields.name), text(fields.email), text(fields.phone), text(fields.company), text(fields.intent), fields.urgency, text(fields.budget), fields.fit, fields.engagement,
      fields.demoDatetime, text(fields.smartNotification), fields.evidenceMessageIds, due.lastSeq, extractedBy,
    ],
    'leads_upsert',
  )
  for (const { id, is_new } of rows) happened(tx, due.tenantId, { type: is_new ? 'lead.created' : 'lead.updated', projectId: due.projectId, data: { lead_id: id } })
}

/** The messages of a conversation up to `lastSeq`, oldest first, newest 200: what extraction reads. */
export async function leadTranscript(tx: Tx, conversationId: Id, lastSeq: number): Promise<HistoryRow[]> {
  const { rows } = await tx.query<{ id: Id; seq: string; author: HistoryRow['author']; content_sealed: Buffer; status: string; created_at: Date }>(
    `SELECT id, seq, author, content_sealed, status, created_at FROM messages
     WHERE conversation_id = $1 AND seq <= $2 AND status NOT IN ('discarded') ORDER BY seq DESC LIMIT 200`,
    [conversationId, lastSeq],
    'leads_transcript',
  )
  return rows.toReversed().map((row) => ({ id: row.id, seq: Number(row.seq), author: row.author, contentSealed: row.content_sealed, status: row.status, createdAt: row.created_at }))
}
