import { newId, type Id } from '@trunkline/core'
import { storableJson } from '../storable.ts'
import type { Tx } from '../tenancy.ts'

/** What a visitor of a web chat may see and has sent: read by the visitor's own identity, never by an id that came from outside. */

export type Visitor = { tenantId: Id; numberId: Id; visitorId: string }

/**
 * Positions strictly between two others. A visitor may have had several conversations on the number (one was closed, an agent was
 * relinked), and each counts its messages from 1. A position puts them into one line: the millisecond since 2024 in which the
 * conversation began, times 2^12, plus the message's number. It is stable, rises, is dense within a conversation, and stays a safe
 * integer until 2093. A conversation may run over its 2^12: the visitor's next one begins later than a millisecond for each 4,096 messages.
 */
export type Span = { after: number; before: number }

export const POSITION_MAX = Number.MAX_SAFE_INTEGER

export type StreamRow = {
  id: Id
  position: number
  conversationId: Id
  author: 'customer' | 'agent' | 'human' | 'system'
  contentSealed: Buffer
  providerMessageId: string | null
  createdAt: Date
  /** The visitor may see it: their own words, or words of ours that have left. */
  visible: boolean
  /** Words of ours that are about to leave: what comes after them should wait. */
  leaving: boolean
}

type Row = {
  id: Id
  position: string
  conversation_id: Id
  author: StreamRow['author']
  content_sealed: Buffer
  provider_message_id: string | null
  created_at: Date
  visible: boolean
  leaving: boolean
}

/**
 * Only conversations whose answers go to this visitor: after two contacts were merged one visitor must not read what the other wrote.
 * Ours are visible from `sending` on, which is committed before the sockets are told; an `unknown` one may have been shown already.
 */
const MINE = `
  SELECT c.id, c.last_seq, ((floor(extract(epoch FROM c.created_at) * 1000)::bigint - 1704067200000) << 12) AS base
  FROM contact_identities ci
  JOIN conversations c ON c.contact_id = ci.contact_id AND c.number_id = $2 AND c.reply_to->>'kind' = 'visitor' AND c.reply_to->>'value' = $3
  WHERE ci.tenant_id = $1 AND ci.kind = 'visitor' AND ci.scope = $2::text AND ci.value = $3 AND ci.ended_at IS NULL`
const COLUMNS = `m.id, mine.base + m.seq AS position, m.conversation_id, m.author, m.content_sealed, m.provider_message_id, m.created_at,
  m.direction = 'inbound' OR coalesce(o.visible, false) AS visible, coalesce(o.leaving, false) AS leaving`
const OUTBOX = `LEFT JOIN LATERAL (
    SELECT bool_or(o.state IN ('sending', 'accepted', 'unknown')) AS visible, bool_or(o.state = 'pending') AS leaving
    FROM outbox o WHERE o.message_id = m.id AND m.direction = 'outbound'
  ) o ON true`

const streamRow = (row: Row): StreamRow => ({
  id: row.id,
  position: Number(row.position),
  conversationId: row.conversation_id,
  author: row.author,
  contentSealed: row.content_sealed,
  providerMessageId: row.provider_message_id,
  createdAt: row.created_at,
  visible: row.visible,
  leaving: row.leaving,
})

/** The first `limit` messages within any of the spans, in order, those that may not be seen (yet) included. Spans must not overlap. */
export async function between(tx: Tx, visitor: Visitor, spans: readonly Span[], limit: number): Promise<StreamRow[]> {
  const { rows } = await tx.query<Row>(
    `WITH mine AS (${MINE})
     SELECT ${COLUMNS} FROM mine
     JOIN unnest($4::bigint[], $5::bigint[]) AS span (after, before) ON span.before > mine.base AND span.after < mine.base + mine.last_seq
     JOIN LATERAL (
       SELECT * FROM messages m WHERE m.conversation_id = mine.id AND m.seq > span.after - mine.base AND m.seq < span.before - mine.base ORDER BY m.seq LIMIT $6
     ) m ON true ${OUTBOX}
     ORDER BY position LIMIT $6`,
    [visitor.tenantId, visitor.numberId, visitor.visitorId, spans.map((span) => span.after), spans.map((span) => span.before), limit],
    'webchat_between',
  )
  return rows.map(streamRow)
}

/** The last `limit` messages before a position, newest first. */
export async function latest(tx: Tx, visitor: Visitor, before: number, limit: number): Promise<StreamRow[]> {
  const { rows } = await tx.query<Row>(
    `WITH mine AS (${MINE})
     SELECT ${COLUMNS} FROM mine
     JOIN LATERAL (SELECT * FROM messages m WHERE m.conversation_id = mine.id AND m.seq < $4::bigint - mine.base ORDER BY m.seq DESC LIMIT $5) m ON true ${OUTBOX}
     ORDER BY position DESC LIMIT $5`,
    [visitor.tenantId, visitor.numberId, visitor.visitorId, before, limit],
    'webchat_latest',
  )
  return rows.map(streamRow)
}

