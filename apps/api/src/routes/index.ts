import { registerAudio } from '../audio/index.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { registerAccount } from './account.ts'
import { registerAgents } from './agents.ts'
import { registerArchives } from './archives.ts'
import { registerAuditRoutes } from './audit.ts'
import { registerAuthRoutes } from './auth.ts'
import { registerCalls } from './calls.ts'
import { registerContacts } from './contacts.ts'
import { registerConversations } from './conversations.ts'
import { registerCredits } from './credits.ts'
import { registerHealth } from './health.ts'
import { registerKeys } from './keys.ts'
import { registerLeads } from './leads.ts'
import { registerMedia } from './media.ts'
import { registerMembers } from './members.ts'
import { registerMessages } from './messages.ts'
import { registerNumberShop } from './number-shop.ts'
import { registerNumbers } from './numbers.ts'
import { registerProjects } from './projects.ts'
import { registerPrompts } from './prompts.ts'
import { registerRealtimeProxy } from './realtime-proxy.ts'
import { registerRealtime } from './realtime.ts'
import { registerSimulations } from './simulations.ts'
import { registerTenants } from './tenants.ts'
import { registerUsage } from './usage.ts'
import { registerToolSecrets, registerVendorKeys } from './vendor-keys.ts'

/** Every route of the process, by hand: what is not in this list does not exist. */
const ROUTES: ((app: ApiApp, deps: ApiDeps) => void)[] = [
  registerHealth,
  registerAuthRoutes,
  registerAccount,
  registerTenants,
  registerProjects,
  registerKeys,
  registerMembers,
  registerAuditRoutes,
  registerVendorKeys,
  registerToolSecrets,
  registerNumbers,
  registerNumberShop,
  registerPrompts,
  registerAgents,
  registerConversations,
  registerMessages,
  registerArchives,
  registerCalls,
  registerContacts,
  registerMedia,
  registerLeads,
  registerCredits,
  registerUsage,
  registerSimulations,
  registerAudio,
  registerRealtime,
  registerRealtimeProxy,
]

export function registerRoutes(app: ApiApp, deps: ApiDeps): void {
  for (const register of ROUTES) register(app, deps)
}
