import { newId, type Id, type MediaRef, type Sender } from '@trunkline/core'
import { happened } from '../events/notes.ts'
import { holdMany } from '../ledger/index.ts'
import { storableJson } from '../storable.ts'
import type { Tx } from '../tenancy.ts'
import { HOLD, resolveContacts, scopeOf, STILL_THEIRS } from './contacts.ts'
import { checkFence } from '../queue/lanes.ts'

/** One message of a customer, as the turn stores it. */
export type TurnItem = {
  messageId: Id
  seq: number
  providerMessageId: string
  kind: string
  contentSealed: Buffer
  replyTo?: string
  /** Referral, forwarded flag, the supplier's raw object. */
  details?: Record<string, unknown>
  providerAtMs: number
  receivedAtMs: number
  /** A file that the supplier keeps: downloaded on its own, with its own retries. `mediaId` names its row. */
  media?: MediaRef & { mediaId: Id }
  /** A file that was uploaded to us before: its row becomes this message's. */
  uploadId?: Id
}

export type OpenTurn = {
  turnId: Id
  tenantId: Id
  projectId: Id
  numberId: Id
  /** Scope of identities that the supplier scopes to our address. */
  address: string
  epoch: number
  firstSeq: number
  seqs: number[]
  agentId: Id | null
  promptId: Id | null
  promptVersion: number | null
  sender: Sender
  items: TurnItem[]
  /** Upper bound of what the turn may cost. */
  holdMicros: bigint
  /** Silence after which the conversation is looked at for a lead. */
  leadIdleMs: number
}

export type HistoryRow = { id: Id; seq: number; author: 'customer' | 'agent' | 'human' | 'system'; contentSealed: Buffer; status: string; createdAt: Date }

export type OpenedTurn = {
  turnId: Id
  conversationId: Id
  contactId: Id
  contactName: string | null
  contactFields: Record<string, unknown>
  optedOut: boolean
  handler: 'agent' | 'human'
  handlerEpoch: number
  vendorState: Record<string, unknown> | null
  summarySealed: Buffer | null
  attempts: number
  holdId: Id | null
  credit: 'held' | 'insufficient'
  history: HistoryRow[]
}

/**
 * `fenced`: another worker owns the lane. `busy`: an earlier turn of the conversation still runs (an alias of the contact wrote).
 * `rebound`: the agent was relinked or ended since the caller read its binding, or the sender became another contact in this very
 * moment (a merge); read both again.
 */
export type OpenResult = OpenedTurn | 'fenced' | 'busy' | 'rebound'

const HOLD_HOURS = 24
const HISTORY_LIMIT = 80

/**
 * Begins many turns in one transaction: contacts and conversations found or made, the customers' messages stored, credits held,
 * history read. A handful of statements whatever the number of turns. Every turn is new: one that exists is read by `resumeTurns`.
 */