/**
 * How many messages each visitor's conversations hold, in the order asked; 0 for one who never wrote. A figure that has not
 * changed says that nobody wrote: one statement looks after hundreds of idle sockets. All of one tenant.
 */
export async function messageCounts(tx: Tx, tenantId: Id, visitors: readonly Omit<Visitor, 'tenantId'>[]): Promise<number[]> {
  const { rows } = await tx.query<{ held: string }>(
    `SELECT coalesce((
       SELECT sum(c.last_seq) FROM contact_identities ci JOIN conversations c ON c.contact_id = ci.contact_id AND c.number_id = i.number_id
       WHERE ci.tenant_id = $1 AND ci.kind = 'visitor' AND ci.scope = i.number_id::text AND ci.value = i.visitor_id AND ci.ended_at IS NULL
     ), 0) AS held
     FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY AS i (number_id, visitor_id, place) ORDER BY i.place`,
    [tenantId, visitors.map((visitor) => visitor.numberId), visitors.map((visitor) => visitor.visitorId)],
    'webchat_counts',
  )
  return rows.map((row) => Number(row.held))
}

/** The id that an accepted message has from the inbox on. Null: it was not accepted. */
export async function acceptedId(tx: Tx, numberId: Id, providerMessageId: string): Promise<Id | null> {
  const { rows } = await tx.query<{ message_id: Id }>('SELECT message_id FROM inbox WHERE number_id = $1 AND provider_message_id = $2', [numberId, providerMessageId], 'webchat_accepted')
  return rows[0]?.message_id ?? null
}

export type VisitorFile = { id: Id; storageKey: string; mimeType: string; sizeBytes: number; filename: string | null }

/** Keeps a visitor's upload; it belongs to this visitor alone. */
export async function insertFile(tx: Tx, visitor: Visitor, file: Omit<VisitorFile, 'id'> & { sha256: string }): Promise<VisitorFile> {
  const { storageKey, mimeType, sizeBytes, filename, sha256 } = file
  const id = newId()
  await tx.query(
    `INSERT INTO media (id, tenant_id, number_id, source, state, mime_type, size_bytes, sha256, storage_key, filename, stored_at) VALUES ($1, $2, $3, $4, 'stored', $5, $6, $7, $8, $9, now())`,
    [id, visitor.tenantId, visitor.numberId, storableJson({ mimeType, sizeBytes, sha256, visitorId: visitor.visitorId }), mimeType, sizeBytes, sha256, storageKey, filename],
    'webchat_file_insert',
  )
  return { id, storageKey, mimeType, sizeBytes, filename }
}

type FileRow = { id: Id; storage_key: string; mime_type: string | null; size_bytes: string | null; filename: string | null }

const visitorFile = (row: FileRow): VisitorFile => ({
  id: row.id,
  storageKey: row.storage_key,
  mimeType: row.mime_type ?? 'application/octet-stream',
  sizeBytes: Number(row.size_bytes ?? 0),
  filename: row.filename,
})

/** An upload that no message names is deleted after a day: what is about to be deleted is not taken any more. */
const SENDABLE_FOR = '23 hours'

/** A file that this visitor uploaded here and may send; null for everybody else's. */
export async function ownFile(tx: Tx, visitor: Visitor, id: Id): Promise<VisitorFile | null> {
  const { rows } = await tx.query<FileRow>(
    `SELECT id, storage_key, mime_type, size_bytes, filename FROM media WHERE id = $1 AND number_id = $2 AND state = 'stored' AND source->>'visitorId' = $3
       AND (message_id IS NOT NULL OR created_at > now() - interval '${SENDABLE_FOR}')`,
    [id, visitor.numberId, visitor.visitorId],
    'webchat_file_own',
  )
  return rows[0] ? visitorFile(rows[0]) : null
}

/** The upload is this message's from now on; the first that it was sent with keeps it. */
export async function linkFile(tx: Tx, visitor: Visitor, id: Id, messageId: Id): Promise<void> {
  await tx.query("UPDATE media SET message_id = $4 WHERE id = $1 AND number_id = $2 AND source->>'visitorId' = $3 AND message_id IS NULL", [id, visitor.numberId, visitor.visitorId, messageId], 'webchat_file_link')
}

/** A stored file of the number. The caller has proof that the visitor may see it. */
export async function file(tx: Tx, numberId: Id, id: Id): Promise<VisitorFile | null> {
  const { rows } = await tx.query<FileRow>(
    "SELECT id, storage_key, mime_type, size_bytes, filename FROM media WHERE id = $1 AND number_id = $2 AND state = 'stored'",
    [id, numberId],
    'webchat_file',
  )
  return rows[0] ? visitorFile(rows[0]) : null
}
