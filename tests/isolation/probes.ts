import { newId } from '@trunkline/core'
import type { TestTenant, World } from './world.ts'

/**
 * How to probe one route. Every route of the API that is not public has an entry here; the isolation test fails for one that
 * has none. `${METHOD} ${url}` is the key, as registered.
 */
export type Probe = {
  /** The path's parameters, pointing at things that this tenant owns and that the request can be done with. Called anew for each request. */
  own?: (world: World, owner: TestTenant) => Promise<Record<string, string>>
  /** A valid body for it. */
  body?: (world: World, owner: TestTenant) => unknown
  /** Bodies that name things of `other`: the caller is `owner`, and each must be refused. */
  foreignBodies?: (world: World, owner: TestTenant, other: TestTenant) => Promise<unknown[]>
  /** Who the owner's request is made as; the API key with every scope by default. `operator`: a person with `platform_admin`. */
  as?: 'key' | 'owner' | 'operator'
  /** Headers the route cannot do without. */
  headers?: () => Record<string, string>
  /** What another tenant hears when it names the owner's things; 404 unless the route has a reason. */
  refusal?: 403 | 404
  /** The path's parameters are no ids (a vendor, a name): the other tenant has things of its own under the same names. */
  perTenantNames?: true
}

type Call = { method: string; url: string; body?: unknown }

/** Does it as the owner and gives the id that comes back. */
async function make(world: World, owner: TestTenant, { method, url, body }: Call, as = owner.key): Promise<string> {
  const answer = await world.call(method, url, { as, body })
  if (answer.status >= 300) throw new Error(`${method} ${url} answered ${answer.status}: ${answer.text}`)
  return String(answer.body.id)
}

let made = 0
/** Unique, and recognisable when it shows up where it does not belong. */
const canary = (owner: TestTenant, noun: string) => `${owner.name} ${noun} ${++made}`

const project = async (world: World, owner: TestTenant) => ({ id: await make(world, owner, { method: 'POST', url: '/v1/admin/projects', body: { name: canary(owner, 'project'), environment: 'staging' } }) })
const key = async (world: World, owner: TestTenant) => ({ id: await make(world, owner, { method: 'POST', url: '/v1/admin/keys', body: { name: canary(owner, 'key'), scopes: ['numbers:read'] } }) })
const invitation = async (world: World, owner: TestTenant) => ({ id: await make(world, owner, { method: 'POST', url: '/v1/admin/invitations', body: { email: `guest${++made}@example.com`, role: 'viewer' } }, owner.as.owner) })
/** A person of their own for each request, so that one request does not take from the next what it needs. */
async function member(world: World, owner: TestTenant): Promise<{ id: string }> {
  const id = newId()
  await world.db.system('test', async (tx) => {
    await tx.query("INSERT INTO users (id, email, password_hash) VALUES ($1, $2, '!')", [id, `${id}@example.com`])
    await tx.query("INSERT INTO memberships (tenant_id, user_id, role) VALUES ($1, $2, 'viewer')", [owner.id, id])
  })
  return { id }
}
const itself = async (_world: World, owner: TestTenant) => ({ id: owner.id })
const vendorKey = async (world: World, owner: TestTenant) => {
  await world.call('PUT', '/v1/admin/vendor-keys/openai', { as: owner.key, body: { key: 'sk-test-0123456789' } })
  return { vendor: 'openai' }
}
const toolSecret = async (world: World, owner: TestTenant) => {
  await world.call('PUT', '/v1/admin/tool-secrets/CRM', { as: owner.key, body: { value: 'Bearer test' } })
  return { name: 'CRM' }
}

/** Tenancy and access. Each file of routes adds its own list to PROBES at the end. */
const access: Record<string, Probe> = {
  'GET /v1/auth/me': {},
  'POST /v1/auth/logout-all': { as: 'owner' },
  'POST /v1/auth/change-password': { as: 'owner', body: () => ({ current_password: 'wrong password', new_password: 'another good password' }) },
  'GET /v1/admin/tenants': {},
  'GET /v1/admin/tenants/:id': { own: itself },
  'PATCH /v1/admin/tenants/:id': { own: itself, as: 'owner', body: (_world, owner) => ({ name: owner.name }) },
  'POST /v1/admin/tenants/:id/suspend': { own: itself, as: 'operator', refusal: 403 },
  'POST /v1/admin/tenants/:id/resume': { own: itself, as: 'operator', refusal: 403 },
  'GET /v1/admin/projects': {},
  'POST /v1/admin/projects': { body: (_world, owner) => ({ name: canary(owner, 'project'), environment: 'staging' }) },
  'GET /v1/admin/projects/:id': { own: project },
  'PATCH /v1/admin/projects/:id': { own: project, body: () => ({ rate_limit_per_minute: 600 }) },
  'DELETE /v1/admin/projects/:id': { own: project },
  'GET /v1/admin/keys': {},
  'POST /v1/admin/keys': {
    body: (_world, owner) => ({ name: canary(owner, 'key'), scopes: ['numbers:read'] }),
    foreignBodies: async (world, _owner, other) => [{ name: 'x', scopes: ['numbers:read'], project_id: (await project(world, other)).id }],
  },
  'GET /v1/admin/keys/:id': { own: key },
  'POST /v1/admin/keys/:id/rotate': { own: key, body: () => ({ grace_seconds: 0 }) },
  'DELETE /v1/admin/keys/:id': { own: key },
  'GET /v1/admin/members': {},
  'PATCH /v1/admin/members/:id': { own: member, as: 'owner', body: () => ({ role: 'agent' }) },
  'DELETE /v1/admin/members/:id': { own: member, as: 'owner' },
  'GET /v1/admin/invitations': {},
  'POST /v1/admin/invitations': { as: 'owner', body: () => ({ email: `guest${++made}@example.com`, role: 'viewer' }) },
  'DELETE /v1/admin/invitations/:id': { own: invitation, as: 'owner' },
  'GET /v1/audit': {},
  'GET /v1/admin/vendor-keys': {},
  'PUT /v1/admin/vendor-keys/:vendor': { own: vendorKey, perTenantNames: true, body: () => ({ key: 'sk-test-0123456789' }) },
  'DELETE /v1/admin/vendor-keys/:vendor': { own: vendorKey, perTenantNames: true },
  'GET /v1/admin/tool-secrets': {},
  'PUT /v1/admin/tool-secrets/:name': { own: toolSecret, perTenantNames: true, body: () => ({ value: 'Bearer test' }) },
  'DELETE /v1/admin/tool-secrets/:name': { own: toolSecret, perTenantNames: true },
}

/** Money. The wallet is the caller's own tenant's: no route names another. */
const money: Record<string, Probe> = {
  'GET /v1/credits': {},
  'PATCH /v1/credits': { body: () => ({ low_balance_micros: '1000' }) },
  'POST /v1/credits/topups': { body: () => ({ amount_micros: '1000' }), headers: () => ({ 'idempotency-key': newId() }) },
  'GET /v1/credits/transfers': {},
  'GET /v1/credits/holds': {},
  'GET /v1/usage': {},
  'GET /v1/admin/usage': { as: 'operator' },
}

export const PROBES: Record<string, Probe> = { ...access, ...money }