export async function openTurns(tx: Tx, turns: OpenTurn[]): Promise<Map<Id, OpenResult>> {
  const results = new Map<Id, OpenResult>()
  const [fenced, ended] = await Promise.all([checkFence(tx, turns), endedAgents(tx, turns)])
  for (const turn of turns) if (fenced.has(turn.numberId)) results.set(turn.turnId, 'fenced')
  for (const turn of turns) if (turn.agentId !== null && ended.has(turn.agentId)) results.set(turn.turnId, 'rebound')

  const contacts = await resolveContacts(tx, turns.filter((turn) => !results.has(turn.turnId)))
  const seen = new Set<string>()
  const live = turns.filter((turn) => {
    if (results.has(turn.turnId)) return false
    const key = `${turn.numberId} ${contacts.get(turn.turnId)!.contactId}`
    if (seen.has(key)) results.set(turn.turnId, 'busy')
    return !seen.has(key) && seen.add(key)
  })
  const busy = await conversationsInTurn(tx, live, contacts)
  for (const turn of live) if (busy.has(turn.turnId)) results.set(turn.turnId, 'busy')
  const idle = live.filter((turn) => !busy.has(turn.turnId))
  if (idle.length === 0) return results

  const conversations = await joinConversations(tx, idle, contacts)
  const open = idle.filter((turn) => conversations.has(turn.turnId))
  for (const turn of idle) if (!conversations.has(turn.turnId)) results.set(turn.turnId, 'rebound')
  if (open.length === 0) return results
  const holds = await holdCredits(tx, open)
  insertTurns(tx, open, conversations, holds)
  const stored = insertMessages(tx, open, conversations)
  insertMedia(tx, open)
  linkUploads(tx, open)
  const [history] = await Promise.all([readHistory(tx, [...conversations.values()]), stored])
  for (const turn of open) {
    const conversation = conversations.get(turn.turnId)!
    const contact = contacts.get(turn.turnId)!
    const hold = holds.get(turn.turnId)!
    results.set(turn.turnId, {
      turnId: turn.turnId,
      conversationId: conversation.id,
      contactId: contact.contactId,
      contactName: contact.name,
      contactFields: contact.fields,
      optedOut: contact.optedOut,
      handler: conversation.handler,
      handlerEpoch: conversation.handler_epoch,
      vendorState: conversation.vendor_state,
      summarySealed: conversation.summary_sealed,
      attempts: 1,
      holdId: hold.holdId,
      credit: hold.credit,
      history: history.get(conversation.id) ?? [],
    })
  }
  return results
}

/** Holds the bindings still until commit: a relink comes before (and is seen here) or after (and archives what this begins). */
async function endedAgents(tx: Tx, turns: OpenTurn[]): Promise<Set<Id>> {
  const agents = [...new Set(turns.flatMap((turn) => turn.agentId ?? []))].toSorted()
  const { rows } = await tx.query<{ id: Id }>('SELECT id FROM agents WHERE id = ANY ($1::uuid[]) AND ended_at IS NULL ORDER BY id FOR SHARE', [agents], 'agents_bound')
  const bound = new Set(rows.map((row) => row.id))
  return new Set(agents.filter((agent) => !bound.has(agent)))
}

type Contacts = Awaited<ReturnType<typeof resolveContacts>>

/** Turns whose conversation has another turn under way: two aliases of one person wrote at the same moment. */
async function conversationsInTurn(tx: Tx, turns: OpenTurn[], contacts: Contacts): Promise<Set<Id>> {
  const { rows } = await tx.query<{ turn_id: Id }>(
    `SELECT i.turn_id FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS i (turn_id, number_id, contact_id)
     JOIN conversations c ON c.number_id = i.number_id AND c.contact_id = i.contact_id AND c.status = 'open'
     WHERE EXISTS (SELECT 1 FROM turns t WHERE t.conversation_id = c.id AND t.state <> 'retired')`,
    [turns.map((turn) => turn.turnId), turns.map((turn) => turn.numberId), turns.map((turn) => contacts.get(turn.turnId)!.contactId)],
    'turns_busy',
  )
  return new Set(rows.map((row) => row.turn_id))
}

export type ConversationRow = {
  turn_id: Id
  id: Id
  handler: 'agent' | 'human'
  handler_epoch: number
  vendor_state: Record<string, unknown> | null
  summary_sealed: Buffer | null
  context_start_seq: string
  last_seq: string
}

const conversationColumns = 'i.turn_id, c.id, c.handler, c.handler_epoch, c.vendor_state, c.summary_sealed, c.context_start_seq, c.last_seq'

/**
 * Adds the turn's messages to the open conversation of (number, contact), or begins one. After 21 days of silence the old
 * messages stop being context. The lead deadline is set by the first unextracted message only: a later one does not touch the index.
 * Without a row: the sender is another contact since a moment ago.
 */
