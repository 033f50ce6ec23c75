import type { Degradation, Id, ModelUsage } from '@trunkline/core'
import { newId } from '@trunkline/core'
import { storableJson } from '../storable.ts'
import type { Tx } from '../tenancy.ts'
import { checkFence } from '../queue/lanes.ts'

export type ReplyPart = { outboxId: Id; part: number; requestSealed: Buffer }
export type Reply = { messageId: Id; kind: string; contentSealed: Buffer; degradations: Degradation[]; parts: ReplyPart[] }

export type AnswerTurn = {
  turnId: Id
  tenantId: Id
  projectId: Id
  numberId: Id
  epoch: number
  conversationId: Id
  agentId: Id | null
  promptId: Id | null
  promptVersion: number | null
  /** The epoch the answer was made under: a person who took over since makes it void. */
  handlerEpoch: number
  replies: Reply[]
  usage: (ModelUsage & { costMicros: bigint })[]
  vendorState: Record<string, unknown> | null
  /** Undefined leaves the stored summary. */
  summarySealed?: Buffer
  vendor: string
  model: string
  details: Record<string, unknown>
  contactId: Id
  /** What the agent noted about the contact; merged into what is known. */
  contactFields: Record<string, string>
}

/** `discarded`: a person took the conversation over while the model was writing; nothing of the answer is kept to be sent. */
export type AnswerResult = 'ready' | 'fenced' | 'discarded'

/** Stores many answers in one transaction: messages `queued`, their outbox rows `pending`, usage, the vendor's state. */
export async function answerTurns(tx: Tx, turns: AnswerTurn[]): Promise<Map<Id, AnswerResult>> {
  const results = new Map<Id, AnswerResult>()
  const fenced = await checkFence(tx, turns)
  for (const turn of turns) if (fenced.has(turn.numberId)) results.set(turn.turnId, 'fenced')
  const mine = turns.filter((turn) => !results.has(turn.turnId))
  if (mine.length === 0) return results

  const seqs = await claimSeqs(tx, mine)
  for (const turn of mine) results.set(turn.turnId, seqs.has(turn.turnId) ? 'ready' : 'discarded')
  insertUsage(tx, mine)
  const kept = mine.filter((turn) => seqs.has(turn.turnId))
  if (kept.length === 0) return results
  insertReplies(tx, kept, seqs)
  insertOutbox(tx, kept)
  markAnswered(tx, kept)
  noteContactFields(tx, kept.filter((turn) => Object.keys(turn.contactFields).length > 0))
  return results
}

/** Last sequence number before each turn's replies; no row where the handler's epoch has moved on. */
async function claimSeqs(tx: Tx, turns: AnswerTurn[]): Promise<Map<Id, number>> {
  const { rows } = await tx.query<{ turn_id: Id; before: string }>(
    `UPDATE conversations c SET last_seq = c.last_seq + i.added, last_message_at = now(), vendor_state = i.vendor_state, summary_sealed = coalesce(i.summary_sealed, c.summary_sealed)
     FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::jsonb[], $6::bytea[]) AS i (turn_id, id, added, handler_epoch, vendor_state, summary_sealed)
     WHERE c.id = i.id AND c.handler_epoch = i.handler_epoch
     RETURNING i.turn_id, c.last_seq - i.added AS before`,
    [
      turns.map((turn) => turn.turnId),
      turns.map((turn) => turn.conversationId),
      turns.map((turn) => turn.replies.length),
      turns.map((turn) => turn.handlerEpoch),
      turns.map((turn) => (turn.vendorState ? storableJson(turn.vendorState) : null)),
      turns.map((turn) => turn.summarySealed ?? null),
    ],
    'turns_claim_seqs',
  )
  return new Map(rows.map((row) => [row.turn_id, Number(row.before)]))
}

function insertReplies(tx: Tx, turns: AnswerTurn[], seqs: Map<Id, number>): void {
  const rows = turns.flatMap((turn) => turn.replies.map((reply, index) => ({ turn, reply, seq: seqs.get(turn.turnId)! + index + 1 })))
  tx.send(
    `INSERT INTO messages (id, tenant_id, conversation_id, number_id, turn_id, agent_id, prompt_id, prompt_version, seq, direction, author, kind, content_sealed, status, details)
     SELECT id, tenant_id, conversation_id, number_id, turn_id, agent_id, prompt_id, prompt_version, seq, 'outbound', 'agent', kind, content_sealed, 'queued', details
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[], $8::int[], $9::bigint[], $10::text[], $11::bytea[], $12::jsonb[])
       AS i (id, tenant_id, conversation_id, number_id, turn_id, agent_id, prompt_id, prompt_version, seq, kind, content_sealed, details)`,
    [
      rows.map((row) => row.reply.messageId),
      rows.map((row) => row.turn.tenantId),
      rows.map((row) => row.turn.conversationId),
      rows.map((row) => row.turn.numberId),
      rows.map((row) => row.turn.turnId),
      rows.map((row) => row.turn.agentId),
      rows.map((row) => row.turn.promptId),
      rows.map((row) => row.turn.promptVersion),
      rows.map((row) => row.seq),
      rows.map((row) => row.reply.kind),
      rows.map((row) => row.reply.contentSealed),
      rows.map((row) => (row.reply.degradations.length > 0 ? JSON.stringify({ degradations: row.reply.degradations }) : null)),
    ],
    'turns_insert_replies',
  )
}

