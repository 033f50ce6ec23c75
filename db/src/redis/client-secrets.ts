import { createHmac } from 'node:crypto'
import { AppError } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { openJson, sealJson, type Keyring } from '../seal.ts'

/**
 * Secrets that open one thing once. Redis knows a secret by its keyed hash only, and what it opens is sealed under the same
 * name: who reads Redis can neither use a secret nor put one grant in another's place.
 */
export type ClientSecrets<Grant> = {
  /** For `lifeMs` at most. Throws AppError `unavailable` while Redis is away: nothing was given out then. */
  keep(secret: string, grant: Grant, lifeMs: number): Promise<void>
  /** What it opens, to one caller only; null for one that is unknown, used or expired. Throws AppError `unavailable`. */
  take(secret: string): Promise<Grant | null>
}

/** `purpose` keeps kinds of secrets apart. Grants are JSON. */
export function createClientSecrets<Grant>({ redis, keyring, purpose }: { redis: Redis; keyring: Keyring; purpose: string }): ClientSecrets<Grant> {
  const keys = keyring.deriveAll(`client secrets ${purpose}`)
  const nameOf = (key: Buffer, secret: string) => `client-secret:${purpose}:${createHmac('sha256', key).update(secret).digest('base64url')}`
  return {
    async keep(secret, grant, lifeMs) {
      const name = nameOf(keys[0]!, secret)
      await redis.set(name, sealJson(keyring, grant, name), 'PX', Math.ceil(lifeMs)).catch(away)
    },
    async take(secret) {
      // One of them: a secret of before a change of the master secret has the older name.
      for (const key of keys) {
        const name = nameOf(key, secret)
        const sealed = await redis.getdelBuffer(name).catch(away)
        if (sealed) return openJson(keyring, sealed, name) as Grant
      }
      return null
    },
  }
}

function away(cause: unknown): never {
  throw new AppError('unavailable', { cause, retryAfterMs: 1_000 })
}
