import { newId, type CallStatus, type Id, type Micros } from '@trunkline/core'
import { callNews } from '../events/calls.ts'
import { happened } from '../events/notes.ts'
import { holdMany } from '../ledger/index.ts'
import { insertUses } from '../repos/usage.ts'
import { storableJson } from '../storable.ts'
import type { Tx } from '../tenancy.ts'
import { noteContactFields } from '../turns/answer.ts'
import { readHistory, type HistoryRow } from '../turns/open.ts'
import { get } from './read.ts'
import { HANDOVERS, type CallEvent, type CallUse, type CallUtterance, type CallWish } from './contract.ts'

/** A live call that this process owns. A write under an older epoch changes nothing. */
export type HeldCall = { callId: Id; epoch: number }

/** The carrier has taken an outbound call. False: it is over already. */
export async function placed(tx: Tx, callId: Id, carrierCallId: string): Promise<boolean> {
  const { rowCount } = await tx.query('UPDATE calls SET carrier_call_id = $2 WHERE id = $1 AND carrier_call_id IS NULL', [callId, carrierCallId], 'calls_placed')
  return rowCount === 1
}

/** The phone rings, or somebody took it. Never goes back, and never brings an ended call to life. */
export async function progress(tx: Tx, callId: Id, status: Extract<CallStatus, 'ringing' | 'in_progress'>): Promise<boolean> {
  const { rows } = await tx.query<{ tenant_id: Id }>(
    `UPDATE calls SET status = $2, answered_at = CASE WHEN $2 = 'in_progress' THEN coalesce(answered_at, now()) ELSE answered_at END
     WHERE id = $1 AND ended_at IS NULL AND (status = 'initiated' OR (status = 'ringing' AND $2 = 'in_progress')) RETURNING tenant_id`,
    [callId, status],
    'calls_progress',
  )
  if (!rows[0]) return false
  await insertEvents(tx, rows[0].tenant_id, callId, [{ kind: 'status', atMs: null, data: { status } }])
  happened(tx, rows[0].tenant_id, callNews(await get(tx, callId)))
  return true
}

/** `after`: what the sound was away for; null: the call begins, or its line broke. */
export type Claimed = { epoch: number; isFirst: boolean; after: 'press' | 'return' | null }

/** The sound is here: the call is this process's, whoever had it before. Null: the call is over. */
export async function claim(tx: Tx, callId: Id, owner: string, leaseMs: number): Promise<Claimed | null> {
  await progress(tx, callId, 'in_progress')
  const { rows } = await tx.query<{ epoch: number; after: Claimed['after'] }>(
    `WITH before AS MATERIALIZED (SELECT id, CASE WHEN wish IN ('press', 'return') THEN wish END AS after FROM calls WHERE id = $1 AND ended_at IS NULL FOR NO KEY UPDATE)
     UPDATE calls c SET epoch = c.epoch + 1, lease_owner = $2, lease_until = now() + make_interval(secs => $3::float8 / 1000), wish = CASE WHEN b.after IS NULL THEN c.wish END
     FROM before b WHERE c.id = b.id RETURNING c.epoch, b.after`,
    [callId, owner, leaseMs],
    'calls_claim',
  )
  return rows[0] ? { epoch: rows[0].epoch, isFirst: rows[0].epoch === 1, after: rows[0].after } : null
}

/** Renews the leases of all calls of a process. Those that are not among the answers belong to somebody else, or are over. */
export async function keep(tx: Tx, held: readonly HeldCall[], leaseMs: number): Promise<Set<Id>> {
  if (held.length === 0) return new Set()
  const { rows } = await tx.query<{ id: Id }>(
    `UPDATE calls c SET lease_until = now() + make_interval(secs => $3::float8 / 1000)
     FROM unnest($1::uuid[], $2::int[]) AS i (id, epoch) WHERE c.id = i.id AND c.epoch = i.epoch AND c.ended_at IS NULL AND c.lease_owner IS NOT NULL RETURNING c.id`,
    [held.map((call) => call.callId), held.map((call) => call.epoch), leaseMs],
    'calls_keep',
  )
  return new Set(rows.map((row) => row.id))
}

/** A call that goes on without us is asked for at its carrier so often. */
const LOOK_SECONDS = 60

/** It lives, the carrier says, or does not say: it is asked for again later. */
export async function lookAgain(tx: Tx, callId: Id): Promise<void> {
  await tx.query(`UPDATE calls SET lease_until = now() + interval '${LOOK_SECONDS} seconds' WHERE id = $1 AND ended_at IS NULL AND lease_owner IS NULL`, [callId], 'calls_look_again')
}

