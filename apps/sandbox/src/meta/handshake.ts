import { randomBytes } from 'node:crypto'
import { request } from 'undici'

export type Handshake = { ok: boolean; status: number; message: string }

/** `GET webhook?hub.mode=subscribe&hub.verify_token&hub.challenge`: the answer must be 200 with the bare challenge. */
export async function shakeHands(webhookUrl: string, verifyToken: string, timeoutMs: number): Promise<Handshake> {
  const challenge = String(randomBytes(4).readUInt32BE())
  const url = new URL(webhookUrl)
  url.searchParams.set('hub.mode', 'subscribe')
  url.searchParams.set('hub.challenge', challenge)
  url.searchParams.set('hub.verify_token', verifyToken)
  try {
    const answer = await request(url, { headersTimeout: timeoutMs, bodyTimeout: timeoutMs })
    const text = (await answer.body.text()).slice(0, 1000)
    const ok = answer.statusCode === 200 && text === challenge
    return { ok, status: answer.statusCode, message: ok ? 'verified' : "The URL couldn't be validated. Response does not match challenge." }
  } catch (error) {
    return { ok: false, status: 0, message: `The URL couldn't be validated. ${(error as Error).message}` }
  }
}
