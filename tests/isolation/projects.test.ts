import { newId } from '@trunkline/core'
import { insertProject, SCOPES } from '@trunkline/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { prepareKey, storeKey } from '../../apps/api/src/new-key.ts'
import { ask, forEveryRoute, guardedRoutes, queryText, says, type Guarded } from './asking.ts'
import type { Probe } from './probes.ts'
import { createWorld, type TestTenant, type World } from './world.ts'

// The same probes as between tenants, between two projects of one: what lies in another project does not exist for an API key.

/** Routes that answer an API key about the whole tenant, whatever its project. Everything else is refused or narrowed. */
const TENANT_WIDE: Record<string, string> = {
  ...of('A person may write to numbers of several projects, and is one person: contacts, their identities and their merges belong to the tenant.', [
    'GET /v1/contacts', 'GET /v1/contacts/:id', 'PATCH /v1/contacts/:id', 'GET /v1/contacts/:id/merges', 'POST /v1/contacts/:id/merges', 'POST /v1/contacts/:id/merges/:merge_id/undo',
  ]),
  ...of('The tenant pays: there is one wallet, and its statement names every transfer.', ['GET /v1/credits', 'PATCH /v1/credits', 'POST /v1/credits/topups', 'GET /v1/credits/transfers', 'GET /v1/credits/holds']),
  ...of('Keys at AI vendors and secrets of tools are lent by the tenant to all its projects; their values are never shown.', [
    'GET /v1/admin/vendor-keys', 'PUT /v1/admin/vendor-keys/:vendor', 'DELETE /v1/admin/vendor-keys/:vendor', 'GET /v1/admin/tool-secrets', 'PUT /v1/admin/tool-secrets/:name', 'DELETE /v1/admin/tool-secrets/:name',
  ]),
  ...of('People work across the projects of their tenant.', ['GET /v1/admin/members', 'GET /v1/admin/invitations']),
  ...of('The tenant itself.', ['GET /v1/admin/tenants', 'GET /v1/admin/tenants/:id', 'GET /v1/auth/me']),
  ...of('The account of all that was changed, by people and programs: exporting it is what this scope is for, and only owners and admins can give it.', ['GET /v1/audit']),
}
function of(reason: string, routes: string[]): Record<string, string> {
  return Object.fromEntries(routes.map((route) => [route, reason]))
}

let world: World
let ours: TestTenant
let theirs: TestTenant
/** Every id that was made in our project. */
const ourIds = new Set<string>()
beforeAll(async () => {
  world = await createWorld()
  ours = await world.newTenant('Ours-canary')
  theirs = await siblingOf(ours, 'Theirs-canary')
})
afterAll(() => world.close())

/** Another project of the same tenant, with a key of its own. */
async function siblingOf(tenant: TestTenant, name: string): Promise<TestTenant> {
  const { keyring, access, db } = world.deps
  const projectId = newId()
  const prepared = await prepareKey({ keyring, passwords: access.passwords }, 'staging')
  const { key } = await db.tenant(tenant.id, async (tx) => {
    await insertProject(tx, { id: projectId, tenantId: tenant.id, name, environment: 'staging' })
    return storeKey(tx, prepared, { tenantId: tenant.id, projectId, name, scopes: [...SCOPES], expiresAt: null, createdBy: null })
  })
  return { ...tenant, name, projectId, key }
}

async function made(probe: Probe, owner: TestTenant): Promise<Record<string, string>> {
  const params = (await probe.own?.(world, owner)) ?? {}
  if (owner === ours) Object.values(params).filter((value) => value.length === 36).forEach((id) => ourIds.add(id))
  return params
}
const narrow = (route: Guarded, probe: Probe) => TENANT_WIDE[route.name] === undefined && !probe.socket
/** No API key of any project may do these. */
const forPeople = ({ access }: Guarded) => access.roles !== undefined || access.platformAdmin === true
const leakIn = (text: string) => [ours.name, ours.projectId, ...ourIds].find((secret) => text.includes(secret))
const isList = (route: Guarded) => route.method === 'GET' && route.params.length === 0

