import { once } from 'node:events'
import { request } from 'node:http'
import { TWILIO_AUTH_TOKEN, twilioSignature } from '@trunkline/app-sandbox'
import { mediaPath, mediaToken } from '@trunkline/channels'
import { newId, type Id } from '@trunkline/core'
import { calls, createKeyring, type Db } from '@trunkline/db'
import { WebSocket } from 'ws'

/** A call that is open in the database and whose media socket nobody has taken yet. */
export type OpenedCall = { callId: Id; carrierCallId: string; path: string }

const HOUR_MS = 3_600_000

/** What a carrier's webhook would have done; the socket is then the test's own. */
export async function openCallFor(db: Db, secret: string, number: { id: string; tenantId: string; address: string }): Promise<OpenedCall> {
  const callId = newId()
  const carrierCallId = `CA${callId.replaceAll('-', '')}`
  await db.system('test', (tx) =>
    calls.open(tx, {
      callId, tenantId: number.tenantId, numberId: number.id, direction: 'inbound', carrier: 'twilio', carrierCallId, from: '+14155550111', to: number.address,
      contact: { identity: { kind: 'phone', value: '+14155550111' } }, holdMicros: 1_000_000n, holdUntil: new Date(Date.now() + HOUR_MS), limits: { number: 10_000, tenant: 10_000 },
    }))
  return { callId, carrierCallId, path: mediaPath('twilio', callId, mediaToken(createKeyring([secret]).deriveAll('call media')[0]!, callId)) }
}

export const signed = (voiceUrl: string, path: string): Record<string, string> => ({ 'x-twilio-signature': twilioSignature(TWILIO_AUTH_TOKEN, `${voiceUrl.replace(/^http/, 'ws')}${path}`) })

/** The status with which an upgrade is answered; 101: it was opened (and is closed again). */
export async function knock(voiceUrl: string, path: string, headers: Record<string, string> = signed(voiceUrl, path)): Promise<number> {
  const asked = request(`${voiceUrl}${path}`, { headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers } })
  asked.end()
  return new Promise((resolve, reject) => {
    asked.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve(response.statusCode!)
    })
    asked.on('response', (response) => {
      response.resume()
      resolve(response.statusCode!)
    })
    asked.on('error', reject)
  })
}

/** Somebody with a good token and signature, and bad manners. */
export class Intruder {
  readonly socket: WebSocket
  /** The code with which the socket was closed. */
  readonly closed: Promise<number>
  readonly #call: OpenedCall
  #frame = 0

  static async at(voiceUrl: string, call: OpenedCall): Promise<Intruder> {
    const intruder = new Intruder(voiceUrl, call)
    await once(intruder.socket, 'open')
    return intruder
  }

  private constructor(voiceUrl: string, call: OpenedCall) {
    this.#call = call
    this.socket = new WebSocket(`${voiceUrl.replace(/^http/, 'ws')}${call.path}`, { headers: signed(voiceUrl, call.path), perMessageDeflate: false })
    this.socket.on('error', () => {})
    this.closed = new Promise((resolve) => this.socket.once('close', resolve))
  }

  say(message: object | string): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  start(mediaFormat: object = { encoding: 'audio/x-mulaw', sampleRate: 8_000, channels: 1 }): void {
    this.say({ event: 'connected', protocol: 'Call', version: '1.0.0' })
    this.say({ event: 'start', sequenceNumber: '1', streamSid: 'MZ1', start: { accountSid: 'AC1', streamSid: 'MZ1', callSid: this.#call.carrierCallId, tracks: ['inbound'], mediaFormat, customParameters: {} } })
  }

  /** The next frame of 20 ms, as the carrier would send it. */
  media(): object {
    const frame = this.#frame++
    return { event: 'media', sequenceNumber: String(frame + 2), streamSid: 'MZ1', media: { track: 'inbound', chunk: String(frame + 1), timestamp: String(frame * 20), payload: Buffer.alloc(160, 0xff).toString('base64') } }
  }
}
