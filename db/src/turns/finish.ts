import { newId, type Id } from '@trunkline/core'
import { lockWallets, settleMany, voidMany } from '../ledger/index.ts'
import { happened } from '../events/notes.ts'
import { retireTurns } from '../queue/lanes.ts'
import type { Tx } from '../tenancy.ts'
import { tellMessages } from './news.ts'

export type TurnOutcome = 'sent' | 'failed' | 'unknown' | 'parked' | 'discarded' | 'rejected' | 'silent'

export type FinishTurn = {
  turnId: Id
  tenantId: Id
  numberId: Id
  epoch: number
  seqs: number[]
  conversationId: Id
  inboundMessageIds: Id[]
  outcome: TurnOutcome
  /** A code that people see on the message, e.g. `insufficient_credit`. */
  reason: string | null
  holdId: Id | null
  /** `keep`: the outcome is unknown, the hold waits for its reconciliation (or expires); the amount is what it will then settle. */
  money: { action: 'settle' | 'keep'; micros: bigint; lines: Record<string, unknown>[] } | { action: 'void' }
  /** A change of hands takes effect after the agent's last words have left. */
  handover?: boolean
  close?: boolean
}

const INBOUND_STATUS: Record<TurnOutcome, string> = {
  sent: 'answered',
  unknown: 'answered',
  discarded: 'received',
  silent: 'received',
  failed: 'failed',
  parked: 'parked',
  rejected: 'rejected',
}

/** Ends many turns in one transaction: lane retired, turn closed, messages marked, money settled or given back. Answers with the fenced turns. */
export async function finishTurns(tx: Tx, turns: FinishTurn[]): Promise<Set<Id>> {
  const fencedNumbers = await retireTurns(tx, turns.map((turn) => ({ numberId: turn.numberId, epoch: turn.epoch, seqs: turn.seqs })))
  const mine = turns.filter((turn) => !fencedNumbers.has(turn.numberId))
  if (mine.length > 0) {
    const known = await knownMeanwhile(tx, mine.filter((turn) => turn.outcome === 'unknown'))
    closeTurns(tx, mine)
    markInbound(tx, mine)
    await settleTurns(tx, mine)
    if (known.length > 0) await settleReconciled(tx, known)
    await changeHands(tx, mine.filter((turn) => turn.handover || turn.close))
  }
  return new Set(turns.filter((turn) => fencedNumbers.has(turn.numberId)).map((turn) => turn.turnId))
}

/**
 * Passes messages that cannot be stored (their payload does not open, or a row is refused again and again). They stay in the inbox, and
 * the number's tenant is told, since there is no message to show the reason on. False: fenced.
 */
export async function passUnstored(tx: Tx, turn: { tenantId: Id; numberId: Id; epoch: number; seqs: number[] }, reason: string): Promise<boolean> {
  const fenced = await retireTurns(tx, [turn])
  if (fenced.has(turn.numberId)) return false
  await tx.query("INSERT INTO number_notices (id, tenant_id, number_id, topic, severity, data) VALUES ($1, $2, $3, 'messages_not_stored', 'critical', $4)", [
    newId(), turn.tenantId, turn.numberId, JSON.stringify({ seqs: turn.seqs, reason }),
  ])
  return true
}

/**
 * Turns whose outcome was unknown to their worker and has been told by a receipt or an echo that came before the turn ended. The locks make
 * a receipt that comes now wait until the turn is closed, and then it settles by itself.
 */
async function knownMeanwhile(tx: Tx, turns: FinishTurn[]): Promise<{ turnId: Id; accepted: boolean }[]> {
  if (turns.length === 0) return []
  const { rows } = await tx.query<{ turn_id: Id; state: string }>(
    'SELECT turn_id, state FROM outbox WHERE turn_id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE',
    [turns.map((turn) => turn.turnId)],
    'turns_known',
  )
  return [...Map.groupBy(rows, (row) => row.turn_id)].flatMap(([turnId, parts]) =>
    parts.some((part) => part.state === 'unknown') ? [] : [{ turnId, accepted: parts.some((part) => part.state === 'accepted') }],
  )
}

function closeTurns(tx: Tx, turns: FinishTurn[]): void {
  tx.send(
    `UPDATE turns t SET state = 'retired', outcome = i.outcome, reason = i.reason, cost_micros = i.cost_micros, retired_at = now()
     FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) AS i (id, outcome, reason, cost_micros) WHERE t.id = i.id`,
    [
      turns.map((turn) => turn.turnId),
      turns.map((turn) => turn.outcome),
      turns.map((turn) => turn.reason),
      turns.map((turn) => (turn.money.action === 'void' ? '0' : turn.money.micros.toString())),
    ],
    'turns_close',
  )
}

function markInbound(tx: Tx, turns: FinishTurn[]): void {
  const rows = turns.flatMap((turn) => turn.inboundMessageIds.map((id) => ({ id, turn })))
  tx.send(
    `UPDATE messages m SET status = i.status, reason = i.reason FROM unnest($1::uuid[], $2::text[], $3::text[]) AS i (id, status, reason) WHERE m.id = i.id`,
    [rows.map((row) => row.id), rows.map((row) => INBOUND_STATUS[row.turn.outcome]), rows.map((row) => row.turn.reason)],
    'turns_mark_inbound',
  )
  tellMessages(tx, rows.map(({ id, turn }) => ({ id, tenant_id: turn.tenantId, status: INBOUND_STATUS[turn.outcome], reason: turn.reason })))
}

