import { createHmac } from 'node:crypto'

/** The carrier's side of Twilio Media Streams (twilio.com/docs/voice/media-streams/websocket-messages), as lean as it can be said. */
export const FRAME_MS = 20
export const FRAME_BYTES = 160
const SILENCE = 0xff

export const ACCOUNT_SID = `AC${'0123456789abcdef'.repeat(2)}`
export const AUTH_TOKEN = 'bench-twilio-auth-token-000000001'
export const callSid = (index: number): string => `CA${index.toString(16).padStart(32, '0')}`
export const streamSid = (index: number): string => `MZ${index.toString(16).padStart(32, '0')}`

/** twilio.com/docs/usage/security: of a socket only the address is signed. */
export const signatureOf = (url: string): string => createHmac('sha1', AUTH_TOKEN).update(url, 'utf8').digest('base64')

export const CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'

export const startMessage = (index: number): string =>
  JSON.stringify({
    event: 'start', sequenceNumber: '1', streamSid: streamSid(index),
    start: { accountSid: ACCOUNT_SID, streamSid: streamSid(index), callSid: callSid(index), tracks: ['inbound'], mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8_000, channels: 1 }, customParameters: {} },
  })

export const stopMessage = (index: number, sequence: number): string =>
  JSON.stringify({ event: 'stop', sequenceNumber: String(sequence), streamSid: streamSid(index), stop: { accountSid: ACCOUNT_SID, callSid: callSid(index) } })

export const markMessage = (index: number, sequence: number, name: string): string =>
  `{"event":"mark","sequenceNumber":"${sequence}","streamSid":"${streamSid(index)}","mark":{"name":"${name}"}}`

/** `payload` is base64. */
export const mediaMessage = (sid: string, frame: number, payload: string): string =>
  `{"event":"media","sequenceNumber":"${frame + 2}","media":{"track":"inbound","chunk":"${frame + 1}","timestamp":"${frame * FRAME_MS}","payload":"${payload}"},"streamSid":"${sid}"}`

export const QUIET_PAYLOAD = Buffer.alloc(FRAME_BYTES, SILENCE).toString('base64')

/**
 * A call's number, in the first samples of its first frames and of each question: a recogniser knows whom it hears, also one
 * that was called in later. G.711 is read without loss, so what was a byte here is the same sample there.
 */
const IDENTITY_MARK = 0x85
const IDENTITY_BASE = 0x90
const DIGITS = 100
export const IDENTITY_FRAMES = 10

export function identityPayload(index: number): string {
  const frame = Buffer.alloc(FRAME_BYTES, SILENCE)
  frame.set([IDENTITY_MARK, IDENTITY_BASE + Math.floor(index / DIGITS), IDENTITY_BASE + (index % DIGITS)])
  return frame.toString('base64')
}

/** Three bytes are four characters. */
export const withIdentity = (identity: string, payload: string): string => identity.slice(0, 4) + payload.slice(4)

/** G.711 table 2a, of positive codes: what a byte is as a sample of 16 bits. */
const linearOf = (byte: number): number => {
  const code = ~byte & 0xff
  return (((((code & 0x0f) << 1) + 33) << (code >> 4)) - 33) << 2
}
const CODES = new Map(Array.from({ length: 0x7f }, (_, code) => [linearOf(0x80 + code), 0x80 + code]))

/** Null: not a frame that says so. `frame` is 16 bits, little endian. */
export function identityOf(frame: Buffer): number | null {
  if (CODES.get(frame.readInt16LE(0)) !== IDENTITY_MARK) return null
  const [high, low] = [CODES.get(frame.readInt16LE(2)), CODES.get(frame.readInt16LE(4))]
  return high === undefined || low === undefined ? null : (high - IDENTITY_BASE) * DIGITS + low - IDENTITY_BASE
}
