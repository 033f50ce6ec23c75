import { createHmac, randomInt, timingSafeEqual, type KeyObject } from 'node:crypto'

// `tl_<env>_<keyId>_<secret>`; the secret is 32 random characters (190 bits) and a checksum of 16 hexadecimal digits, which is
// the head of an HMAC-SHA512 over all before it under the server's key. Nobody else can make a text whose checksum fits, so a
// forged key is refused by arithmetic alone. The tail of the same HMAC is the `digest` that is kept in the database: one HMAC does both,
// and the head says nothing about the tail.

export const KEY_ENVIRONMENTS = { production: 'live', staging: 'stage', development: 'dev' } as const
export type ProjectEnvironment = keyof typeof KEY_ENVIRONMENTS

const SHAPE = /^tl_(?:live|stage|dev)_([0-9A-Za-z]{12})_[0-9A-Za-z]{32}([0-9a-f]{16})$/
const LENGTH_MAX = 3 + 5 + 1 + 12 + 1 + 48
const CHECKSUM_LENGTH = 16
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

export type MintedKey = { text: string; keyId: string; digest: Buffer; lastFour: string }

/** Whoever reads many keys gives a `KeyObject`: bytes are made into one by every HMAC, which costs six times as much as the HMAC. */
export type ServerKey = Buffer | KeyObject

/** `digest` in hexadecimal: it is also the name of the verdict in caches. */
export type ReadKey = { keyId: string; digest: string }

const randomText = (length: number): string => Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')

const macOf = (serverKey: ServerKey, head: string): string => createHmac('sha512', serverKey).update(head).digest('hex')
const digestOf = (mac: string): string => mac.slice(64)

export function mintKey(serverKey: ServerKey, environment: ProjectEnvironment): MintedKey {
  const keyId = randomText(12)
  const head = `tl_${KEY_ENVIRONMENTS[environment]}_${keyId}_${randomText(32)}`
  const mac = macOf(serverKey, head)
  const text = head + mac.slice(0, CHECKSUM_LENGTH)
  return { text, keyId, digest: Buffer.from(digestOf(mac), 'hex'), lastFour: text.slice(-4) }
}

/** Null: not one of our making. `serverKeys` newest first; a key minted under an older master secret still reads. */
export function readKey(serverKeys: readonly ServerKey[], text: string): ReadKey | null {
  if (text.length > LENGTH_MAX) return null
  const shape = SHAPE.exec(text)
  if (shape === null) return null
  const [head, checksum] = [text.slice(0, -CHECKSUM_LENGTH), Buffer.from(shape[2]!)]
  for (const serverKey of serverKeys) {
    const mac = macOf(serverKey, head)
    if (timingSafeEqual(Buffer.from(mac.slice(0, CHECKSUM_LENGTH)), checksum)) return { keyId: shape[1]!, digest: digestOf(mac) }
  }
  return null
}