/** The line was handed over: the call goes on without a process of ours until its sound comes back, or the carrier tells its end. False: it was not. */
export async function release(tx: Tx, { callId, epoch }: HeldCall): Promise<boolean> {
  const { rowCount } = await tx.query(`UPDATE calls SET lease_owner = NULL, lease_until = now() + interval '${LOOK_SECONDS} seconds' WHERE id = $1 AND epoch = $2 AND ended_at IS NULL AND wish = ANY ($3)`, [callId, epoch, HANDOVERS], 'calls_release')
  return rowCount === 1
}

/** A transfer begins anew; a call that is hung up while somebody talks in it was transferred all the same. */
const WISHED = `wish = $2, transfer = CASE $2 WHEN 'transfer' THEN 'asked' WHEN 'hang_up' THEN transfer END, transfer_at = CASE WHEN $2 IN ('transfer', 'return') THEN now() ELSE transfer_at END`

/** Kept with the call, so that its end is known for what it was. False: it is over. */
export async function wish(tx: Tx, callId: Id, what: CallWish): Promise<boolean> {
  const { rowCount } = await tx.query(`UPDATE calls SET ${WISHED} WHERE id = $1 AND ended_at IS NULL`, [callId, what], 'calls_wish')
  return rowCount === 1
}

/** The same for what only a call that talks can do, one thing at a time. False: it does not talk, or something was asked for before. */
export async function wishOnce(tx: Tx, callId: Id, what: Extract<CallWish, 'transfer' | 'press'>): Promise<boolean> {
  const { rowCount } = await tx.query(`UPDATE calls SET ${WISHED} WHERE id = $1 AND status = 'in_progress' AND carrier_call_id IS NOT NULL AND wish IS NULL`, [callId, what], 'calls_wish_once')
  return rowCount === 1
}

/** The wish came to nothing, or what it was for is over: the call goes on as before. `only`: other wishes stay. */
export async function unwish(tx: Tx, callId: Id, only: readonly CallWish[] = ['hang_up', ...HANDOVERS]): Promise<void> {
  await tx.query('UPDATE calls SET wish = NULL, transfer = NULL WHERE id = $1 AND ended_at IS NULL AND wish = ANY ($2)', [callId, only], 'calls_unwish')
}

/** What the agent learned of the caller. A name that a person has given stays. */
export async function noteContact(tx: Tx, contactId: Id, fields: Record<string, string>): Promise<void> {
  noteContactFields(tx, [{ contactId, contactFields: fields }])
}

/** What is said of the context before: the latest messages of the call's conversation, oldest first. */
export async function history(tx: Tx, conversationId: Id): Promise<HistoryRow[]> {
  const { rows } = await tx.query<{ id: Id; context_start_seq: string }>('SELECT id, context_start_seq FROM conversations WHERE id = $1', [conversationId], 'calls_context')
  return (await readHistory(tx, rows)).get(conversationId) ?? []
}

/** What somebody else than its process tells of a call. */
export async function note(tx: Tx, callId: Id, events: readonly CallEvent[]): Promise<void> {
  const { rows } = await tx.query<{ tenant_id: Id }>('SELECT tenant_id FROM calls WHERE id = $1', [callId], 'calls_tenant_of')
  if (rows[0]) await insertEvents(tx, rows[0].tenant_id, callId, events)
}

export type CallNews = { said?: readonly CallUtterance[]; events?: readonly CallEvent[]; used?: readonly CallUse[] }

/** What happened since the last time, in one transaction. False: the call is over or not this process's any more, and nothing was written: an ended call is charged. `leadIdleMs` null: no lead is looked for. */
export async function record(tx: Tx, { callId, epoch }: HeldCall, { said = [], events = [], used = [] }: CallNews, leadIdleMs: number | null): Promise<boolean> {
  const { rows } = await tx.query<CallPlace>(
    'SELECT tenant_id, project_id, number_id, agent_id, prompt_id, prompt_version, conversation_id FROM calls WHERE id = $1 AND epoch = $2 AND ended_at IS NULL FOR NO KEY UPDATE',
    [callId, epoch],
    'calls_record',
  )
  const place = rows[0]
  if (!place) return false
  // What is said to colleagues is nobody's conversation.
  if (said.length > 0 && place.conversation_id !== null) await insertSaid(tx, callId, place, said, leadIdleMs)
  await insertEvents(tx, place.tenant_id, callId, events)
  await insertUses(tx, { tenantId: place.tenant_id, projectId: place.project_id, conversationId: place.conversation_id, callId, causedBy: null }, used)
  return true
}

type CallPlace = { tenant_id: Id; project_id: Id; number_id: Id; agent_id: Id | null; prompt_id: Id | null; prompt_version: number | null; conversation_id: Id | null }

