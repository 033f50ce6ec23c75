import { isSimulated, type CallCost, type CallEndReason, type EndedCallStatus, type Id, type Micros } from '@trunkline/core'
import { eq } from 'drizzle-orm'
import { callNews } from '../events/calls.ts'
import { happened } from '../events/notes.ts'
import { lockWallets, settleMany, voidMany } from '../ledger/index.ts'
import { storableJson } from '../storable.ts'
import { calls } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { callOf, type Call } from './contract.ts'

export type EndCall = {
  callId: Id
  /** The owner's. `unowned`: the carrier says so, which counts when no process has the call; one that has it knows by its line, and has more to write. `any`: the recovery. */
  epoch: number | 'unowned' | 'any'
  status: EndedCallStatus
  reason: CallEndReason
  detail?: string
  /** When the line was gone; never before it was answered. */
  at: Date
  /** What carrying this call costs. Pure. */
  carrying: (call: Call, answeredMs: number) => Micros
}

/** `was_over`: somebody was faster, and everything is charged. `fenced`: the call belongs to a process that has not said so. */
export type EndedCall = { outcome: 'ended' | 'was_over' | 'fenced'; call: Call | null }

/** Soon after a call its conversation is looked at for a lead. */
const EXTRACTION_AFTER_SECONDS = 5

/** Ends a call and charges it, once: what was used as it was rated, and the time it was answered. */
export async function end(tx: Tx, wish: EndCall): Promise<EndedCall> {
  const [row] = await tx.orm.select().from(calls).where(eq(calls.id, wish.callId)).for('no key update')
  if (!row) return { outcome: 'fenced', call: null }
  const call = callOf(row)
  if (call.endedAt) return { outcome: 'was_over', call }
  const may = wish.epoch === 'any' || (wish.epoch === 'unowned' ? row.leaseOwner === null : wish.epoch === call.epoch)
  if (!may) return { outcome: 'fenced', call }
  const at = new Date(Math.max(wish.at.getTime(), call.answeredAt?.getTime() ?? 0))
  const cost = await costOf(tx, call, wish.carrying(call, call.answeredAt ? at.getTime() - call.answeredAt.getTime() : 0))
  await charge(tx, call, cost)
  await tx.query(
    `UPDATE calls SET status = $2, end_reason = $3, end_detail = $4, ended_at = $5, lease_owner = NULL, lease_until = NULL,
       summary_due_at = CASE WHEN $10 AND EXISTS (SELECT 1 FROM messages WHERE call_id = $1) THEN now() END, cost_carrier_micros = $6, cost_stt_micros = $7, cost_tts_micros = $8, cost_model_micros = $9 WHERE id = $1`,
    [call.id, wish.status, wish.reason, wish.detail?.slice(0, 255) ?? null, at, ...[cost.carrier, cost.stt, cost.tts, cost.model].map(String), !isSimulated(call)],
    'calls_end',
  )
  await tx.query(`INSERT INTO call_events (tenant_id, call_id, kind, data) VALUES ($1, $2, 'status', $3)`, [call.tenantId, call.id, storableJson({ status: wish.status, reason: wish.reason })], 'calls_end_event')
  if (call.conversationId && !isSimulated(call)) await extractSoon(tx, call.conversationId)
  const [ended] = await tx.orm.select().from(calls).where(eq(calls.id, wish.callId))
  const over = callOf(ended!)
  happened(tx, over.tenantId, callNews(over))
  return { outcome: 'ended', call: over }
}

async function costOf(tx: Tx, call: Call, carrier: Micros): Promise<CallCost> {
  const { rows } = await tx.query<{ part: 'stt' | 'tts' | 'model'; total: string }>(
    `SELECT CASE WHEN purpose IN ('stt', 'tts') THEN purpose ELSE 'model' END AS part, sum(cost_micros)::text AS total FROM usage_records WHERE call_id = $1 GROUP BY 1`,
    [call.id],
    'calls_cost',
  )
  const of = (part: 'stt' | 'tts' | 'model') => BigInt(rows.find((row) => row.part === part)?.total ?? 0)
  return { carrier, stt: of('stt'), tts: of('tts'), model: of('model') }
}

/** One settlement a call: the later holds go back first, so that what the first one does not cover is there. */
async function charge(tx: Tx, { id, tenantId, holdIds }: Call, cost: CallCost): Promise<void> {
  const [first, ...later] = holdIds
  if (first === undefined) return
  lockWallets(tx, [tenantId])
  const amountMicros = cost.carrier + cost.stt + cost.tts + cost.model
  const given = amountMicros === 0n ? holdIds : later
  await voidMany(tx, given.map((holdId) => ({ tenantId, holdId, memo: 'call: not needed', idempotencyKey: `void:call:${holdId}` })))
  if (amountMicros === 0n) return
  const details = { call_id: id, cost: Object.fromEntries(Object.entries(cost).map(([part, micros]) => [part, micros.toString()])) }
  await settleMany(tx, [{ tenantId, holdId: first, turnId: null, amountMicros, memo: 'call', details, idempotencyKey: `settle:call:${id}` }])
}

async function extractSoon(tx: Tx, conversationId: Id): Promise<void> {
  await tx.query(
    `UPDATE conversations SET extraction_due_at = least(extraction_due_at, now() + make_interval(secs => $2)) WHERE id = $1 AND first_unextracted_at IS NOT NULL`,
    [conversationId, EXTRACTION_AFTER_SECONDS],
    'calls_extract',
  )
}

/** A call that nobody looks after: `lost` had a process, `unclaimed` never had sound, `released` goes on without us, so that only its carrier knows whether it lives. */
export type AbandonedCall = { callId: Id; tenantId: Id; kind: 'lost' | 'unclaimed' | 'released'; /** When it was last known to live. */ at: Date }

/** How long a call may be without sound before it is given up: ringing, and the way to the media socket. */
const UNCLAIMED_SECONDS = 120

/** Oldest first. Whoever ends them does it with `end`; two that find the same one end it once. */
export async function abandoned(tx: Tx, leaseMs: number, limit: number): Promise<AbandonedCall[]> {
  const { rows } = await tx.query<{ id: Id; tenant_id: Id; kind: AbandonedCall['kind']; at: Date }>(
    `SELECT id, tenant_id, CASE WHEN lease_until IS NULL THEN 'unclaimed' WHEN lease_owner IS NULL THEN 'released' ELSE 'lost' END AS kind,
       CASE WHEN lease_until IS NULL THEN coalesce(answered_at, created_at) WHEN lease_owner IS NULL THEN now() ELSE lease_until - make_interval(secs => $1::float8 / 1000) END AS at
     FROM calls WHERE ended_at IS NULL AND (lease_until < now() OR (lease_until IS NULL AND created_at < now() - make_interval(secs => $2::float8)))
     ORDER BY lease_until LIMIT $3`,
    [leaseMs, UNCLAIMED_SECONDS, limit],
    'calls_abandoned',
  )
  return rows.map((row) => ({ callId: row.id, tenantId: row.tenant_id, kind: row.kind, at: row.at }))
}

/** Calls that are over and whose recording still lies where it was written. */
export async function unstored(tx: Tx, limit: number): Promise<{ callId: Id; tenantId: Id }[]> {
  const { rows } = await tx.query<{ id: Id; tenant_id: Id }>(
    `SELECT id, tenant_id FROM calls WHERE recording_state = 'recording' AND ended_at < now() - interval '30 seconds' ORDER BY ended_at LIMIT $1`,
    [limit],
    'calls_unstored',
  )
  return rows.map((row) => ({ callId: row.id, tenantId: row.tenant_id }))
}
