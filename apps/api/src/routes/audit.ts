import { Id } from '@trunkline/core'
import { listAudit } from '@trunkline/db'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, encodeCursor, OpaqueJson, pageOf, PageQuery, Time, toPage } from '../wire.ts'

const EXAMPLE = {
  id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a60', actor_kind: 'user' as const, actor_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5e', action: 'key.created', target_kind: 'api_key', target_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5d',
  changes: { name: 'Website' }, request_id: 'req_0199a1b2c3d47e5f', ip: '203.0.113.7', created_at: '2026-11-20T09:30:00.000Z',
}

const AuditEntry = z
  .object({
    id: Id, actor_kind: z.enum(['user', 'api_key', 'system']), actor_id: z.string(), action: z.string(), target_kind: z.string(), target_id: z.string(),
    changes: OpaqueJson, request_id: z.string().nullable(), ip: z.string().nullable(), created_at: Time,
  })
  .meta({ id: 'AuditEntry', examples: [EXAMPLE] })
const AuditPage = pageOf(AuditEntry).meta({ id: 'AuditPage', examples: [{ data: [EXAMPLE], has_more: false, next_cursor: null }] })

const word = z.string().min(1).max(128).optional()
const time = z.iso.datetime({ offset: true }).optional()
const AuditQuery = PageQuery.extend({ action: word, actor_id: word, target_kind: word, target_id: word, from: time, to: time })

export function registerAuditRoutes(app: ApiApp, deps: ApiDeps): void {
  app.get('/v1/audit', { config: { access: { scope: 'audit:read' } }, schema: { tags: ['audit'], summary: 'Who changed what, newest first', querystring: AuditQuery, response: { 200: AuditPage } } }, async ({ auth, query }) => {
    const filter = {
      limit: query.limit + 1,
      before: decodeIdCursor(query.cursor),
      action: query.action,
      actorId: query.actor_id,
      targetKind: query.target_kind,
      targetId: query.target_id,
      from: query.from === undefined ? undefined : new Date(query.from),
      to: query.to === undefined ? undefined : new Date(query.to),
    }
    const rows = await deps.db.tenant(auth.tenantId, (tx) => listAudit(tx, filter))
    return toPage(rows, query.limit, (row) => encodeCursor(row.id))
  })
}
