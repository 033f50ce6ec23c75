import { Id } from '@trunkline/core'
import { findTenant, listTenants, setTenantStatus, updateTenant, writeAudit, type Tenant as TenantRow, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { found } from '../found.ts'
import { decodeIdCursor, encodeCursor, IdParams, OpaqueJson, pageOf, PageQuery, Time, toPage, toWire } from '../wire.ts'

export const TENANT_EXAMPLE = { id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', name: 'Analytical Engines', status: 'active' as const, settings: {}, created_at: '2026-11-20T09:30:00.000Z', suspended_at: null }

const Status = z.enum(['active', 'suspended'])
export const Tenant = z.object({ id: Id, name: z.string(), status: Status, settings: OpaqueJson, created_at: Time, suspended_at: Time.nullable() }).meta({ id: 'Tenant', examples: [TENANT_EXAMPLE] })

const TenantPatch = z
  .strictObject({ name: z.string().trim().min(1).max(200), settings: OpaqueJson.refine((settings) => JSON.stringify(settings).length <= 16_384, 'Settings are 16 kB at most.') })
  .partial()
  .refine((change) => Object.keys(change).length > 0, 'Say what to change.')
  .meta({ id: 'TenantPatch', examples: [{ name: 'Analytical Engines Ltd' }] })

const TenantParams = z.object({ id: z.union([z.literal('current'), Id]).meta({ description: '`current` for the tenant of the credentials', examples: ['current'] }) })
const TenantQuery = PageQuery.extend({ status: Status.optional() })
const TenantPage = pageOf(Tenant).meta({ id: 'TenantPage', examples: [{ data: [TENANT_EXAMPLE], has_more: false, next_cursor: null }] })

const tags = ['tenants']

/** A tenant reads and edits itself; the operator of the installation (a user with `platform_admin`) lists, suspends and resumes all. */
export function registerTenants(app: ApiApp, deps: ApiDeps): void {
  app.get('/v1/admin/tenants', { config: { access: { scope: 'tenants:read' } }, schema: { tags, summary: 'List tenants: your own, or all of them for the operator', querystring: TenantQuery, response: { 200: TenantPage } } }, async ({ auth, query }) => {
    const list = (tx: Tx) => listTenants(tx, { limit: query.limit + 1, before: decodeIdCursor(query.cursor), status: query.status })
    const rows = auth.platformAdmin ? await deps.db.system('platform-admin', list) : await deps.db.tenant(auth.tenantId, list)
    return toPage(rows, query.limit, (row) => encodeCursor(row.id))
  })

  app.get('/v1/admin/tenants/:id', { config: { access: { scope: 'tenants:read' } }, schema: { tags, summary: 'Read a tenant', params: TenantParams, response: { 200: Tenant } } }, async ({ auth, params }) => {
    const id = params.id === 'current' ? auth.tenantId : params.id
    const find = (tx: Tx) => findTenant(tx, id)
    return toWire(found(auth.platformAdmin ? await deps.db.system('platform-admin', find) : await deps.db.tenant(auth.tenantId, find)))
  })

  app.patch('/v1/admin/tenants/:id', { config: { access: { scope: 'tenants:write', roles: ['owner', 'admin'] } }, schema: { tags, summary: 'Change your tenant', params: TenantParams, body: TenantPatch, response: { 200: Tenant } } }, async (request) => {
    const { auth, params, body } = request
    const id = params.id === 'current' ? auth.tenantId : params.id
    const tenant = await deps.db.tenant(auth.tenantId, async (tx) => {
      const changed = found(await updateTenant(tx, id, body))
      await audit(tx, request, { action: 'tenant.updated', target: { kind: 'tenant', id }, changes: body })
      return changed
    })
    await deps.cache.invalidate(id, 'tenant')
    return toWire(tenant)
  })

  for (const [verb, status, summary] of [['suspend', 'suspended', 'Suspend a tenant: its keys and sessions are refused within a second'], ['resume', 'active', 'Resume a suspended tenant']] as const) {
    app.post(`/v1/admin/tenants/:id/${verb}`, { config: { access: { scope: 'tenants:write', platformAdmin: true }, idempotent: true }, schema: { tags, summary, params: IdParams, response: { 200: Tenant } } }, async (request) => toWire(await setStatus(deps, request, request.params.id, status)))
  }
}

/** The entry stands in the tenant's own audit, where its owner can read who did it. */
async function setStatus(deps: ApiDeps, request: FastifyRequest, id: string, status: TenantRow['status']): Promise<TenantRow> {
  const tenant = await deps.db.system('platform-admin', async (tx) => {
    const changed = found(await setTenantStatus(tx, id, status))
    await writeAudit(tx, { tenantId: id, actor: request.auth.actor, action: status === 'suspended' ? 'tenant.suspended' : 'tenant.resumed', target: { kind: 'tenant', id }, requestId: request.id })
    return changed
  })
  await deps.access.dropTenant(id)
  await deps.ports.routing.invalidateTenant(id)
  await deps.cache.invalidate(id, 'tenant')
  return tenant
}
