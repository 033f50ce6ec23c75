import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { RawWebhook } from '@trunkline/core'

const HEADER = /^sha256=([0-9a-f]{64})$/i

/** The secrets that count: set, non-empty strings. */
function usable(secrets: unknown[]): string[] {
  return secrets.filter((secret): secret is string => typeof secret === 'string' && secret.length > 0)
}

/**
 * Meta's webhook signature: HMAC-SHA256 of the raw body with the app secret, hex, in `X-Hub-Signature-256`
 * (developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads). Any of `secrets` may have signed: a rotated secret stays good for a while.
 * False whenever something is missing or malformed.
 */
export function isSignedByMeta(raw: RawWebhook, secrets: unknown[]): boolean {
  const given = HEADER.exec(raw.headers['x-hub-signature-256'] ?? '')?.[1]
  if (given === undefined || !Buffer.isBuffer(raw.body)) return false
  const signature = Buffer.from(given, 'hex')
  let valid = false
  for (const secret of usable(secrets)) {
    const expected = createHmac('sha256', secret).update(raw.body).digest()
    valid = timingSafeEqual(expected, signature) || valid
  }
  return valid
}

/** Constant time whatever the lengths: digests are compared. */
function isSame(left: string, right: string): boolean {
  const digest = (value: string) => createHash('sha256').update(value).digest()
  return timingSafeEqual(digest(left), digest(right))
}

/** What Meta sends is a short number or token; anything else is not echoed back to whoever asks. */
const CHALLENGE = /^[\w.~-]{1,200}$/

/** Meta's webhook handshake; the challenge to answer with, or null to refuse. */
export function metaChallenge(query: RawWebhook['query'], verifyToken: unknown): string | null {
  const token = query['hub.verify_token']
  const challenge = query['hub.challenge']
  if (query['hub.mode'] !== 'subscribe' || typeof token !== 'string' || typeof challenge !== 'string') return null
  if (typeof verifyToken !== 'string' || verifyToken.length === 0 || token.length > 512) return null
  return isSame(token, verifyToken) && CHALLENGE.test(challenge) ? challenge : null
}
