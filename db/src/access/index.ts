import type { Clock, Id, Logger } from '@trunkline/core'
import type { Redis } from 'ioredis'
import type { KeyFacts } from '../repos/keys.ts'
import type { SessionFacts } from '../repos/sessions.ts'
import type { Keyring } from '../seal.ts'
import type { Db } from '../tenancy.ts'
import { createKeyChecker, loadKeys, type AskedKey, type KeyChecker } from './keys.ts'
import { createPasswords, type Passwords } from './passwords.ts'
import { createSessionChecker, loadSessions, type SessionChecker } from './sessions.ts'
import { createVerdicts } from './verdicts.ts'

/** Everything a process needs to know who is asking. Call a `drop…` after the commit of the change: it holds everywhere within a second. */
export type Access = {
  keys: KeyChecker
  sessions: SessionChecker
  passwords: Passwords
  /** Digests in hexadecimal. */
  dropKeys(digests: string[]): Promise<void>
  dropSessions(sessionIds: string[]): Promise<void>
  /** After a suspension, a resumption, a change of roles, members or projects. */
  dropTenant(tenantId: string): Promise<void>
  close(): Promise<void>
}

export type AccessDeps = {
  db: Db
  redis: Redis
  /** A second connection, which only listens. */
  subscriber: Redis
  keyring: Keyring
  clock: Clock
  log: Logger
}

export function createAccess({ db, redis, subscriber, keyring, clock, log }: AccessDeps): Access {
  const shared = { redis, subscriber, clock, log }
  const keyVerdicts = createVerdicts<AskedKey, KeyFacts>({ ...shared, kind: 'key', load: (asked) => loadKeys(db, asked) })
  const sessionVerdicts = createVerdicts<Id, SessionFacts>({ ...shared, kind: 'session', load: (ids) => loadSessions(db, ids) })
  const keys = createKeyChecker({ db, keyring, verdicts: keyVerdicts, clock, log })
  return {
    keys,
    sessions: createSessionChecker(sessionVerdicts),
    passwords: createPasswords(),
    dropKeys: (digests) => keyVerdicts.drop(digests),
    dropSessions: (sessionIds) => sessionVerdicts.drop(sessionIds),
    async dropTenant(tenantId) {
      await Promise.all([keyVerdicts.dropTenant(tenantId), sessionVerdicts.dropTenant(tenantId)])
    },
    async close() {
      await keys.close()
      await Promise.all([keyVerdicts.close(), sessionVerdicts.close()])
    },
  }
}
