import { newId, type Id } from '@trunkline/core'
import { and, desc, eq, gte, lt, type SQL } from 'drizzle-orm'
import { auditEntries } from '../tables/schema.ts'
import type { Tx } from '../tenancy.ts'

export type AuditActor = { kind: 'user' | 'api_key' | 'system'; id: string }

/** What happened, as `<noun>.<past participle>`, e.g. `key.revoked`. `changes` never holds a secret: say that it changed, not to what. */
export type AuditEvent = {
  tenantId: Id
  actor: AuditActor
  action: string
  target: { kind: string; id: string }
  changes?: Record<string, unknown>
  requestId?: string | null
  ip?: string | null
}

export type AuditEntry = {
  id: string
  actorKind: AuditActor['kind']
  actorId: string
  action: string
  targetKind: string
  targetId: string
  changes: Record<string, unknown>
  requestId: string | null
  ip: string | null
  createdAt: Date
}

/** In the transaction of the change itself: there is no change without its entry, and no entry without its change. */
export async function writeAudit(tx: Tx, event: AuditEvent): Promise<void> {
  await tx.orm.insert(auditEntries).values({
    id: newId(),
    tenantId: event.tenantId,
    actorKind: event.actor.kind,
    actorId: event.actor.id,
    action: event.action,
    targetKind: event.target.kind,
    targetId: event.target.id,
    changes: event.changes ?? {},
    requestId: event.requestId ?? null,
    ip: event.ip ?? null,
  })
}

export type AuditFilter = { limit: number; before?: Id; action?: string; actorId?: string; targetKind?: string; targetId?: string; from?: Date; to?: Date }

/** Newest first, `limit` rows at most. */
export async function listAudit(tx: Tx, filter: AuditFilter): Promise<AuditEntry[]> {
  const conditions: (SQL | undefined)[] = [
    filter.before === undefined ? undefined : lt(auditEntries.id, filter.before),
    filter.action === undefined ? undefined : eq(auditEntries.action, filter.action),
    filter.actorId === undefined ? undefined : eq(auditEntries.actorId, filter.actorId),
    filter.targetKind === undefined ? undefined : eq(auditEntries.targetKind, filter.targetKind),
    filter.targetId === undefined ? undefined : eq(auditEntries.targetId, filter.targetId),
    filter.from === undefined ? undefined : gte(auditEntries.createdAt, filter.from),
    filter.to === undefined ? undefined : lt(auditEntries.createdAt, filter.to),
  ]
  const rows = await tx.orm.select().from(auditEntries).where(and(...conditions)).orderBy(desc(auditEntries.id)).limit(filter.limit)
  return rows.map(({ tenantId: _tenantId, ...row }) => ({ ...row, actorKind: row.actorKind as AuditActor['kind'], changes: row.changes as Record<string, unknown> }))
}
