import { AppError, newId, type CallDirection, type CallEndReason, type CallStatus, type CarrierId, type Id, type Identity, type Micros } from '@trunkline/core'
import { eq } from 'drizzle-orm'
import { callNews } from '../events/calls.ts'
import { happened } from '../events/notes.ts'
import { holdMany, lockWallets } from '../ledger/index.ts'
import { storableJson } from '../storable.ts'
import { calls } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'
import { HOLD, resolveContacts, scopeOf, STILL_THEIRS } from '../turns/contacts.ts'
import { callOf, type Call } from './contract.ts'

export type OpenCall = {
  callId: Id
  tenantId: Id
  numberId: Id
  direction: CallDirection
  carrier: CarrierId
  /** Null: we place it, and the carrier names it later (`placed`). */
  carrierCallId: string | null
  from: string
  to: string
  /** Who is at the other end. */
  contact: { identity: Identity; name?: string }
  /** Reserved before anything costs money. */
  holdMicros: Micros
  holdUntil: Date
  /** Calls at a time, of the number and of the whole tenant. */
  limits: { number: number; tenant: number }
  metadata?: Record<string, unknown>
  options?: Record<string, unknown>
  placedBy?: string
  /** Somebody of the business is called, not a customer: no contact, no conversation. */
  internal?: boolean
}

/** `isNew` false: the carrier told it before. A refused call is kept, too: it comes back ended, with its reason. */
export type OpenedCall = { call: Call; isNew: boolean }

type Refusal = Extract<CallEndReason, 'tenant_suspended' | 'number_inactive' | 'no_agent' | 'number_busy' | 'tenant_busy' | 'insufficient_credit'>
type Binding = { projectId: Id; address: string; agentId: Id | null; promptId: Id | null; promptVersion: number | null }

/**
 * Opens a call, or says why not, in one transaction: binding, limits, contact, conversation and credit. The tenant's row is locked, so
 * that two calls at the same moment do not both take the last place. A carrier that tells the same call twice gets the same row.
 */
export async function open(tx: Tx, wish: OpenCall): Promise<OpenedCall> {
  const status = await lockTenant(tx, wish.tenantId)
  const known = wish.carrierCallId === null ? null : await byCarrier(tx, wish.numberId, wish.carrierCallId)
  if (known) return { call: known, isNew: false }
  const { binding, isActive } = await bindingOf(tx, wish.numberId)
  const refusal = status === 'suspended' ? 'tenant_suspended' : !isActive ? 'number_inactive' : binding.agentId === null ? 'no_agent' : await busy(tx, wish)
  if (refusal) return { call: await insert(tx, wish, binding, { refusal }), isNew: true }
  lockWallets(tx, [wish.tenantId])
  const holdId = wish.holdMicros > 0n ? newId() : null
  if (holdId && !(await held(tx, wish, holdId))) return { call: await insert(tx, wish, binding, { refusal: 'insufficient_credit' }), isNew: true }
  const place = wish.internal ? { contactId: null, conversationId: null } : await joinConversation(tx, wish, binding)
  return { call: await insert(tx, wish, binding, { ...place, holdIds: holdId ? [holdId] : [] }), isNew: true }
}

async function lockTenant(tx: Tx, tenantId: Id): Promise<string> {
  const { rows } = await tx.query<{ status: string }>('SELECT status FROM tenants WHERE id = $1 FOR NO KEY UPDATE', [tenantId], 'calls_tenant')
  if (!rows[0]) throw new AppError('not_found')
  return rows[0].status
}

async function byCarrier(tx: Tx, numberId: Id, carrierCallId: string): Promise<Call | null> {
  const { rows } = await tx.query<{ id: Id }>('SELECT id FROM calls WHERE number_id = $1 AND carrier_call_id = $2', [numberId, carrierCallId], 'calls_by_carrier')
  return rows[0] ? read(tx, rows[0].id) : null
}

async function read(tx: Tx, id: Id): Promise<Call> {
  const [row] = await tx.orm.select().from(calls).where(eq(calls.id, id))
  return callOf(row!)
}

/** Held still until commit: a relink comes before (and is seen here) or after. */
async function bindingOf(tx: Tx, numberId: Id): Promise<{ binding: Binding; isActive: boolean }> {
  const number = await tx.query<{ project_id: Id; address: string; status: string }>('SELECT project_id, address, status FROM phone_numbers WHERE id = $1 FOR SHARE', [numberId], 'calls_number')
  const row = number.rows[0]
  if (!row) throw new AppError('not_found', { message: 'There is no such number.' })
  const agent = await tx.query<{ id: Id; prompt_id: Id; version: number }>(
    `SELECT a.id, a.prompt_id, coalesce(a.pinned_version, p.current_version) AS version FROM agents a JOIN prompts p ON p.id = a.prompt_id
     WHERE a.number_id = $1 AND a.ended_at IS NULL FOR SHARE OF a`,
    [numberId],
    'calls_agent',
  )
  const bound = agent.rows[0]
  return { isActive: row.status === 'active', binding: { projectId: row.project_id, address: row.address, agentId: bound?.id ?? null, promptId: bound?.prompt_id ?? null, promptVersion: bound?.version ?? null } }
}