async function joinConversations(tx: Tx, turns: OpenTurn[], contacts: Contacts): Promise<Map<Id, ConversationRow>> {
  const found = await tx.query<ConversationRow>(
    `UPDATE conversations c SET
       last_seq = c.last_seq + i.added,
       last_message_at = now(),
       last_inbound_at = i.received_at,
       reply_to = i.reply_to,
       agent_id = coalesce(c.agent_id, i.agent_id),
       context_start_seq = CASE WHEN c.last_message_at < now() - interval '21 days' THEN c.last_seq ELSE c.context_start_seq END,
       vendor_state = CASE WHEN c.last_message_at < now() - interval '21 days' THEN NULL ELSE c.vendor_state END,
       summary_sealed = CASE WHEN c.last_message_at < now() - interval '21 days' THEN NULL ELSE c.summary_sealed END,
       first_unextracted_at = coalesce(c.first_unextracted_at, now()),
       extraction_due_at = coalesce(c.extraction_due_at, now() + make_interval(secs => i.lead_idle_ms / 1000))
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::timestamptz[], $6::jsonb[], $7::float8[], $8::uuid[]) AS i (turn_id, number_id, contact_id, added, received_at, reply_to, lead_idle_ms, agent_id)
     WHERE c.number_id = i.number_id AND c.contact_id = i.contact_id AND c.status = 'open'
     RETURNING ${conversationColumns}`,
    conversationParameters(turns, contacts),
    'turns_join',
  )
  const byTurn = new Map(found.rows.map((row) => [row.turn_id, row]))
  const missing = turns.filter((turn) => !byTurn.has(turn.turnId))
  for (const row of await beginConversations(tx, missing, contacts)) byTurn.set(row.turn_id, row)
  return byTurn
}

function conversationParameters(turns: OpenTurn[], contacts: Contacts): unknown[] {
  return [
    turns.map((turn) => turn.turnId),
    turns.map((turn) => turn.numberId),
    turns.map((turn) => contacts.get(turn.turnId)!.contactId),
    turns.map((turn) => turn.items.length),
    turns.map((turn) => new Date(Math.max(...turn.items.map((item) => item.receivedAtMs)))),
    turns.map((turn) => storableJson(turn.sender.identities[0])),
    turns.map((turn) => turn.leadIdleMs),
    turns.map((turn) => turn.agentId),
  ]
}

/**
 * Only for a contact who still has the identity that wrote, and keeps it until commit. Bug: a turn that had found its contact just
 * before a merge began a conversation on the emptied one. Who joins an open conversation needs no lock: a merge moves it, or closes it.
 */
async function beginConversations(tx: Tx, turns: OpenTurn[], contacts: Contacts): Promise<ConversationRow[]> {
  if (turns.length === 0) return []
  const identities = turns.map(({ sender, address }) => ({ ...sender.identities[0]!, scope: scopeOf(sender.identities[0]!, address) }))
  const { rows } = await tx.query<ConversationRow>(
    `WITH i AS (
       SELECT i.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::timestamptz[], $6::jsonb[], $7::float8[], $8::uuid[], $9::uuid[], $10::uuid[], $11::uuid[], $12::text[], $13::text[], $14::text[])
         AS i (turn_id, number_id, contact_id, added, received_at, reply_to, lead_idle_ms, agent_id, id, tenant_id, project_id, kind, scope, value)
       ${STILL_THEIRS} ORDER BY i.contact_id ${HOLD}
     ), c AS (
       INSERT INTO conversations (id, tenant_id, project_id, number_id, agent_id, contact_id, reply_to, last_seq, last_inbound_at, first_unextracted_at, extraction_due_at)
       SELECT id, tenant_id, project_id, number_id, agent_id, contact_id, reply_to, added, received_at, now(), now() + make_interval(secs => lead_idle_ms / 1000) FROM i
       RETURNING *
     ) SELECT ${conversationColumns} FROM c JOIN i ON i.id = c.id`,
    [
      ...conversationParameters(turns, contacts),
      turns.map(() => newId()),
      turns.map((turn) => turn.tenantId),
      turns.map((turn) => turn.projectId),
      identities.map(({ kind }) => kind),
      identities.map(({ scope }) => scope),
      identities.map(({ value }) => value),
    ],
    'turns_begin_conversation',
  )
  return rows
}

type Hold = { holdId: Id | null; credit: 'held' | 'insufficient' }

