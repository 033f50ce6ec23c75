import { createHash, createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto'
import type { Channel, RawWebhook } from '@trunkline/core'
import { z } from 'zod'

/** What WhatsApp and Instagram have in common besides the Graph API: a number's secrets, and the door through which Meta's webhooks come. */

export const MetaCredentials = z.object({
  /** Goes into a header: visible ASCII only. */
  access_token: z.string().min(1).max(1024).regex(/^[\x21-\x7e]+$/, 'Expected visible ASCII characters without spaces'),
  /** Signs webhooks. */
  app_secret: z.string().min(16).max(256),
  /** Opens the handshake. */
  verify_token: z.string().min(8).max(256),
  /** During a rotation webhooks signed with the old secret are still accepted. */
  previous_app_secret: z.string().min(16).max(256).optional(),
})

const DEFAULT_GRAPH_VERSION = 'v23.0'
export const GraphVersion = z.string().regex(/^v\d{1,2}\.\d$/, 'Expected a Graph API version such as v23.0').default(DEFAULT_GRAPH_VERSION)
export const graphVersion = ({ graph_version: version }: Record<string, unknown>): string => (typeof version === 'string' ? version : DEFAULT_GRAPH_VERSION)

export const metaDoor: Required<Pick<Channel, 'challenge' | 'verify'>> = {
  challenge: (query, number) => metaChallenge(query, number.credentials.verify_token),
  verify: (raw, number) => isSignedByMeta(raw, [number.credentials.app_secret, number.credentials.previous_app_secret]),
}

const HEADER = /^sha256=([0-9a-f]{64})$/i

/** The secrets that count: set, non-empty strings. */
function usable(secrets: unknown[]): string[] {
  return secrets.filter((secret): secret is string => typeof secret === 'string' && secret.length > 0)
}

/** Made once for each secret: an HMAC that is given its text makes one anew, and that costs six times as much as the HMAC. */
const KEYS_MAX = 10_000
const keys = new Map<string, KeyObject>()

function keyOf(secret: string): KeyObject {
  const known = keys.get(secret)
  if (known) return known
  const key = createSecretKey(secret, 'utf8')
  if (keys.size >= KEYS_MAX) keys.delete(keys.keys().next().value!)
  keys.set(secret, key)
  return key
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
    const expected = createHmac('sha256', keyOf(secret)).update(raw.body).digest()
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