describe('an API key of another project of the same tenant', () => {
  it('hears 404 of everything that is named by its id', async () => {
    expect(
      await forEveryRoute(world, (route, probe) => narrow(route, probe) && route.params.length > 0, async (route, probe) => {
        const answer = await ask(world, route, theirs.key, await made(probe, ours), await probe.body?.(world, theirs))
        if (answer.status !== (forPeople(route) ? 403 : 404)) return says(answer)
        return answer.text.includes(ours.name) ? `tells ${ours.name}` : null
      }),
    ).toEqual([])
  })

  it('cannot name our things in a body or a query', async () => {
    expect(
      await forEveryRoute(world, (route, probe) => narrow(route, probe) && (probe.foreignBodies !== undefined || probe.foreignQuery !== undefined), async (route, probe) => {
        const query = await probe.foreignQuery?.(world, theirs, ours)
        for (const body of (await probe.foreignBodies?.(world, theirs, ours)) ?? [{}]) {
          const answer = await ask(world, route, theirs.key, await made(probe, theirs), body, query)
          if (answer.status < 400 || answer.status >= 500 || answer.text.includes(ours.name)) return says(answer)
        }
        return null
      }),
    ).toEqual([])
  })

  it('does the same with its own, so that a refusal above was for the project and not for the request', async () => {
    expect(
      await forEveryRoute(world, (route, probe) => narrow(route, probe) && probe.as === undefined, async (route, probe) => {
        const answer = await ask(world, route, theirs.key, await made(probe, theirs), await probe.body?.(world, theirs), await probe.query?.(world, theirs))
        return answer.status < 300 ? null : says(answer)
      }),
    ).toEqual([])
  })

  it('finds nothing of ours in any list, whatever it filters by', async () => {
    const filters = await idsByFilter()
    expect(
      await forEveryRoute(world, (route, probe) => narrow(route, probe) && isList(route) && !forPeople(route), async (route, probe) => {
        const own = await probe.query?.(world, theirs)
        for (const filter of [{}, { archived: 'true' }, ...filters]) {
          const answer = await world.call('GET', `${route.url}${queryText({ ...own, ...filter })}`, { as: theirs.key })
          const leak = leakIn(answer.status < 300 ? answer.text : '')
          if (leak !== undefined) return `with ${queryText(filter)} it shows ${leak}`
        }
        return null
      }),
    ).toEqual([])
  })

  /** One of each noun of our project, as the filters of lists call them. */
  async function idsByFilter(): Promise<Record<string, string>[]> {
    const shown = async (url: string) => JSON.parse((await world.call('GET', `${url}?limit=1`, { as: ours.key })).text).data[0] as Record<string, string>
    const [message, agent, call] = [await shown('/v1/messages'), await shown('/v1/agents'), await shown('/v1/calls')]
    return [
      { project_id: ours.projectId }, { number_id: String(message.number_id) }, { conversation_id: String(message.conversation_id) }, { message_id: String(message.id) },
      { contact_id: String(call.contact_id) }, { agent_id: String(agent.id) }, { prompt_id: String(agent.prompt_id) },
    ]
  }
})

describe('what is tenant-wide by design', () => {
  it('is listed for routes that exist only', () => {
    const names = guardedRoutes(world).map((route) => route.name)
    expect(Object.keys(TENANT_WIDE).filter((name) => !names.includes(name))).toEqual([])
  })

  it('answers a key of any project about our things: a route that does not needs no line in the table', async () => {
    expect(
      await forEveryRoute(world, (route) => TENANT_WIDE[route.name] !== undefined, async (route, probe) => {
        const answer = await ask(world, route, theirs.key, await made(probe, ours), await probe.body?.(world, ours))
        return answer.status < 300 ? null : says(answer)
      }),
    ).toEqual([])
  })
})
