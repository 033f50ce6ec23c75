import { newId, type Echo, type Id, type IdentityChange, type NumberNotice, type Reaction, type Receipt, type Revision } from '@trunkline/core'
import { storableJson } from '../storable.ts'
import type { Tx } from '../tenancy.ts'
import { holdForChange, scopeOf } from './contacts.ts'
import { happened } from '../events/notes.ts'
import { closeDirect } from './direct-money.ts'
import { tellMessages, wasSql, type ChangedMessage } from './news.ts'
import { summariseMessages } from './send.ts'

/** `waiting`: the message it speaks of is not known yet (its send is not recorded); tried again. `ignored`: nothing of ours is meant. */
export type EffectOutcome = 'applied' | 'ignored' | 'waiting'

export type Effect<Event> = { id: number; tenantId: Id; numberId: Id; address: string; event: Event }

const RANK: Record<Receipt['status'], number> = { failed: 1, sent: 2, delivered: 3, read: 4, played: 5 }

/** What the supplier may say of a message, in the order in which it may only move on. `unknown` and `failed` can still turn out well. */
const rankSql = (column: string) =>
  `CASE ${column} WHEN 'failed' THEN 1 WHEN 'sent' THEN 2 WHEN 'delivered' THEN 3 WHEN 'read' THEN 4 WHEN 'played' THEN 5 ELSE 0 END`

type ReceiptMatch = { effect_id: string; outbox_id: Id; message_id: Id; turn_id: Id | null; tenant_id: Id; was_unknown: boolean }

/**
 * Applies delivery receipts. They come late, twice and out of order: a status only ever rises, a failure after acceptance is
 * kept, and our own id in `callbackData` settles an outcome that was unknown. Answers with outbox rows that became known.
 */
export async function applyReceipts(tx: Tx, effects: Effect<Receipt>[]): Promise<{ outcomes: Map<number, EffectOutcome>; reconciled: { outboxId: Id; turnId: Id | null; tenantId: Id; accepted: boolean }[] }> {
  const outcomes = new Map<number, EffectOutcome>(effects.map((effect) => [effect.id, 'waiting']))
  const byId = effects.filter((effect) => effect.event.providerMessageId !== undefined)
  const matches = await matchReceipts(tx, byId)
  const statusOf = new Map(byId.map((effect) => [effect.id, effect.event]))
  const reconciled = await settleOutbox(tx, matches, statusOf)
  await raiseStatuses(tx, matches.map((match) => ({ messageId: match.message_id, event: statusOf.get(Number(match.effect_id))! })))
  for (const match of matches) outcomes.set(Number(match.effect_id), 'applied')
  for (const effect of effects) {
    if (effect.event.providerMessageId === undefined) outcomes.set(effect.id, await applyWatermark(tx, effect))
  }
  return { outcomes, reconciled }
}

async function matchReceipts(tx: Tx, effects: Effect<Receipt>[]): Promise<ReceiptMatch[]> {
  if (effects.length === 0) return []
  const { rows } = await tx.query<ReceiptMatch>(
    `SELECT i.effect_id, o.id AS outbox_id, o.message_id, o.turn_id, o.tenant_id, o.state IN ('unknown', 'sending') AS was_unknown
     FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::uuid[]) AS i (effect_id, number_id, provider_message_id, callback_id)
     CROSS JOIN LATERAL (
       SELECT * FROM outbox o WHERE o.number_id = i.number_id AND o.provider_message_id = i.provider_message_id
       UNION ALL
       SELECT * FROM outbox o WHERE o.id = i.callback_id AND o.number_id = i.number_id AND o.provider_message_id IS DISTINCT FROM i.provider_message_id
       LIMIT 1
     ) o ORDER BY i.effect_id`,
    [
      effects.map((effect) => effect.id),
      effects.map((effect) => effect.numberId),
      effects.map((effect) => effect.event.providerMessageId!),
      effects.map((effect) => uuidOrNull(effect.event.callbackData)),
    ],
    'receipts_match',
  )
  return rows
}

const uuidOrNull = (text: string | undefined) => (text !== undefined && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) ? text : null)

