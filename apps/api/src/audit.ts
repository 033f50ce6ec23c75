import { writeAudit, type AuditEvent, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'

/** Writes who did what into the caller's tenant, in the transaction of the change. */
export async function audit(tx: Tx, request: FastifyRequest, event: Pick<AuditEvent, 'action' | 'target' | 'changes'>): Promise<void> {
  const { tenantId, actor } = request.auth
  await writeAudit(tx, { ...event, tenantId, actor, requestId: request.id, ip: request.ip })
}
