import { readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { sign } from '@trunkline/app-sandbox'
import type { Json, OurNumber } from './business.ts'

/** A supplier's request, by hand: for bodies and moments that the sandbox does not play. */

export type Posted = { status: number; retryAfter: string | null; body: Json }

export async function post(number: Pick<OurNumber, 'webhookUrl' | 'appSecret'>, payload: unknown, headers: Record<string, string> = {}): Promise<Posted> {
  const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const response = await fetch(number.webhookUrl, { method: 'POST', headers: { 'content-type': 'application/json', 'x-hub-signature-256': sign(number.appSecret, body), ...headers }, body, signal: AbortSignal.timeout(30_000) })
  return { status: response.status, retryAfter: response.headers.get('retry-after'), body: await response.json().catch(() => null) }
}

/** A recorded body of `channels/`, as if it had been recorded at this number. */
export function recorded(channel: 'whatsapp' | 'instagram', name: string, number: Pick<OurNumber, 'address'>): Json {
  const { body } = JSON.parse(readFileSync(new URL(`../../channels/src/${channel}/fixtures/${name}.json`, import.meta.url), 'utf8')) as { body: unknown }
  const ours = channel === 'whatsapp' ? '209900000000001' : '17840000000000001'
  return JSON.parse(JSON.stringify(body).replaceAll(ours, number.address))
}

let messages = 0
export const newWamid = (): string => `wamid.TEST${randomBytes(6).toString('hex')}${++messages}`

/** One value of a WhatsApp body with messages as given; ids, sender and time are filled in. */
export function whatsappBody(number: Pick<OurNumber, 'address'>, from: string, drafts: (string | Record<string, unknown>)[]) {
  const messages = drafts.map((draft) => ({ from, id: newWamid(), timestamp: String(Math.floor(Date.now() / 1_000)), ...(typeof draft === 'string' ? { type: 'text', text: { body: draft } } : draft) }))
  return whatsappValue(number, { contacts: [{ profile: { name: 'Ada' }, wa_id: from }], messages })
}

export const whatsappValue = <Value extends Record<string, unknown>>(number: Pick<OurNumber, 'address'>, value: Value, field = 'messages') => ({
  object: 'whatsapp_business_account',
  entry: [{ id: '109900000000001', changes: [{ field, value: { messaging_product: 'whatsapp', metadata: { display_phone_number: '15005550999', phone_number_id: number.address }, ...value } }] }],
})

let customers = 0
/** A phone number that nobody else in the run has. */
export const newCustomer = (): string => `4915${(BigInt(Date.now()) % 1_000_000n) * 1_000n + BigInt(++customers)}`
