import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWorld, type TestTenant, type World } from '../../../../tests/isolation/world.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.close())

let guests = 0
const newEmail = () => `guest${++guests}@example.com`
const invite = (tenant: TestTenant, email: string, role: string, as = tenant.as.owner) => world.call('POST', '/v1/admin/invitations', { as, body: { email, role } })
const tokenFor = (email: string) => /token=(\S+)/.exec(world.mails.findLast((mail) => mail.to === email)!.text)![1]!
const accept = (body: object) => world.call('POST', '/v1/auth/invitations/accept', { body })
const setRole = (tenant: TestTenant, userId: string, role: string, as: string) => world.call('PATCH', `/v1/admin/members/${userId}`, { as, body: { role } })
const remove = (userId: string, as: string) => world.call('DELETE', `/v1/admin/members/${userId}`, { as })

describe('members', () => {
  it('join by invitation, choose a password once, and have the role they were invited to', async () => {
    const tenant = await world.newTenant('Join')
    const email = newEmail()
    expect((await invite(tenant, email, 'developer')).status).toBe(201)
    expect((await world.call('GET', '/v1/admin/invitations', { as: tenant.as.owner })).body.data).toMatchObject([{ email, role: 'developer' }])
    const token = tokenFor(email)
    expect((await accept({ token })).body.error).toMatchObject({ param: 'body.password' })
    const joined = await accept({ token, name: 'Grace', password: 'correct horse battery staple' })
    expect(joined).toMatchObject({ status: 200, body: { role: 'developer', tenant_id: tenant.id } })
    const me = await world.call('GET', '/v1/auth/me', { as: String(joined.body.access_token) })
    expect(me.body).toMatchObject({ role: 'developer', email, name: 'Grace', email_verified: true })
    expect((await accept({ token })).status).toBe(401)
    expect((await world.call('GET', '/v1/admin/invitations', { as: tenant.as.owner })).body.data).toEqual([])
  })

  it('are not invited by somebody whose own address is not verified', async () => {
    const tenant = await world.newTenant('Unverified')
    await world.db.system('test', (tx) => tx.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [tenant.userIds.owner]))
    const sent = world.mails.length
    expect(await invite(tenant, newEmail(), 'viewer')).toMatchObject({ status: 403, body: { error: { code: 'email_not_verified' } } })
    expect(world.mails.length).toBe(sent)
  })

  it('cannot join by an invitation that was withdrawn or replaced', async () => {
    const tenant = await world.newTenant('Withdraw')
    const email = newEmail()
    await invite(tenant, email, 'viewer')
    const first = tokenFor(email)
    const second = await invite(tenant, email, 'agent')
    const password = 'correct horse battery staple'
    expect((await accept({ token: first, password })).status).toBe(401)
    await world.call('DELETE', `/v1/admin/invitations/${String(second.body.id)}`, { as: tenant.as.owner })
    expect((await accept({ token: tokenFor(email), password })).status).toBe(401)
  })

  it('who are people of another tenant keep their password and get a second membership', async () => {
    const [first, second] = [await world.newTenant('First'), await world.newTenant('Second')]
    const email = newEmail()
    const password = 'correct horse battery staple'
    await invite(first, email, 'viewer')
    await accept({ token: tokenFor(email), password })
    await invite(second, email, 'admin')
    expect((await accept({ token: tokenFor(email), password: 'not this one, please' })).status).toBe(200)
    const session = await world.call('POST', '/v1/auth/login', { body: { email, password, tenant_id: second.id } })
    expect(session.body.memberships).toMatchObject([{ role: 'viewer' }, { role: 'admin' }])
  })

  it('change roles at once for sessions that are open', async () => {
    const tenant = await world.newTenant('Roles')
    const create = () => world.call('POST', '/v1/admin/projects', { as: tenant.as.viewer, body: { name: `p${Math.random()}`, environment: 'staging' } })
    expect((await create()).status).toBe(403)
    await setRole(tenant, tenant.userIds.viewer, 'admin', tenant.as.owner)
    expect((await create()).status).toBe(201)
    await remove(tenant.userIds.viewer, tenant.as.owner)
    expect((await create()).status).toBe(401)
  })

  it('keep the last owner, also when two owners take each other out at the same moment', async () => {
    const tenant = await world.newTenant('Owners')
    for (const attempt of [setRole(tenant, tenant.userIds.owner, 'admin', tenant.as.owner), remove(tenant.userIds.owner, tenant.as.owner)]) expect(await attempt).toMatchObject({ status: 409, body: { error: { code: 'invalid_state' } } })
    await setRole(tenant, tenant.userIds.admin, 'owner', tenant.as.owner)
    const both = await Promise.all([remove(tenant.userIds.owner, tenant.as.admin), remove(tenant.userIds.admin, tenant.as.owner)])
    expect(both.filter((answer) => answer.status === 200)).toHaveLength(1)
    const { rowCount } = await world.db.system('test', (tx) => tx.query("SELECT 1 FROM memberships WHERE tenant_id = $1 AND role = 'owner'", [tenant.id]))
    expect(rowCount).toBe(1)
  })

  it('let only owners make or unmake owners', async () => {
    const tenant = await world.newTenant('Admins')
    for (const attempt of [setRole(tenant, tenant.userIds.viewer, 'owner', tenant.as.admin), setRole(tenant, tenant.userIds.owner, 'viewer', tenant.as.admin), remove(tenant.userIds.owner, tenant.as.admin), invite(tenant, newEmail(), 'owner', tenant.as.admin)]) {
      expect(await attempt).toMatchObject({ status: 403 })
    }
  })
})

describe('audit', () => {
  it('says who did what from where, filters, and cannot be changed', async () => {
    const tenant = await world.newTenant('Audit')
    const made = await world.call('POST', '/v1/admin/projects', { as: tenant.as.owner, body: { name: 'Audited', environment: 'staging' } })
    await world.call('PATCH', `/v1/admin/projects/${tenant.projectId}`, { as: tenant.key, body: { name: 'Renamed' } })
    const list = (query = '') => world.call('GET', `/v1/audit${query}`, { as: tenant.key })
    expect((await list()).body.data).toMatchObject([
      { action: 'project.updated', actor_kind: 'api_key', target_id: tenant.projectId, changes: { name: 'Renamed' }, ip: '127.0.0.1' },
      { action: 'project.created', actor_kind: 'user', actor_id: tenant.userIds.owner, request_id: made.headers['x-request-id'] },
    ])
    expect((await list('?action=project.created')).body.data).toHaveLength(1)
    expect((await list('?to=2020-01-01T00:00:00Z')).body.data).toHaveLength(0)
    await expect(world.db.tenant(tenant.id, (tx) => tx.query("UPDATE audit_entries SET action = 'nothing'"))).rejects.toThrow('append-only')
  })
})
