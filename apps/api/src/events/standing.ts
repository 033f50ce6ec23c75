import { AppError, type Clock, type Logger } from '@trunkline/core'
import type { Access, Credential, Principal } from '@trunkline/db'
import type { Connection } from './connection.ts'
import type { Limits } from './limits.ts'
import { CLOSE } from './protocol.ts'

/** What a socket was opened with. The session of an access token counts, not the token's own short life. */
export type Showing = { credential: Credential; principal: Principal }

type Holder = { check: () => Promise<Principal>; connections: Set<Connection>; /** Since when nobody could tell; null: it was told. */ unknownSinceMs: number | null }

export type Standings = {
  /** Asks from now on whether the credentials still stand. Returns a function that ends it. */
  watch(showing: Showing, connection: Connection): () => void
  close(): void
}

export type StandingDeps = { access: Pick<Access, 'keys' | 'sessions'>; clock: Clock; log: Logger }

/** A revoked key, an ended session, a suspended tenant and another role reach open sockets: each credential is asked about once for all its sockets. */
export function createStandings({ access, clock, log }: StandingDeps, limits: Limits): Standings {
  const holders = new Map<string, Holder>()
  const timer = setInterval(() => void Promise.all([...holders.values()].map(recheck)), limits.recheckMs)
  timer.unref()

  async function recheck(holder: Holder): Promise<void> {
    const verdict = await holder.check().catch((error: unknown) => error)
    if (!(verdict instanceof Error)) {
      holder.unknownSinceMs = null
      for (const connection of holder.connections) connection.allow(verdict as Principal)
      return
    }
    const end = endOf(verdict, holder)
    if (end !== null) for (const connection of holder.connections) connection.close(...end)
  }

  function endOf(error: Error, holder: Holder): [code: number, reason: string] | null {
    const code = error instanceof AppError ? error.code : 'internal'
    if (code === 'tenant_suspended') return [CLOSE.forbidden, 'this tenant is suspended']
    if (code === 'invalid_api_key' || code === 'invalid_token') return [CLOSE.unauthorised, 'these credentials do not stand any more']
    holder.unknownSinceMs ??= clock.nowMs()
    if (clock.nowMs() - holder.unknownSinceMs < limits.unknownMs) return null
    log.warn({ error }, 'sockets of live events are closed: their credentials cannot be checked')
    return [CLOSE.tooSlow, 'not available right now: try again']
  }

  function holderOf({ credential, principal }: Showing): [string, Holder] {
    const { sessionId } = principal
    const name = sessionId === null ? `key ${credential.text}` : `session ${sessionId}`
    const known = holders.get(name)
    if (known) return [name, known]
    const check = () => (sessionId === null ? access.keys.check(credential.text) : access.sessions.check(sessionId))
    const holder: Holder = { check, connections: new Set(), unknownSinceMs: null }
    holders.set(name, holder)
    return [name, holder]
  }

  return {
    watch(showing, connection) {
      const [name, holder] = holderOf(showing)
      holder.connections.add(connection)
      return () => {
        holder.connections.delete(connection)
        if (holder.connections.size === 0 && holders.get(name) === holder) holders.delete(name)
      }
    },
    close: () => clearInterval(timer),
  }
}