async function holdCredits(tx: Tx, turns: OpenTurn[]): Promise<Map<Id, Hold>> {
  const expiresAtMs = Date.now() + HOLD_HOURS * 3_600_000
  const priced = turns.filter((turn) => turn.holdMicros > 0n).map((turn) => ({ turn, holdId: newId() }))
  const outcome = await holdMany(
    tx,
    priced.map(({ turn, holdId }) => ({ tenantId: turn.tenantId, holdId, turnId: turn.turnId, amountMicros: turn.holdMicros, idempotencyKey: `hold:${turn.turnId}`, expiresAtMs })),
  )
  const holds = new Map<Id, Hold>(turns.map((turn) => [turn.turnId, { holdId: null, credit: 'held' }]))
  for (const { turn, holdId } of priced) {
    const result = outcome.get(holdId)
    const covered = result === 'held' || result === 'replayed'
    holds.set(turn.turnId, covered ? { holdId, credit: 'held' } : { holdId: null, credit: 'insufficient' })
  }
  return holds
}

function insertTurns(tx: Tx, turns: OpenTurn[], conversations: Map<Id, ConversationRow>, holds: Map<Id, Hold>): void {
  tx.send(
    `INSERT INTO turns (id, tenant_id, number_id, conversation_id, agent_id, prompt_id, prompt_version, first_seq, seqs, attempts, handler_epoch, hold_id)
     SELECT id, tenant_id, number_id, conversation_id, agent_id, prompt_id, prompt_version, first_seq, seqs::bigint[], 1, handler_epoch, hold_id
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::int[], $8::bigint[], $9::text[], $10::int[], $11::uuid[])
       AS i (id, tenant_id, number_id, conversation_id, agent_id, prompt_id, prompt_version, first_seq, seqs, handler_epoch, hold_id)`,
    [
      turns.map((turn) => turn.turnId),
      turns.map((turn) => turn.tenantId),
      turns.map((turn) => turn.numberId),
      turns.map((turn) => conversations.get(turn.turnId)!.id),
      turns.map((turn) => turn.agentId),
      turns.map((turn) => turn.promptId),
      turns.map((turn) => turn.promptVersion),
      turns.map((turn) => turn.firstSeq),
      // An array of arrays must be rectangular in Postgres, so each list travels as its text form.
      turns.map((turn) => `{${turn.seqs.join(',')}}`),
      turns.map((turn) => conversations.get(turn.turnId)!.handler_epoch),
      turns.map((turn) => holds.get(turn.turnId)!.holdId),
    ],
    'turns_insert',
  )
}

async function insertMessages(tx: Tx, turns: OpenTurn[], conversations: Map<Id, ConversationRow>): Promise<void> {
  const rows = turns.flatMap((turn) => {
    const conversation = conversations.get(turn.turnId)!
    const before = Number(conversation.last_seq) - turn.items.length
    return turn.items.map((item, index) => ({ turn, item, conversationId: conversation.id, seq: before + index + 1 }))
  })
  const inserted = await tx.query<{ id: Id; tenant_id: Id }>(
    `INSERT INTO messages (id, tenant_id, conversation_id, number_id, turn_id, agent_id, prompt_id, prompt_version, seq, direction, author, kind, content_sealed, provider_message_id, reply_to, status, details, provider_at, created_at)
     SELECT id, tenant_id, conversation_id, number_id, turn_id, agent_id, prompt_id, prompt_version, seq, 'inbound', 'customer', kind, content_sealed, provider_message_id, reply_to, 'received', details, provider_at, received_at
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::int[], $9::bigint[], $10::text[], $11::bytea[], $12::text[], $13::text[], $14::jsonb[], $15::timestamptz[], $16::timestamptz[])
       AS i (id, tenant_id, conversation_id, number_id, turn_id, agent_id, prompt_id, prompt_version, seq, kind, content_sealed, provider_message_id, reply_to, details, provider_at, received_at)
     ON CONFLICT DO NOTHING RETURNING id, tenant_id`,
    [
      rows.map((row) => row.item.messageId),
      rows.map((row) => row.turn.tenantId),
      rows.map((row) => row.conversationId),
      rows.map((row) => row.turn.numberId),
      rows.map((row) => row.turn.turnId),
      rows.map((row) => row.turn.agentId),
      rows.map((row) => row.turn.promptId),
      rows.map((row) => row.turn.promptVersion),
      rows.map((row) => row.seq),
      rows.map((row) => row.item.kind),
      rows.map((row) => row.item.contentSealed),
      rows.map((row) => row.item.providerMessageId),
      rows.map((row) => row.item.replyTo ?? null),
      rows.map((row) => (row.item.details ? storableJson(row.item.details) : null)),
      rows.map((row) => new Date(row.item.providerAtMs)),
      rows.map((row) => new Date(row.item.receivedAtMs)),
    ],
    'turns_insert_messages',
  )
  // One that waits for its answer again is no news.
  for (const row of inserted.rows) happened(tx, row.tenant_id, { type: 'message.received', projectId: null, data: { message_id: row.id, status: 'received', reason: null } })
}

