import { AppError, type Id } from '@trunkline/core'
import { findSessionFacts, type SessionFacts } from '../repos/sessions.ts'
import type { Db } from '../tenancy.ts'
import { ROLE_SCOPES, type Principal } from './scopes.ts'
import type { Verdict, Verdicts } from './verdicts.ts'

export type SessionChecker = {
  /** `sessionId`: the family of the refresh token, taken from a verified access token. Throws AppError `invalid_token` or `tenant_suspended`. */
  check(sessionId: Id): Promise<Principal>
}

/** What Postgres knows of sessions, in their order. */
export async function loadSessions(db: Db, sessionIds: readonly Id[]): Promise<Verdict<SessionFacts>[]> {
  const found = await db.system('auth', (tx) => findSessionFacts(tx, sessionIds))
  return sessionIds.map((id) => ({ tenantId: found.get(id)?.tenantId ?? null, value: found.get(id) ?? null }))
}

/** Role and membership come from here, not from the token: a log-out, another role and a suspension hold within a second. */
export const createSessionChecker = (verdicts: Verdicts<Id, SessionFacts>): SessionChecker => ({
  async check(sessionId) {
    const facts = await verdicts.get(sessionId, sessionId)
    if (facts === null) throw new AppError('invalid_token')
    // The operator must be able to resume a tenant, his own included.
    if (facts.suspended && !facts.platformAdmin) throw new AppError('tenant_suspended')
    return {
      tenantId: facts.tenantId,
      projectId: null,
      actor: { kind: 'user', id: facts.userId },
      scopes: ROLE_SCOPES[facts.role],
      role: facts.role,
      platformAdmin: facts.platformAdmin,
      sessionId,
      projectRateLimitPerMinute: null,
    }
  },
})
