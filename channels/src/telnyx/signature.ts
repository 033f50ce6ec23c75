import { createHash, createPublicKey, timingSafeEqual, verify as verifySignature, type KeyObject } from 'node:crypto'
import type { RawWebhook } from '@trunkline/core'
import type { CarrierConfig, SocketUpgrade } from '../carriers/contract.ts'

/** Webhooks: Ed25519 over `timestamp|body`, in `telnyx-signature-ed25519` and `telnyx-timestamp` (developers.telnyx.com, "webhook signing"). */

const TOLERANCE_SECONDS = 300
/** SubjectPublicKeyInfo of an Ed25519 key up to the key itself (RFC 8410 §4). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')

/** Null for what is no key: then nothing is signed by it. */
function keyOf(base64: unknown): KeyObject | null {
  if (typeof base64 !== 'string' || !/^[A-Za-z0-9+/]{43}=$/.test(base64)) return null
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_HEAD, Buffer.from(base64, 'base64')]), format: 'der', type: 'spki' })
  } catch {
    return null
  }
}

function isFresh(timestamp: string, nowMs: number): boolean {
  return /^\d{1,12}$/.test(timestamp) && Math.abs(Math.floor(nowMs / 1000) - Number(timestamp)) <= TOLERANCE_SECONDS
}

export function verify(raw: RawWebhook, { credentials }: CarrierConfig, _url: string, nowMs: number = Date.now()): boolean {
  const header = raw.headers['telnyx-signature-ed25519'] ?? ''
  const timestamp = raw.headers['telnyx-timestamp'] ?? ''
  if (!/^[A-Za-z0-9+/]{86}==$/.test(header) || !isFresh(timestamp, nowMs) || !Buffer.isBuffer(raw.body)) return false
  const signature = Buffer.from(header, 'base64')
  const signed = Buffer.concat([Buffer.from(`${timestamp}|`), raw.body])
  return [credentials.public_key, credentials.previous_public_key].some((candidate) => {
    const key = keyOf(candidate)
    return key !== null && verifySignature(null, signed, key, signature)
  })
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/**
 * Telnyx does not sign the upgrade of a media socket: it sends the `stream_auth_token` that the stream was started with. Without one
 * this door cannot tell Telnyx from anybody else, and stays shut: the app then checks a token in the path and does not ask here.
 */
export function verifySocket(upgrade: SocketUpgrade, _config: CarrierConfig, _url: string, authToken?: string): boolean {
  const given = upgrade.headers['x-telnyx-streaming-auth-token'] ?? ''
  if (authToken === undefined || authToken.length === 0 || given.length === 0 || given.length > 4_000) return false
  return timingSafeEqual(digest(given), digest(authToken))
}