function linkUploads(tx: Tx, turns: OpenTurn[]): void {
  const rows = turns.flatMap((turn) => turn.items.flatMap((item) => (item.uploadId ? [{ numberId: turn.numberId, messageId: item.messageId, uploadId: item.uploadId }] : [])))
  if (rows.length === 0) return
  tx.send(
    `UPDATE media m SET message_id = i.message_id FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS i (id, number_id, message_id)
     WHERE m.id = i.id AND m.number_id = i.number_id AND m.message_id IS NULL`,
    [rows.map((row) => row.uploadId), rows.map((row) => row.numberId), rows.map((row) => row.messageId)],
    'turns_link_uploads',
  )
}

function insertMedia(tx: Tx, turns: OpenTurn[]): void {
  const rows = turns.flatMap((turn) => turn.items.flatMap((item) => (item.media ? [{ turn, item, media: item.media }] : [])))
  if (rows.length === 0) return
  tx.send(
    `INSERT INTO media (id, tenant_id, number_id, message_id, source, mime_type, sha256, filename, next_attempt_at)
     SELECT id, tenant_id, number_id, message_id, source, source->>'mimeType', source->>'sha256', source->>'filename', now()
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::jsonb[]) AS i (id, tenant_id, number_id, message_id, source)
     ON CONFLICT DO NOTHING`,
    [
      rows.map((row) => row.media.mediaId),
      rows.map((row) => row.turn.tenantId),
      rows.map((row) => row.turn.numberId),
      rows.map((row) => row.item.messageId),
      rows.map((row) => storableJson(row.media)),
    ],
    'turns_insert_media',
  )
}

/** The messages that are context, oldest first, of each conversation. What never reached the customer is not history. */
export async function readHistory(tx: Tx, conversations: { id: Id; context_start_seq: string }[]): Promise<Map<Id, HistoryRow[]>> {
  const { rows } = await tx.query<{ conversation_id: Id; id: Id; seq: string; author: HistoryRow['author']; content_sealed: Buffer; status: string; created_at: Date }>(
    `SELECT i.conversation_id, m.id, m.seq, m.author, m.content_sealed, m.status, m.created_at
     FROM unnest($1::uuid[], $2::bigint[]) AS i (conversation_id, context_start_seq)
     CROSS JOIN LATERAL (
       SELECT id, seq, author, content_sealed, status, created_at FROM messages m
       WHERE m.conversation_id = i.conversation_id AND m.seq > i.context_start_seq AND m.status NOT IN ('failed', 'discarded', 'parked', 'rejected')
       ORDER BY m.seq DESC LIMIT ${HISTORY_LIMIT}
     ) m`,
    [conversations.map((row) => row.id), conversations.map((row) => row.context_start_seq)],
    'turns_history',
  )
  const history = new Map<Id, HistoryRow[]>()
  for (const row of rows.toReversed()) {
    const list = history.get(row.conversation_id) ?? history.set(row.conversation_id, []).get(row.conversation_id)!
    list.push({ id: row.id, seq: Number(row.seq), author: row.author, contentSealed: row.content_sealed, status: row.status, createdAt: row.created_at })
  }
  return history
}