/** A receipt proves that the supplier has the message (or refused it): the outbox row stops being unknown. */
async function settleOutbox(tx: Tx, matches: ReceiptMatch[], events: Map<number, Receipt>): Promise<{ outboxId: Id; turnId: Id | null; tenantId: Id; accepted: boolean }[]> {
  const open = matches.filter((match) => match.was_unknown)
  if (open.length === 0) return []
  const rows = [...new Map(open.map((match) => [match.outbox_id, match])).values()].map((match) => ({ match, event: events.get(Number(match.effect_id))! }))
  const changed = await tx.query<{ id: Id }>(
    `UPDATE outbox o SET state = i.state, provider_message_id = i.provider_message_id, error_code = i.error_code, settled_at = now()
     FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS i (id, state, provider_message_id, error_code)
     WHERE o.id = i.id AND o.state IN ('unknown', 'sending') RETURNING o.id`,
    [
      rows.map((row) => row.match.outbox_id),
      rows.map((row) => (row.event.status === 'failed' ? 'failed' : 'accepted')),
      rows.map((row) => row.event.providerMessageId!),
      rows.map((row) => row.event.error?.code ?? null),
    ],
    'receipts_settle',
  )
  const settled = new Set(changed.rows.map((row) => row.id))
  return rows
    .filter((row) => settled.has(row.match.outbox_id))
    .map((row) => ({ outboxId: row.match.outbox_id, turnId: row.match.turn_id, tenantId: row.match.tenant_id, accepted: row.event.status !== 'failed' }))
}

async function raiseStatuses(tx: Tx, rows: { messageId: Id; event: Receipt }[]): Promise<void> {
  if (rows.length === 0) return
  const best = new Map<Id, Receipt>()
  const steps = new Map<Id, Receipt['status'][]>()
  for (const row of rows) {
    const known = best.get(row.messageId)
    if (!known || RANK[row.event.status] > RANK[known.status]) best.set(row.messageId, row.event)
    steps.set(row.messageId, [...(steps.get(row.messageId) ?? []), row.event.status])
  }
  const raised = await tx.query<ChangedMessage>(
    `UPDATE messages m SET status = i.status, provider_message_id = coalesce(m.provider_message_id, i.provider_message_id), reason = i.reason
     FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[]) AS i (id, status, provider_message_id, reason, several)
     WHERE m.id = i.id AND m.direction = 'outbound'
       AND (${rankSql('i.status')} > ${rankSql('m.status')} OR (i.status = 'failed' AND m.status IN ('queued', 'sending', 'sent', 'unknown')))
     RETURNING m.id, m.tenant_id, m.status, m.reason, ${wasSql('i.several')}`,
    [
      [...best.keys()],
      [...best.values()].map((event) => event.status),
      [...best.values()].map((event) => event.providerMessageId ?? null),
      [...best.values()].map((event) => (event.status === 'failed' ? (event.error?.code ?? 'failed') : null)),
      [...best.keys()].map((messageId) => steps.get(messageId)!.length > 1),
    ],
    'receipts_raise',
  )
  tellMessages(tx, raised.rows.flatMap((row) => [...stepsBefore(row, steps.get(row.id)!), row]))
}

/** Several receipts of a message may come in one batch: each step up is news, also where only the highest is stored. */
function stepsBefore(row: ChangedMessage, told: Receipt['status'][]): ChangedMessage[] {
  const rank = (status: string) => RANK[status as Receipt['status']] ?? 0
  const between = [...new Set(told)].filter((status) => status !== 'failed' && rank(status) > rank(row.was ?? '') && rank(status) < rank(row.status))
  return between.sort((a, b) => rank(a) - rank(b)).map((status) => ({ ...row, status }))
}

/** Instagram and Messenger say "everything up to this time has been read". */
async function applyWatermark(tx: Tx, effect: Effect<Receipt>): Promise<EffectOutcome> {
  const { contact, watermarkMs, status } = effect.event
  if (!contact || watermarkMs === undefined) return 'ignored'
  const { rows } = await tx.query<ChangedMessage>(
    `UPDATE messages m SET status = $5
     FROM contact_identities ci JOIN conversations c ON c.contact_id = ci.contact_id
     WHERE ci.tenant_id = $1 AND ci.kind = $2 AND ci.scope = $3 AND ci.value = $4 AND ci.ended_at IS NULL AND c.number_id = $6
       AND m.conversation_id = c.id AND m.direction = 'outbound' AND m.created_at <= $7 AND ${rankSql('m.status')} BETWEEN 1 AND $8::int
     RETURNING m.id, m.tenant_id, m.status, m.reason`,
    [effect.tenantId, contact.kind, scopeOf(contact, effect.address), contact.value, status, effect.numberId, new Date(watermarkMs), RANK[status] - 1],
    'receipts_watermark',
  )
  tellMessages(tx, rows)
  return rows.length > 0 ? 'applied' : 'ignored'
}

