import { newId } from '@trunkline/core'
import type { RouteEntry } from '../../apps/api/src/plugins/route-table.ts'
import { PROBES, type Probe } from './probes.ts'
import type { Answer, World } from './world.ts'

/** A route that asks for credentials. `name` is its key in PROBES. */
export type Guarded = RouteEntry & { access: Exclude<RouteEntry['access'], 'public'>; name: string }

export const guardedRoutes = (world: World): Guarded[] =>
  world.app.routeTable.flatMap((route) => (route.access === 'public' ? [] : [{ ...route, access: route.access, name: `${route.method} ${route.url}` }]))

/** Runs `check` for every guarded route that has a probe and names all that fail, not the first only. */
export async function forEveryRoute(world: World, pick: (route: Guarded, probe: Probe) => boolean, check: (route: Guarded, probe: Probe) => Promise<string | null>): Promise<string[]> {
  const faults: string[] = []
  for (const route of guardedRoutes(world)) {
    const probe = PROBES[route.name]
    if (probe === undefined || !pick(route, probe)) continue
    const fault = await check(route, probe).catch((error: Error) => error.message)
    if (fault !== null) faults.push(`${route.name}: ${fault}`)
  }
  return faults
}

/** Ids that `params` does not name are nobody's. */
const fill = (url: string, params: Record<string, string>) => url.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? newId()))

export const queryText = (query: Record<string, string>) => (Object.keys(query).length === 0 ? '' : `?${String(new URLSearchParams(query))}`)

export const ask = (world: World, route: Guarded, as: string | undefined, params: Record<string, string>, body: unknown, query: Record<string, string> = {}): Promise<Answer> =>
  world.call(route.method, `${fill(route.url, params)}${queryText(query)}`, { as, headers: PROBES[route.name]?.headers?.(), ...(route.method === 'GET' ? {} : { body: body ?? {} }) })

export const says = (answer: Answer) => `${answer.status} ${answer.text.slice(0, 200)}`
