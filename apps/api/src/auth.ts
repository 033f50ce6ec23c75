import { AppError } from '@trunkline/core'
import { credentialOf, ROLE_SCOPES, type Credential, type Principal, type Role, type Scope } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import type { ApiApp, ApiDeps } from './deps.ts'
import { handshakeCredentialOf } from './handshake.ts'

/**
 * Who may call a route: everybody, or whoever holds the scope (and, for people, one of the roles). Every route says so in
 * its `config`; a route that does not stops the process at boot:
 *
 *     app.post('/v1/things', { config: { access: { scope: 'things:write' }, idempotent: true }, schema, handler })
 *
 * `roles` narrows to people with these roles: API keys have none and are refused. `platformAdmin`: only the operator of the installation.
 * `or`: one of these scopes does as well; the route then says itself what each may see.
 */
export type AccessRule = 'public' | { scope: Scope; or?: readonly Scope[]; roles?: readonly Role[]; platformAdmin?: boolean }

/** What a caller lacks, as it is told. */
export const needs = ({ scope, or }: Exclude<AccessRule, 'public'>): Scope | Scope[] => (or === undefined ? scope : [scope, ...or])

export type Auth = Principal & { requestId: string }

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: AccessRule
    /** Every POST says whether it honours `Idempotency-Key`: true where it creates or sends; `by_handler`: it does, and calls `claimKey` itself once it has read its body. */
    idempotent?: boolean | 'by_handler'
    /** The longest that a request of an idempotent route takes; default 120 s. */
    endsWithinMs?: number
    /** A WebSocket: browsers cannot set headers of its handshake, so credentials may also come by the query or the sub-protocols. */
    socket?: boolean
  }
  interface FastifyRequest {
    /** The caller. Throws `missing_credentials` on a public route. */
    auth: Auth
    principal: Auth | null
  }
}

/** Runs before the body is read: a caller without credentials costs us nothing more. */
export function registerAuth(app: ApiApp, deps: ApiDeps): void {
  app.decorateRequest('principal', null)
  app.decorateRequest('auth', {
    getter(this: FastifyRequest): Auth {
      if (this.principal === null) throw new AppError('missing_credentials')
      return this.principal
    },
  })
  app.addHook('onRoute', (route) => {
    if (isExplorer(route.url)) route.config = { ...route.config, access: 'public' }
    if (route.config?.access === undefined) throw new Error(`${String(route.method)} ${route.url} does not say who may call it (config.access)`)
  })
  app.addHook('onRequest', async (request) => {
    const rule = request.routeOptions.config.access
    if (rule === undefined || rule === 'public') return
    const principal = await authenticate(request, deps)
    request.principal = { ...principal, requestId: request.id }
    if (!allows(rule, principal)) throw new AppError('permission_denied', { details: { needs: needs(rule) } })
  })
}

/** The explorer's routes are made by its plugin, which cannot say it themselves. */
const isExplorer = (url: string) => url === '/docs' || url.startsWith('/docs/')

export const shownCredential = (request: FastifyRequest): Credential | null => (request.routeOptions.config.socket ? handshakeCredentialOf(request) : credentialOf(request.headers))

async function authenticate(request: FastifyRequest, deps: ApiDeps): Promise<Principal> {
  const credential = shownCredential(request)
  if (credential === null) throw new AppError('missing_credentials')
  if (credential.kind === 'api_key') return deps.access.keys.check(credential.text)
  const { sessionId } = await deps.tokens.verify(credential.text)
  return deps.access.sessions.check(sessionId)
}

function allows(rule: Exclude<AccessRule, 'public'>, principal: Principal): boolean {
  if (rule.platformAdmin) return principal.platformAdmin
  if (rule.roles !== undefined && (principal.role === null || !rule.roles.includes(principal.role))) return false
  return principal.scopes.has(rule.scope) || (rule.or?.some((scope) => principal.scopes.has(scope)) ?? false)
}

/** What a key made by this person may be given at most. */
export const grantable = (auth: Auth): ReadonlySet<Scope> => (auth.role === null ? auth.scopes : ROLE_SCOPES[auth.role])
