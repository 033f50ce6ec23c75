import { createCipheriv, createDecipheriv, createHash, createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto'
import { AppError } from '@trunkline/core'

/** Encrypts what must not be readable in the database: supplier tokens and customer text. */
export type Keyring = {
  /** AES-256-GCM under the newest key. `context` (the tenant's id) is authenticated: a row moved to another tenant does not open. */
  seal(plain: string | Uint8Array, context: string): Buffer
  /** Opens with whichever known key sealed it. Throws AppError `internal` when none did or a byte was changed. */
  open(sealed: Uint8Array, context: string): Buffer
  /** A key for another purpose, derived from the newest secret (HMAC digests, token signatures). */
  derive(purpose: string): Buffer
  /** The same from every known secret, newest first: to check what an older one signed. */
  deriveAll(purpose: string): Buffer[]
}

// Layout: version (1) | key id (4) | nonce (12) | tag (16) | ciphertext.
const VERSION = 1
const HEADER = 1 + 4
const NONCE = 12
const TAG = 16

type Key = { id: number; /** A key object: raw bytes would be made into one for every message. */ key: KeyObject }

const keyOf = (secret: string): Key => {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'trunkline seal', 32))
  return { key: createSecretKey(key), id: createHash('sha256').update(key).digest().readUInt32BE(0) }
}

/** Nonces are drawn by the thousand: one call to the system's generator costs as much as sealing a short message. Each is given out once. */
const NONCES = 1_024
let drawn = Buffer.alloc(0)

function freshNonce(): Buffer {
  if (drawn.length === 0) drawn = randomBytes(NONCE * NONCES)
  const nonce = drawn.subarray(0, NONCE)
  drawn = drawn.subarray(NONCE)
  return nonce
}

/** `secrets`: newest first; older ones only open. Each needs 32 characters or more. */
export function createKeyring(secrets: readonly string[]): Keyring {
  if (secrets.length === 0 || secrets.some((secret) => secret.length < 32)) {
    throw new AppError('internal', { message: 'Every master secret needs 32 characters or more.' })
  }
  const keys = secrets.map(keyOf)
  const byId = new Map(keys.map((key) => [key.id, key]))
  const newest = keys[0]!

  return {
    seal(plain, context) {
      const nonce = freshNonce()
      const cipher = createCipheriv('aes-256-gcm', newest.key, nonce).setAAD(Buffer.from(context))
      // A stream mode: all of the ciphertext comes at once, and `final` adds only the tag.
      const body = typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain)
      cipher.final()
      const sealed = Buffer.allocUnsafe(HEADER + NONCE + TAG + body.length)
      sealed[0] = VERSION
      sealed.writeUInt32BE(newest.id, 1)
      sealed.set(nonce, HEADER)
      sealed.set(cipher.getAuthTag(), HEADER + NONCE)
      sealed.set(body, HEADER + NONCE + TAG)
      return sealed
    },
    open(sealed, context) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
      const key = bytes.length < HEADER + NONCE + TAG ? undefined : byId.get(bytes.readUInt32BE(1))
      if (bytes[0] !== VERSION || !key) throw new AppError('internal', { message: 'A sealed value has no known key.' })
      try {
        const decipher = createDecipheriv('aes-256-gcm', key.key, bytes.subarray(HEADER, HEADER + NONCE))
        decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(HEADER + NONCE, HEADER + NONCE + TAG))
        const plain = decipher.update(bytes.subarray(HEADER + NONCE + TAG))
        decipher.final()
        return plain
      } catch (cause) {
        throw new AppError('internal', { message: 'A sealed value does not open.', cause })
      }
    },
    derive: (purpose) => Buffer.from(hkdfSync('sha256', secrets[0]!, '', `trunkline ${purpose}`, 32)),
    deriveAll: (purpose) => secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', `trunkline ${purpose}`, 32))),
  }
}

/** JSON in, JSON out. */
export const sealJson = (keyring: Keyring, value: unknown, context: string): Buffer => keyring.seal(JSON.stringify(value), context)
export const openJson = (keyring: Keyring, sealed: Uint8Array, context: string): unknown => JSON.parse(keyring.open(sealed, context).toString('utf8'))
