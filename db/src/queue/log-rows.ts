import { conversationKey, newId, type Id, type InboundEvent, type InboundMessage } from '@trunkline/core'
import { sealJson, type Keyring } from '../seal.ts'
import type { Tx } from '../tenancy.ts'
import { arrayOf } from './array-literal.ts'

/** Any event that is not a customer's message. */
export type EffectEvent = Exclude<InboundEvent, InboundMessage>
export type NumberRef = { id: Id; tenantId: Id }
export type MessageRow = { number: NumberRef; messageId: Id; message: InboundMessage; /** What makes a message the same for ever: the number and the supplier's id. */ key: string }
export type EffectRow = { number: NumberRef; dedupeKey: string; event: EffectEvent }

export const messageRow = (number: NumberRef, message: InboundMessage): MessageRow => ({ number, messageId: newId(), message, key: `${number.id}|${message.providerMessageId}` })
export const messageKey = (row: MessageRow): string => row.key
export const effectRow = (number: NumberRef, event: EffectEvent): EffectRow => ({ number, event, dedupeKey: dedupeKeyOf(event) })
export const effectKey = (row: EffectRow): string => `${row.number.id}|${row.dedupeKey}`

/** A receipt is told by (message, status), so that `read` after `delivered` is news and a repeated `read` is not. */
function dedupeKeyOf(event: EffectEvent): string {
  switch (event.kind) {
    case 'receipt':
      if (event.providerMessageId !== undefined) return `r:${event.providerMessageId}:${event.status}`
      return `w:${event.contact?.kind ?? ''}:${event.contact?.value ?? ''}:${event.watermarkMs ?? event.atMs}:${event.status}`
    case 'echo':
      return `e:${event.providerMessageId}`
    case 'reaction':
    case 'revision':
    case 'identity_change':
    case 'notice':
      return `x:${event.kind}:${event.eventId}`
  }
}

/** The supplier's id of the message that an effect is about. */
function targetOf(event: EffectEvent): string | null {
  if (event.kind === 'receipt' || event.kind === 'echo') return event.providerMessageId ?? null
  return event.kind === 'reaction' || event.kind === 'revision' ? event.targetMessageId : null
}

/** Takes the lanes' locks, always in the order of their ids so that batches never wait for each other in a ring. */
export async function lockLanes(tx: Tx, numberIds: readonly Id[]): Promise<Map<Id, Id>> {
  const { rows } = await tx.query<{ number_id: Id; tenant_id: Id }>(
    'SELECT number_id, tenant_id FROM lanes WHERE number_id = ANY($1::uuid[]) ORDER BY number_id FOR NO KEY UPDATE',
    [arrayOf(numberIds)],
    'queue-lock',
  )
  return new Map(rows.map((row) => [row.number_id, row.tenant_id]))
}

// All inserts of a number hold its lane's lock, so "is it there" cannot change under us, and sequence numbers have no gaps:
// what waits is next_seq - 1 - cursor_seq - cardinality(ahead), exactly. Payloads travel as one binary value, since an
// array of bytea would be written and read as hex. The look-up of repeats is a scalar subquery on purpose: as an anti-join the kept
// plan of an empty log would hash the whole of a large one.
const APPEND = `
  WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::int[])
      WITH ORDINALITY AS g(number_id, message_id, provider_message_id, conversation_key, start, length, place)
  ), fresh AS (
    SELECT g.*, row_number() OVER (PARTITION BY g.number_id ORDER BY g.place) - 1 AS nth FROM given g
    WHERE (SELECT true FROM inbox i WHERE i.number_id = g.number_id AND i.provider_message_id = g.provider_message_id) IS NULL
  ), added AS (
    INSERT INTO inbox (number_id, seq, tenant_id, message_id, provider_message_id, conversation_key, payload_sealed)
    SELECT f.number_id, l.next_seq + f.nth, l.tenant_id, f.message_id, f.provider_message_id, f.conversation_key, substring($7::bytea FROM f.start FOR f.length)
    FROM fresh f JOIN lanes l ON l.number_id = f.number_id
  ), moved AS (
    UPDATE lanes l SET next_seq = l.next_seq + n.count FROM (SELECT number_id, count(*) FROM fresh GROUP BY 1) n WHERE l.number_id = n.number_id
  )
  SELECT message_id FROM fresh`

/** Appends what is not there yet; answers the message ids that are new. The lanes must be locked. */
export async function appendMessages(tx: Tx, keyring: Keyring, rows: readonly MessageRow[]): Promise<Set<Id>> {
  if (rows.length === 0) return new Set()
  const payloads = pack(rows.map((row) => sealJson(keyring, row.message, row.number.tenantId)))
  const { rows: added } = await tx.query<{ message_id: Id }>(APPEND, [
    arrayOf(rows.map((row) => row.number.id)),
    arrayOf(rows.map((row) => row.messageId)),
    rows.map((row) => row.message.providerMessageId),
    rows.map((row) => conversationKey(row.message.from)),
    arrayOf(payloads.starts),
    arrayOf(payloads.lengths),
    payloads.bytes,
  ], 'queue-append')
  return new Set(added.map((row) => row.message_id))
}

const APPEND_EFFECTS = `
  INSERT INTO effects (tenant_id, number_id, kind, dedupe_key, provider_message_id, payload_sealed)
  SELECT tenant_id, number_id, kind, dedupe_key, provider_message_id, substring($8::bytea FROM start FOR length)
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[])
    WITH ORDINALITY AS g(tenant_id, number_id, kind, dedupe_key, provider_message_id, start, length, place)
  ORDER BY place
  ON CONFLICT (number_id, dedupe_key) DO NOTHING RETURNING number_id, dedupe_key`

/** Answers the `effectKey`s that are new. The lanes must be locked: two batches with the same keys then never wait for each other in a ring. */
export async function appendEffects(tx: Tx, keyring: Keyring, rows: readonly EffectRow[]): Promise<Set<string>> {
  if (rows.length === 0) return new Set()
  const payloads = pack(rows.map((row) => sealJson(keyring, row.event, row.number.tenantId)))
  const { rows: added } = await tx.query<{ number_id: Id; dedupe_key: string }>(
    APPEND_EFFECTS,
    [
      arrayOf(rows.map((row) => row.number.tenantId)),
      arrayOf(rows.map((row) => row.number.id)),
      rows.map((row) => row.event.kind),
      rows.map((row) => row.dedupeKey),
      rows.map((row) => targetOf(row.event)),
      arrayOf(payloads.starts),
      arrayOf(payloads.lengths),
      payloads.bytes,
    ],
    'queue-effects',
  )
  return new Set(added.map((row) => `${row.number_id}|${row.dedupe_key}`))
}

/** SQL counts bytes from 1. */
function pack(parts: readonly Buffer[]): { bytes: Buffer; starts: number[]; lengths: number[] } {
  const starts: number[] = []
  let at = 1
  for (const part of parts) {
    starts.push(at)
    at += part.length
  }
  return { bytes: Buffer.concat(parts), starts, lengths: parts.map((part) => part.length) }
}

/** Messages that wait in the whole installation. */
export async function countWaiting(tx: Pick<Tx, 'query'>): Promise<number> {
  const { rows } = await tx.query<{ waiting: string }>('SELECT coalesce(sum(next_seq - 1 - cursor_seq - cardinality(ahead)), 0) AS waiting FROM lanes')
  return Number(rows[0]!.waiting)
}
