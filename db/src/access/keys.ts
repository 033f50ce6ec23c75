import { createSecretKey } from 'node:crypto'
import { AppError, type Clock, type Logger } from '@trunkline/core'
import { findKeyFacts, touchKeys, type KeyFacts } from '../repos/keys.ts'
import type { Keyring } from '../seal.ts'
import type { Db } from '../tenancy.ts'
import { readKey } from './key-text.ts'
import type { Principal } from './scopes.ts'
import type { Verdict, Verdicts } from './verdicts.ts'

/** The purpose under which the keyring derives the server's key for API keys. */
export const API_KEY_PURPOSE = 'api keys'

const TOUCH_EVERY_MS = 60_000

export type KeyChecker = {
  /** Throws AppError `invalid_api_key`, `tenant_suspended`, or `unavailable` when neither cache nor Postgres can tell. */
  check(text: string): Promise<Principal>
  /** Writes when keys were last used; runs by itself once a minute. */
  flush(): Promise<void>
  close(): Promise<void>
}

export type AskedKey = { keyId: string; digest: string }

export type KeyCheckerDeps = { db: Db; keyring: Keyring; verdicts: Verdicts<AskedKey, KeyFacts>; clock: Clock; log: Logger }

/** What Postgres knows of keys, in their order. */
export async function loadKeys(db: Db, asked: readonly AskedKey[]): Promise<Verdict<KeyFacts>[]> {
  const found = await db.single('auth', (one) => findKeyFacts(one, asked))
  return asked.map(({ digest }) => {
    const facts = found.get(digest)
    return { tenantId: facts?.tenantId ?? null, value: facts === undefined || facts.revoked ? null : facts }
  })
}

/** Shape, checksum, copy of a second, Redis, Postgres: each only when the one before cannot tell. */
export function createKeyChecker({ db, keyring, verdicts, clock, log }: KeyCheckerDeps): KeyChecker {
  const serverKeys = keyring.deriveAll(API_KEY_PURPOSE).map((bytes) => createSecretKey(bytes))
  const used = new Map<string, number>()
  let cancel = () => {}

  async function flush(): Promise<void> {
    if (used.size === 0) return
    const batch = Array.from(used, ([id, atMs]) => ({ id, atMs }))
    used.clear()
    await db.system('auth', (tx) => touchKeys(tx, batch)).catch((err: unknown) => log.warn({ err }, 'when keys were last used could not be written'))
  }
  const schedule = () => {
    cancel = clock.after(TOUCH_EVERY_MS, () => void flush().finally(schedule))
  }
  schedule()

  return {
    async check(text) {
      const read = readKey(serverKeys, text)
      if (read === null) throw new AppError('invalid_api_key')
      const facts = await verdicts.get(read.digest, read)
      const nowMs = clock.nowMs()
      if (facts === null || (facts.endsAtMs !== null && facts.endsAtMs <= nowMs)) throw new AppError('invalid_api_key')
      if (facts.suspended) throw new AppError('tenant_suspended')
      used.set(facts.id, nowMs)
      return principalOf(facts)
    },
    flush,
    async close() {
      cancel()
      await flush()
    },
  }
}

const principalOf = (facts: KeyFacts): Principal => ({
  tenantId: facts.tenantId,
  projectId: facts.projectId,
  actor: { kind: 'api_key', id: facts.id },
  scopes: new Set(facts.scopes),
  role: null,
  platformAdmin: false,
  sessionId: null,
  projectRateLimitPerMinute: facts.projectRateLimitPerMinute,
})