async function busy(tx: Tx, { tenantId, numberId, limits }: OpenCall): Promise<Refusal | null> {
  const { rows } = await tx.query<{ of_number: number; of_tenant: number }>(
    'SELECT count(*) FILTER (WHERE number_id = $2)::int AS of_number, count(*)::int AS of_tenant FROM calls WHERE tenant_id = $1 AND ended_at IS NULL',
    [tenantId, numberId],
    'calls_count',
  )
  const { of_number, of_tenant } = rows[0]!
  return of_number >= limits.number ? 'number_busy' : of_tenant >= limits.tenant ? 'tenant_busy' : null
}

async function held(tx: Tx, { tenantId, callId, holdMicros, holdUntil }: OpenCall, holdId: Id): Promise<boolean> {
  const outcome = await holdMany(tx, [{ tenantId, holdId, turnId: null, amountMicros: holdMicros, idempotencyKey: `hold:call:${callId}:0`, expiresAtMs: holdUntil.getTime() }])
  return outcome.get(holdId) === 'held'
}

type Place = { contactId: Id; conversationId: Id }

/** A contact is merged by hand, and undone by hand: more often than this in the milliseconds of one call it is not. */
const CONTACT_TRIES = 5

/** The open conversation of (number, contact), or a new one. After 21 days of silence old messages are history, not context. */
async function joinConversation(tx: Tx, wish: OpenCall, binding: Binding): Promise<Place> {
  const { callId, tenantId, contact } = wish
  const sender = { identities: [contact.identity], ...(contact.name === undefined ? {} : { name: contact.name }) }
  for (let attempt = 0; attempt < CONTACT_TRIES; attempt++) {
    const { contactId } = (await resolveContacts(tx, [{ turnId: callId, tenantId, address: binding.address, sender }])).get(callId)!
    const conversationId = await conversationWith(tx, contactId, wish, binding)
    if (conversationId) return { contactId, conversationId }
  }
  throw new AppError('unavailable', { message: 'The contact is being merged.', retryAfterMs: 1_000 })
}

/** Null: the identity is another contact's since a moment ago. */
async function conversationWith(tx: Tx, contactId: Id, { tenantId, numberId, contact: { identity } }: OpenCall, binding: Binding): Promise<Id | null> {
  const { rows } = await tx.query<{ id: Id }>(
    `INSERT INTO conversations AS c (id, tenant_id, project_id, number_id, agent_id, contact_id, reply_to)
     SELECT i.id, i.tenant_id, $3::uuid, $4::uuid, $5::uuid, i.contact_id, $7::jsonb
     FROM (VALUES ($1::uuid, $2::uuid, $6::uuid, $8::text, $9::text, $10::text)) AS i (id, tenant_id, contact_id, kind, scope, value)
     ${STILL_THEIRS} ${HOLD}
     ON CONFLICT (number_id, contact_id) WHERE status = 'open' DO UPDATE SET
       agent_id = coalesce(c.agent_id, excluded.agent_id),
       context_start_seq = CASE WHEN c.last_message_at < now() - interval '21 days' THEN c.last_seq ELSE c.context_start_seq END,
       summary_sealed = CASE WHEN c.last_message_at < now() - interval '21 days' THEN NULL ELSE c.summary_sealed END
     RETURNING id`,
    [newId(), tenantId, binding.projectId, numberId, binding.agentId, contactId, storableJson(identity), identity.kind, scopeOf(identity, binding.address), identity.value],
    'calls_conversation',
  )
  return rows[0]?.id ?? null
}

type Fate = { refusal: Refusal } | ((Place | { contactId: null; conversationId: null }) & { holdIds: Id[] })

const REFUSED_AS: Record<Refusal, Extract<CallStatus, 'failed' | 'busy'>> = {
  tenant_suspended: 'failed', number_inactive: 'failed', no_agent: 'failed', insufficient_credit: 'failed', number_busy: 'busy', tenant_busy: 'busy',
}

async function insert(tx: Tx, wish: OpenCall, binding: Binding, fate: Fate): Promise<Call> {
  const refused = 'refusal' in fate
  const [row] = await tx.orm
    .insert(calls)
    .values({
      id: wish.callId, tenantId: wish.tenantId, projectId: binding.projectId, numberId: wish.numberId,
      agentId: binding.agentId, promptId: binding.promptId, promptVersion: binding.promptVersion,
      direction: wish.direction, carrier: wish.carrier, carrierCallId: wish.carrierCallId, fromAddress: wish.from, toAddress: wish.to,
      metadata: wish.metadata ?? {}, options: wish.options ?? {}, placedBy: wish.placedBy ?? 'carrier',
      ...(refused ? { status: REFUSED_AS[fate.refusal], endReason: fate.refusal, endedAt: new Date() } : { status: 'initiated', contactId: fate.contactId, conversationId: fate.conversationId, holdIds: fate.holdIds }),
    })
    .returning()
  await tx.query(`INSERT INTO call_events (tenant_id, call_id, kind, data) VALUES ($1, $2, 'status', $3)`, [wish.tenantId, wish.callId, storableJson({ status: row!.status, ...(refused ? { reason: fate.refusal } : {}) })])
  const call = callOf(row!)
  happened(tx, call.tenantId, callNews(call))
  return call
}
