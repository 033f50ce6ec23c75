import type { AccessRule } from '../auth.ts'
import type { ApiApp } from '../deps.ts'

/** One route as registered; what the OpenAPI and isolation tests walk through. */
export type RouteEntry = { method: string; url: string; access: AccessRule; idempotent: boolean; params: string[] }

declare module 'fastify' {
  interface FastifyInstance {
    routeTable: RouteEntry[]
  }
}

export function registerRouteTable(app: ApiApp): void {
  const table: RouteEntry[] = []
  app.decorate('routeTable', table)
  app.addHook('onRoute', (route) => {
    const params = [...route.url.matchAll(/:(\w+)/g)].map((match) => match[1]!)
    for (const method of [route.method].flat()) table.push({ method, url: route.url, access: route.config?.access ?? 'public', idempotent: Boolean(route.config?.idempotent), params })
  })
}
