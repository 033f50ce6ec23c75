import { z } from 'zod'

/** What a person may be in a tenant, from most to least. */
export const Role = z.enum(['owner', 'admin', 'developer', 'agent', 'viewer'])
export type Role = z.infer<typeof Role>

/** Every noun of the API that has rights of its own. A scope is `<noun>:read` or `<noun>:write`. */
const NOUNS = [
  'tenants', 'projects', 'members', 'keys', 'audit', 'vendor_keys', 'tool_secrets', 'numbers', 'prompts', 'agents', 'conversations', 'messages',
  'contacts', 'archives', 'leads', 'media', 'credits', 'usage', 'calls', 'audio', 'realtime',
] as const
type Noun = (typeof NOUNS)[number]

export const SCOPES = NOUNS.flatMap((noun) => [`${noun}:read`, `${noun}:write`] as const)
export const Scope = z.enum(SCOPES as [`${Noun}:${'read' | 'write'}`, ...`${Noun}:${'read' | 'write'}`[]])
export type Scope = z.infer<typeof Scope>

const read = (...nouns: Noun[]): Scope[] => nouns.map((noun) => `${noun}:read` as const)
const both = (...nouns: Noun[]): Scope[] => nouns.flatMap((noun) => [`${noun}:read`, `${noun}:write`] as const)

const WORK: Noun[] = ['conversations', 'messages', 'contacts', 'leads', 'media', 'calls']
/** One-shot speech, and sessions of the Realtime socket. */
const VOICE: Noun[] = ['audio', 'realtime']

/** What each role may do. `owner` and `admin` differ by route rules (`roles`), not by scopes. */
export const ROLE_SCOPES: Readonly<Record<Role, ReadonlySet<Scope>>> = {
  owner: new Set(SCOPES),
  admin: new Set(SCOPES),
  developer: new Set([...both('numbers', 'prompts', 'agents', 'keys', 'vendor_keys', 'tool_secrets', ...WORK, ...VOICE), ...read('tenants', 'projects', 'members', 'archives', 'credits', 'usage')]),
  agent: new Set([...both(...WORK), ...read('tenants', 'projects', 'numbers', 'agents', 'prompts', 'archives')]),
  viewer: new Set(read('tenants', 'projects', 'numbers', 'prompts', 'agents', 'archives', 'credits', 'usage', ...WORK)),
}

/** Who is asking, once the credentials have been checked. */
export type Principal = {
  tenantId: string
  /** The project of an API key; null for people, who work across the projects of their tenant. */
  projectId: string | null
  actor: { kind: 'user' | 'api_key'; id: string }
  scopes: ReadonlySet<Scope>
  /** Null for API keys, which have scopes only. */
  role: Role | null
  platformAdmin: boolean
  /** The refresh-token family of a person's session. */
  sessionId: string | null
  projectRateLimitPerMinute: number | null
}