/** `ours`: a send of ours, perhaps one whose outcome was unknown until now. `waiting`: it may be a send that is being recorded. */
export type EchoMatch = { kind: 'ours'; reconciledTurnId: Id | null } | { kind: 'waiting' } | { kind: 'foreign' }

/**
 * An echo of a message of ours settles an unknown outcome; an echo of somebody else's (the business's own phone) is history.
 * The echo may overtake the record of its own send: what is on its way is looked at BEFORE what is recorded, so that a send
 * recorded between the two looks is still found by the second.
 */
export async function matchEcho(tx: Tx, effect: Effect<Echo>): Promise<EchoMatch> {
  const onItsWay = await tx.query("SELECT 1 FROM outbox WHERE number_id = $1 AND state = 'sending' LIMIT 1", [effect.numberId], 'echo_on_its_way')
  const known = await tx.query<{ id: Id; message_id: Id; turn_id: Id | null; open: boolean }>(
    `SELECT id, message_id, turn_id, state IN ('unknown', 'sending') AS open FROM outbox WHERE number_id = $1 AND provider_message_id = $2
     UNION ALL SELECT id, message_id, turn_id, state IN ('unknown', 'sending') FROM outbox WHERE id = $3 AND number_id = $1 LIMIT 1`,
    [effect.numberId, effect.event.providerMessageId, uuidOrNull(effect.event.callbackData)],
    'echo_known',
  )
  const row = known.rows[0]
  if (!row) return { kind: onItsWay.rowCount ? 'waiting' : 'foreign' }
  if (!row.open) return { kind: 'ours', reconciledTurnId: null }
  const settled = await tx.query(
    "UPDATE outbox SET state = 'accepted', provider_message_id = $2, settled_at = now() WHERE id = $1 AND state IN ('unknown', 'sending')",
    [row.id, effect.event.providerMessageId],
    'echo_settle',
  )
  if (!settled.rowCount) return { kind: 'ours', reconciledTurnId: null }
  await summariseMessages(tx, [row.message_id])
  if (row.turn_id === null) await closeDirect(tx, [{ outboxId: row.id, accepted: true }])
  return { kind: 'ours', reconciledTurnId: row.turn_id }
}

/** Stores what a person of the business wrote from another app. It makes the conversation theirs. */
export async function storeForeignEcho(tx: Tx, effect: Effect<Echo>, contentSealed: Buffer, kind: string): Promise<EffectOutcome> {
  const identity = effect.event.contact.identities[0]!
  const conversation = await tx.query<{ id: Id; last_seq: string; project_id: Id; was: 'agent' | 'human' }>(
    `UPDATE conversations c SET last_seq = last_seq + 1, last_message_at = now(), handler = 'human', handler_epoch = handler_epoch + CASE WHEN handler = 'agent' THEN 1 ELSE 0 END
     FROM contact_identities ci WHERE ci.tenant_id = $1 AND ci.kind = $2 AND ci.scope = $3 AND ci.value = $4 AND ci.ended_at IS NULL
       AND c.number_id = $5 AND c.contact_id = ci.contact_id AND c.status = 'open'
     RETURNING c.id, c.last_seq, c.project_id, (SELECT o.handler FROM conversations o WHERE o.id = c.id) AS was`,
    [effect.tenantId, identity.kind, scopeOf(identity, effect.address), identity.value, effect.numberId],
    'echo_conversation',
  )
  const row = conversation.rows[0]
  if (!row) return 'ignored'
  const messageId = newId()
  await tx.query(
    `INSERT INTO messages (id, tenant_id, conversation_id, number_id, seq, direction, author, kind, content_sealed, provider_message_id, status, provider_at)
     VALUES ($1, $2, $3, $4, $5, 'outbound', 'human', $6, $7, $8, 'sent', $9)`,
    [messageId, effect.tenantId, row.id, effect.numberId, row.last_seq, kind, contentSealed, effect.event.providerMessageId, new Date(effect.event.atMs)],
    'echo_insert',
  )
  if (row.was === 'agent') happened(tx, effect.tenantId, { type: 'conversation.handler_changed', projectId: row.project_id, data: { conversation_id: row.id, handler: 'human', was: 'agent' } })
  tellMessages(tx, [{ id: messageId, tenant_id: effect.tenantId, status: 'sent', reason: null }])
  return 'applied'
}

