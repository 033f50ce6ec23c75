import type { ApiApp, ApiDeps } from '../deps.ts'
import { registerHealth } from './health.ts'

/** Every route of the process, by hand: what is not in this list does not exist. */
const ROUTES: ((app: ApiApp, deps: ApiDeps) => void)[] = [registerHealth]

export function registerRoutes(app: ApiApp, deps: ApiDeps): void {
  for (const register of ROUTES) register(app, deps)
}