async function insertSaid(tx: Tx, callId: Id, place: CallPlace, said: readonly CallUtterance[], leadIdleMs: number | null): Promise<void> {
  const { rows } = await tx.query<{ last_seq: string }>(
    `UPDATE conversations SET last_seq = last_seq + $2, last_message_at = now(), last_inbound_at = CASE WHEN $3 THEN now() ELSE last_inbound_at END,
       first_unextracted_at = CASE WHEN $4::float8 IS NULL THEN first_unextracted_at ELSE coalesce(first_unextracted_at, now()) END,
       extraction_due_at = coalesce(extraction_due_at, now() + make_interval(secs => $4::float8 / 1000))
     WHERE id = $1 RETURNING last_seq`,
    [place.conversation_id, said.length, said.some(({ by }) => by === 'customer'), leadIdleMs],
    'calls_conversation_grows',
  )
  const before = Number(rows[0]!.last_seq) - said.length
  await tx.query(
    `INSERT INTO messages (id, tenant_id, conversation_id, number_id, agent_id, prompt_id, prompt_version, call_id, seq, direction, author, kind, content_sealed, status, details, provider_at)
     SELECT id, $1, $2, $3, $4, $5, $6, $7, seq, direction, author, 'text', content_sealed, status, details, provider_at
     FROM unnest($8::uuid[], $9::bigint[], $10::text[], $11::text[], $12::bytea[], $13::text[], $14::jsonb[], $15::timestamptz[]) AS i (id, seq, direction, author, content_sealed, status, details, provider_at)`,
    [
      place.tenant_id, place.conversation_id, place.number_id, place.agent_id, place.prompt_id, place.prompt_version, callId,
      said.map((each) => each.messageId),
      said.map((_, n) => before + n + 1),
      said.map(({ by }) => (by === 'customer' ? 'inbound' : 'outbound')),
      said.map(({ by }) => by),
      said.map((each) => each.contentSealed),
      // Of ours only what was heard is here.
      said.map(({ by }) => (by === 'customer' ? 'answered' : 'played')),
      said.map(({ startMs, endMs, interrupted, confidence, words }) => storableJson({ call: { start_ms: startMs, end_ms: endMs, interrupted, confidence, words } })),
      said.map(({ at }) => at),
    ],
    'calls_said',
  )
}

async function insertEvents(tx: Tx, tenantId: Id, callId: Id, events: readonly CallEvent[]): Promise<void> {
  if (events.length === 0) return
  await tx.query(
    'INSERT INTO call_events (tenant_id, call_id, kind, at_ms, data) SELECT $1, $2, kind, at_ms, data FROM unnest($3::text[], $4::int[], $5::jsonb[]) WITH ORDINALITY AS i (kind, at_ms, data, n) ORDER BY n',
    [tenantId, callId, events.map(({ kind }) => kind), events.map(({ atMs }) => (atMs === null ? null : Math.round(atMs))), events.map(({ data }) => storableJson(data))],
    'calls_events',
  )
}

/** Reserves more for a call that goes on. `insufficient`: say goodbye. `over`: it is not this process's, or has ended. */
export async function holdMore(tx: Tx, { callId, epoch }: HeldCall, amountMicros: Micros, until: Date): Promise<'held' | 'insufficient' | 'over'> {
  const { rows } = await tx.query<{ tenant_id: Id; holds: number }>(
    'SELECT tenant_id, cardinality(hold_ids) AS holds FROM calls WHERE id = $1 AND epoch = $2 AND ended_at IS NULL FOR NO KEY UPDATE',
    [callId, epoch],
    'calls_hold_lock',
  )
  const call = rows[0]
  if (!call) return 'over'
  const holdId = newId()
  const outcome = await holdMany(tx, [{ tenantId: call.tenant_id, holdId, turnId: null, amountMicros, idempotencyKey: `hold:call:${callId}:${call.holds}`, expiresAtMs: until.getTime() }])
  if (outcome.get(holdId) !== 'held') return 'insufficient'
  await tx.query('UPDATE calls SET hold_ids = hold_ids || $2::uuid WHERE id = $1', [callId, holdId], 'calls_hold_add')
  return 'held'
}

export type StoredRecording = { state: 'recording' | 'stored' | 'failed' | 'none'; key: string | null; durationMs: number | null; sizeBytes: number | null }

export async function setRecording(tx: Tx, callId: Id, { state, key, durationMs, sizeBytes }: StoredRecording): Promise<void> {
  await tx.query('UPDATE calls SET recording_state = $2, recording_key = $3, recording_ms = $4, recording_bytes = $5 WHERE id = $1', [callId, state, key, durationMs, sizeBytes], 'calls_recording')
}