const findMessage = async (tx: Tx, numberId: Id, providerMessageId: string): Promise<{ id: Id; tenant_id: Id } | undefined> => {
  const { rows } = await tx.query<{ id: Id; tenant_id: Id }>(
    'SELECT id, tenant_id FROM messages WHERE number_id = $1 AND provider_message_id = $2 LIMIT 1',
    [numberId, providerMessageId],
    'messages_by_provider',
  )
  return rows[0]
}

/** The latest reaction of a person counts; an older one that comes late does not bring an emoji back. */
export async function applyReaction(tx: Tx, effect: Effect<Reaction>): Promise<EffectOutcome> {
  const { event } = effect
  const message = await findMessage(tx, effect.numberId, event.targetMessageId)
  if (!message) return 'waiting'
  const actor = `${event.from.identities[0]!.kind}:${event.from.identities[0]!.value}`
  await tx.query(
    `INSERT INTO message_reactions (tenant_id, message_id, actor, emoji, at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (message_id, actor) DO UPDATE SET emoji = excluded.emoji, at = excluded.at WHERE message_reactions.at <= excluded.at`,
    [message.tenant_id, message.id, actor, event.emoji ?? '', new Date(event.atMs)],
    'reactions_upsert',
  )
  return 'applied'
}

/** History keeps what was said: a revision stands beside the message. */
export async function applyRevision(tx: Tx, effect: Effect<Revision>, contentSealed: Buffer | null): Promise<EffectOutcome> {
  const message = await findMessage(tx, effect.numberId, effect.event.targetMessageId)
  if (!message) return 'waiting'
  await tx.query(
    'INSERT INTO message_revisions (id, tenant_id, message_id, change, content_sealed, at) VALUES ($1, $2, $3, $4, $5, $6)',
    [newId(), message.tenant_id, message.id, effect.event.change.type, contentSealed, new Date(effect.event.atMs)],
    'revisions_insert',
  )
  return 'applied'
}

/** The same person under a new id: the contact, its conversations and its place in the queue stay; the old id is kept as history. */
export async function applyIdentityChange(tx: Tx, effect: Effect<IdentityChange>): Promise<EffectOutcome> {
  const { previous, current } = effect.event
  const contactId = await holdForChange(tx, effect.tenantId, previous, effect.address)
  if (!contactId) return 'ignored'
  await tx.query(
    'UPDATE contact_identities SET ended_at = now() WHERE tenant_id = $1 AND kind = $2 AND scope = $3 AND value = $4 AND ended_at IS NULL',
    [effect.tenantId, previous.kind, scopeOf(previous, effect.address), previous.value],
    'identity_end',
  )
  await tx.query(
    `INSERT INTO contact_identities (id, tenant_id, contact_id, kind, scope, value, source) VALUES ($1, $2, $3, $4, $5, $6, 'identity_change')
     ON CONFLICT (tenant_id, kind, scope, value) WHERE ended_at IS NULL DO NOTHING`,
    [newId(), effect.tenantId, contactId, current.kind, scopeOf(current, effect.address), current.value],
    'identity_begin',
  )
  await tx.query(
    "UPDATE conversations SET reply_to = $3 WHERE tenant_id = $1 AND contact_id = $2 AND number_id = $4 AND status = 'open'",
    [effect.tenantId, contactId, JSON.stringify(current), effect.numberId],
    'identity_conversations',
  )
  return 'applied'
}

/** A word about the number itself; an opt-out is also the contact's. */
export async function applyNotice(tx: Tx, effect: Effect<NumberNotice>): Promise<EffectOutcome> {
  const { event } = effect
  await tx.query(
    'INSERT INTO number_notices (id, tenant_id, number_id, topic, severity, data) VALUES ($1, $2, $3, $4, $5, $6)',
    [newId(), effect.tenantId, effect.numberId, event.topic, event.severity, storableJson(event.data)],
    'notices_insert',
  )
  if (event.contact && (event.topic === 'opt_out' || event.topic === 'opt_in')) {
    await tx.query(
      `UPDATE contacts c SET opted_out_at = CASE WHEN $5 THEN now() ELSE NULL END FROM contact_identities ci
       WHERE ci.contact_id = c.id AND ci.tenant_id = $1 AND ci.kind = $2 AND ci.scope = $3 AND ci.value = $4 AND ci.ended_at IS NULL`,
      [effect.tenantId, event.contact.kind, scopeOf(event.contact, effect.address), event.contact.value, event.topic === 'opt_out'],
      'contacts_opt_out',
    )
  }
  return 'applied'
}