async function settleTurns(tx: Tx, turns: FinishTurn[]): Promise<void> {
  const held = turns.flatMap((turn) => (turn.holdId === null ? [] : [{ ...turn, holdId: turn.holdId }]))
  const settled = held.flatMap((turn) => (turn.money.action === 'settle' ? [{ turn, money: turn.money }] : []))
  const voided = held.filter((turn) => turn.money.action === 'void')
  // One order over both lists, or two workers that settle and void each other's tenants wait for each other.
  if (held.length > 0) lockWallets(tx, held.map((turn) => turn.tenantId))
  if (settled.length > 0) {
    await settleMany(
      tx,
      settled.map(({ turn, money }) => ({
        tenantId: turn.tenantId,
        holdId: turn.holdId,
        amountMicros: money.micros,
        turnId: turn.turnId,
        memo: 'turn',
        details: { lines: money.lines },
        idempotencyKey: `settle:${turn.turnId}`,
      })),
    )
  }
  if (voided.length > 0) {
    await voidMany(tx, voided.map((turn) => ({ tenantId: turn.tenantId, holdId: turn.holdId, turnId: turn.turnId, memo: turn.reason ?? turn.outcome, idempotencyKey: `void:${turn.turnId}` })))
  }
}

async function changeHands(tx: Tx, turns: FinishTurn[]): Promise<void> {
  if (turns.length === 0) return
  const { rows } = await tx.query<{ id: Id; tenant_id: Id; project_id: Id; handler: 'agent' | 'human'; was: 'agent' | 'human' }>(
    `UPDATE conversations c SET
       handler = CASE WHEN i.handover THEN 'human' ELSE c.handler END,
       handler_epoch = c.handler_epoch + CASE WHEN i.handover THEN 1 ELSE 0 END,
       status = CASE WHEN i.closing AND c.status = 'open' THEN 'closed' ELSE c.status END
     FROM unnest($1::uuid[], $2::boolean[], $3::boolean[]) AS i (id, handover, closing) WHERE c.id = i.id
     RETURNING c.id, c.tenant_id, c.project_id, c.handler, (SELECT o.handler FROM conversations o WHERE o.id = c.id) AS was`,
    [turns.map((turn) => turn.conversationId), turns.map((turn) => turn.handover ?? false), turns.map((turn) => turn.close ?? false)],
    'turns_change_hands',
  )
  for (const { id, tenant_id, project_id, handler, was } of rows) {
    if (handler !== was) happened(tx, tenant_id, { type: 'conversation.handler_changed', projectId: project_id, data: { conversation_id: id, handler, was } })
  }
}

/** Settles or gives back what a reconciled outcome left on hold. The amount was written when the turn was retired. */
export async function settleReconciled(tx: Tx, rows: { turnId: Id; accepted: boolean }[]): Promise<void> {
  const { rows: turns } = await tx.query<{ id: Id; tenant_id: Id; hold_id: Id; cost_micros: string | null }>(
    "SELECT id, tenant_id, hold_id, cost_micros FROM turns WHERE id = ANY ($1::uuid[]) AND state = 'retired' AND hold_id IS NOT NULL",
    [rows.map((row) => row.turnId)],
    'turns_reconciled',
  )
  const accepted = new Set(rows.filter((row) => row.accepted).map((row) => row.turnId))
  const [kept, lost] = [turns.filter((turn) => accepted.has(turn.id)), turns.filter((turn) => !accepted.has(turn.id))]
  if (turns.length > 0) lockWallets(tx, turns.map((turn) => turn.tenant_id))
  const base = (turn: (typeof turns)[number]) => ({ tenantId: turn.tenant_id, holdId: turn.hold_id, turnId: turn.id })
  if (kept.length > 0) {
    await settleMany(tx, kept.map((turn) => ({ ...base(turn), amountMicros: BigInt(turn.cost_micros ?? 0), memo: 'turn', details: { reconciled: true }, idempotencyKey: `settle:${turn.id}` })))
  }
  if (lost.length > 0) await voidMany(tx, lost.map((turn) => ({ ...base(turn), memo: 'failed after all', idempotencyKey: `void:${turn.id}` })))
  await tx.query(
    "UPDATE turns t SET outcome = CASE WHEN i.accepted THEN 'sent' ELSE 'failed' END, reason = NULL FROM unnest($1::uuid[], $2::boolean[]) AS i (id, accepted) WHERE t.id = i.id AND t.outcome = 'unknown'",
    [rows.map((row) => row.turnId), rows.map((row) => row.accepted)],
    'turns_reconcile',
  )
  await tx.query(
    `UPDATE messages m SET reason = NULL FROM turns t
     WHERE t.id = ANY ($1::uuid[]) AND m.conversation_id = t.conversation_id AND m.turn_id = t.id AND m.reason = 'outcome_unknown'`,
    [rows.map((row) => row.turnId)],
    'turns_reconcile_messages',
  )
}
