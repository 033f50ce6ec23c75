import { newId } from '@trunkline/core'
import { insertMembership, insertUser, ROLE_SCOPES, Role, SCOPES } from '@trunkline/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { issueSession } from '../../apps/api/src/session.ts'
import { ask, forEveryRoute, guardedRoutes, queryText, says } from './asking.ts'
import { PROBES, type Probe } from './probes.ts'
import { createWorld, type TestTenant, type World } from './world.ts'

// Cross-tenant probes generated from the table of routes: nobody has to remember to test a new route, the test refuses to pass without.

let world: World
let ours: TestTenant
let theirs: TestTenant
let operator: string
beforeAll(async () => {
  world = await createWorld()
  ours = await world.newTenant('Ours-canary')
  theirs = await world.newTenant('Theirs-canary')
  operator = await newOperator()
})
afterAll(() => world.close())

async function newOperator(): Promise<string> {
  const place = await world.newTenant('Operator')
  const userId = newId()
  return world.db.system('test', async (tx) => {
    await insertUser(tx, { id: userId, email: 'operator@example.com', name: 'Operator', passwordHash: '!' })
    await tx.query('UPDATE users SET platform_admin = true WHERE id = $1', [userId])
    await insertMembership(tx, { tenantId: place.id, userId, role: 'owner' })
    return (await issueSession(tx, world.deps, { userId, tenantId: place.id })).access_token
  })
}

const credentialOf = (probe: Probe, tenant: TestTenant): string => (probe.as === 'operator' ? operator : probe.as === 'owner' ? tenant.as.owner : tenant.key)
type Ask<Fn> = Fn extends (world: World, ...rest: infer Rest) => infer Result ? (...rest: Rest) => Result : never
const forEvery: Ask<typeof forEveryRoute> = (...asked) => forEveryRoute(world, ...asked)
const request: Ask<typeof ask> = (...asked) => ask(world, ...asked)

describe('isolation', () => {
  it('has a probe for every route, and none for routes that are gone', () => {
    const names = guardedRoutes(world).map((route) => route.name)
    expect(names.filter((name) => PROBES[name] === undefined), 'routes without a probe in tests/isolation/probes.ts').toEqual([])
    expect(Object.keys(PROBES).filter((name) => !names.includes(name)), 'probes without a route').toEqual([])
  })

  it('asks every guarded route for credentials', async () => {
    expect(
      await forEvery(() => true, async (route) => {
        const answer = await request(route, undefined, {}, {})
        return answer.status === 401 ? null : says(answer)
      }),
    ).toEqual([])
  })

  it('refuses every role that lacks the right, and a key with another scope', async () => {
    expect(
      await forEvery(() => true, async (route) => {
        const { scope, or = [], roles, platformAdmin } = route.access
        const allowed = (role: Role) => !platformAdmin && [scope, ...or].some((one) => ROLE_SCOPES[role].has(one)) && (roles?.includes(role) ?? true)
        const others = await ours.keyWith(SCOPES.filter((other) => other !== scope && !or.includes(other)))
        for (const credential of [...Role.options.filter((role) => !allowed(role)).map((role) => ours.as[role]), others]) {
          const answer = await request(route, credential, {}, {})
          if (answer.status !== 403) return says(answer)
        }
        return null
      }),
    ).toEqual([])
  })

  it("answers 404 to another tenant that names our things, and leaves them as they are", async () => {
    expect(
      await forEvery((route, probe) => route.params.length > 0 && !probe.perTenantNames, async (route, probe) => {
        if (probe.own === undefined) return 'has parameters, but its probe does not say how to make them (own)'
        const params = await probe.own(world, ours)
        const answer = await request(route, probe.as === 'operator' ? theirs.as.owner : credentialOf(probe, theirs), params, await probe.body?.(world, theirs))
        if (answer.status !== (probe.refusal ?? 404)) return says(answer)
        return answer.text.includes(ours.name) ? `tells ${ours.name}` : null
      }),
    ).toEqual([])
  })

  it('refuses bodies and queries that name things of another tenant', async () => {
    expect(
      await forEvery((_route, probe) => probe.foreignBodies !== undefined || probe.foreignQuery !== undefined, async (route, probe) => {
        const query = await probe.foreignQuery?.(world, ours, theirs)
        for (const body of (await probe.foreignBodies?.(world, ours, theirs)) ?? [{}]) {
          const params = (await probe.own?.(world, ours)) ?? {}
          const answer = await request(route, credentialOf(probe, ours), params, body, query)
          if (answer.status < 400 || answer.status >= 500 || answer.text.includes(theirs.name)) return says(answer)
        }
        return null
      }),
    ).toEqual([])
  })

  it('answers 404 for an id that nobody has, and 400 for what is no id', async () => {
    expect(
      await forEvery((route, probe) => route.params.length > 0 && !probe.perTenantNames, async (route, probe) => {
        const body = await probe.body?.(world, ours)
        const nobody = await request(route, credentialOf(probe, ours), {}, body)
        if (nobody.status !== 404) return says(nobody)
        const nonsense = await request(route, credentialOf(probe, ours), Object.fromEntries(route.params.map((name) => [name, "1' OR 1=1 --"])), body)
        return nonsense.status === 400 || nonsense.status === 404 ? null : says(nonsense)
      }),
    ).toEqual([])
  })

  // Last but one: these requests change and delete.
  it('does the same for the owner, so that a refusal above was for the tenant and not for the request', async () => {
    const expected: Record<string, number> = { 'POST /v1/auth/change-password': 401 }
    expect(
      await forEvery((route, probe) => route.name !== 'POST /v1/auth/logout-all' && !probe.socket, async (route, probe) => {
        const params = (await probe.own?.(world, ours)) ?? {}
        const answer = await request(route, credentialOf(probe, ours), params, await probe.body?.(world, ours), await probe.query?.(world, ours))
        const fine = expected[route.name] === undefined ? answer.status < 300 : answer.status === expected[route.name]
        return fine ? null : says(answer)
      }),
    ).toEqual([])
  })

  it('shows nothing of ours in any list of theirs', async () => {
    expect(
      await forEvery((route, probe) => route.method === 'GET' && route.params.length === 0 && !probe.socket, async (route, probe) => {
        const answer = await world.call('GET', `${route.url}${queryText({ limit: '100', ...(await probe.query?.(world, theirs)) })}`, { as: theirs.key })
        if (answer.status === 400) return answer.text
        const leak = [ours.name, ours.id, ours.projectId, ...Object.values(ours.userIds)].find((secret) => answer.text.includes(secret))
        return leak === undefined ? null : `shows ${leak}`
      }),
    ).toEqual([])
  })
})
