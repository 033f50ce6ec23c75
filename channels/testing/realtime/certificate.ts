import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/**
 * A certificate for 127.0.0.1, signed by itself, made when a test needs one: the `openai` package speaks wss only.
 * X.509 v3 as in RFC 5280, written as DER by hand, because Node can read certificates but not make them.
 */
const tlv = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  const length =
    body.length < 128 ? Buffer.of(body.length) : body.length < 256 ? Buffer.of(0x81, body.length) : Buffer.of(0x82, body.length >> 8, body.length & 255)
  return Buffer.concat([Buffer.of(tag), length, body])
}
const sequence = (...parts: Uint8Array[]) => tlv(0x30, ...parts)
const set = (...parts: Uint8Array[]) => tlv(0x31, ...parts)
const oid = (...bytes: number[]) => tlv(0x06, Uint8Array.from(bytes))
const bitString = (bytes: Uint8Array) => tlv(0x03, Buffer.of(0), bytes)
const utcTime = (date: Date) =>
  tlv(
    0x17,
    Buffer.from(
      date
        .toISOString()
        .replaceAll(/[-:T]|\.\d+/g, '')
        .slice(2),
    ),
  )

const COMMON_NAME = [0x55, 0x04, 0x03]
const SUBJECT_ALT_NAME = [0x55, 0x1d, 0x11]
const BASIC_CONSTRAINTS = [0x55, 0x1d, 0x13]
/** 1.2.840.10045.4.3.2 */
const ECDSA_WITH_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))
const HOUR_MS = 3_600_000

const pem = (der: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${der
    .toString('base64')
    .match(/.{1,64}/g)
    ?.join('\n')}\n-----END CERTIFICATE-----\n`

export function localCertificate(): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = sequence(set(sequence(oid(...COMMON_NAME), tlv(0x0c, Buffer.from('127.0.0.1')))))
  const address = tlv(0x04, sequence(tlv(0x87, Buffer.of(127, 0, 0, 1)), tlv(0x82, Buffer.from('localhost'))))
  const authority = tlv(0x04, sequence(tlv(0x01, Buffer.of(0xff))))
  const serial = tlv(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)]))
  const validity = sequence(utcTime(new Date(Date.now() - HOUR_MS)), utcTime(new Date(Date.now() + 24 * HOUR_MS)))
  const extensions = tlv(0xa3, sequence(sequence(oid(...SUBJECT_ALT_NAME), address), sequence(oid(...BASIC_CONSTRAINTS), authority)))
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const body = sequence(tlv(0xa0, tlv(0x02, Buffer.of(2))), serial, ECDSA_WITH_SHA256, name, validity, name, spki, extensions)
  const cert = sequence(body, ECDSA_WITH_SHA256, bitString(sign('sha256', body, privateKey)))
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), cert: pem(cert) }
}