function insertOutbox(tx: Tx, turns: AnswerTurn[]): void {
  const rows = turns.flatMap((turn) => turn.replies.flatMap((reply) => reply.parts.map((part) => ({ turn, reply, part }))))
  tx.send(
    `INSERT INTO outbox (id, tenant_id, number_id, conversation_id, turn_id, message_id, part, state, epoch, handler_epoch, request_sealed)
     SELECT id, tenant_id, number_id, conversation_id, turn_id, message_id, part, 'pending', epoch, handler_epoch, request_sealed
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::int[], $8::bigint[], $9::int[], $10::bytea[])
       AS i (id, tenant_id, number_id, conversation_id, turn_id, message_id, part, epoch, handler_epoch, request_sealed)`,
    [
      rows.map((row) => row.part.outboxId),
      rows.map((row) => row.turn.tenantId),
      rows.map((row) => row.turn.numberId),
      rows.map((row) => row.turn.conversationId),
      rows.map((row) => row.turn.turnId),
      rows.map((row) => row.reply.messageId),
      rows.map((row) => row.part.part),
      rows.map((row) => row.turn.epoch),
      rows.map((row) => row.turn.handlerEpoch),
      rows.map((row) => row.part.requestSealed),
    ],
    'turns_insert_outbox',
  )
}

function markAnswered(tx: Tx, turns: AnswerTurn[]): void {
  const total = (turn: AnswerTurn, field: 'inputTokens' | 'outputTokens') => turn.usage.reduce((sum, usage) => sum + usage[field], 0)
  tx.send(
    `UPDATE turns t SET state = 'answered', answered_at = now(), vendor = i.vendor, model = i.model, input_tokens = i.input_tokens, output_tokens = i.output_tokens, details = i.details
     FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::int[], $6::jsonb[]) AS i (id, vendor, model, input_tokens, output_tokens, details)
     WHERE t.id = i.id`,
    [
      turns.map((turn) => turn.turnId),
      turns.map((turn) => turn.vendor),
      turns.map((turn) => turn.model),
      turns.map((turn) => total(turn, 'inputTokens')),
      turns.map((turn) => total(turn, 'outputTokens')),
      turns.map((turn) => storableJson(turn.details)),
    ],
    'turns_answered',
  )
}

/** Measured vendor calls are kept also when their answer was thrown away: they were paid for. */
export function insertUsage(tx: Tx, turns: (Pick<AnswerTurn, 'tenantId' | 'projectId' | 'conversationId' | 'usage'> & { turnId: Id | null })[]): void {
  const rows = turns.flatMap((turn) => turn.usage.map((usage) => ({ turn, usage })))
  if (rows.length === 0) return
  tx.send(
    `INSERT INTO usage_records (id, tenant_id, project_id, conversation_id, turn_id, vendor, model, purpose, input_tokens, cached_input_tokens, output_tokens, latency_ms, first_token_ms, outcome, cost_micros, request_id, own_key)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::int[], $10::int[], $11::int[], $12::int[], $13::int[], $14::text[], $15::bigint[], $16::text[], $17::boolean[])`,
    [
      rows.map(() => newId()),
      rows.map((row) => row.turn.tenantId),
      rows.map((row) => row.turn.projectId),
      rows.map((row) => row.turn.conversationId),
      rows.map((row) => row.turn.turnId),
      rows.map((row) => row.usage.vendor),
      rows.map((row) => row.usage.model),
      rows.map((row) => row.usage.purpose),
      rows.map((row) => row.usage.inputTokens),
      rows.map((row) => row.usage.cachedInputTokens),
      rows.map((row) => row.usage.outputTokens),
      rows.map((row) => Math.round(row.usage.latencyMs)),
      rows.map((row) => (row.usage.firstTokenMs === null ? null : Math.round(row.usage.firstTokenMs))),
      rows.map((row) => row.usage.outcome),
      rows.map((row) => row.usage.costMicros.toString()),
      rows.map((row) => row.usage.requestId),
      rows.map((row) => row.usage.ownKey ?? false),
    ],
    'usage_insert',
  )
}

export function noteContactFields(tx: Tx, turns: readonly Pick<AnswerTurn, 'contactId' | 'contactFields'>[]): void {
  if (turns.length === 0) return
  tx.send(
    "UPDATE contacts c SET fields = c.fields || i.fields, name = coalesce(c.name, i.fields->>'name') FROM unnest($1::uuid[], $2::jsonb[]) AS i (id, fields) WHERE c.id = i.id",
    [turns.map((turn) => turn.contactId), turns.map((turn) => storableJson(turn.contactFields))],
    'contacts_note',
  )
}
