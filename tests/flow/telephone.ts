import { TELNYX_ACCOUNT_SID, TELNYX_CONNECTION_ID, TELNYX_PUBLIC_KEY, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, type Sandbox } from '@trunkline/app-sandbox'
import type { CarrierId } from '@trunkline/core'
import type { Business } from './business.ts'

/** `texml`: a number of Telnyx whose calls run by documents. */
export type TelephoneWish = { carrier?: CarrierId; texml?: boolean; settings?: Record<string, unknown>; prompt?: Record<string, unknown> }
export type Telephone = { id: string; address: string; carrier: CarrierId; agentId: string }

const CREDENTIALS: Record<CarrierId, Record<string, string>> = {
  twilio: { account_sid: TWILIO_ACCOUNT_SID, auth_token: TWILIO_AUTH_TOKEN },
  telnyx: { api_key: 'KEYsandbox', public_key: TELNYX_PUBLIC_KEY },
}
const CARRIER_SETTINGS: Record<CarrierId, Record<string, unknown>> = { twilio: {}, telnyx: { connection_id: TELNYX_CONNECTION_ID } }

let numbers = 0
/** All numbers of an application ring at one address: these have one each. */
const texmlSettings = (count: number) => ({ mode: 'texml', connection_id: `16846411232370${String(count).padStart(5, '0')}`, account_sid: TELNYX_ACCOUNT_SID })

/** A number at the sandbox's carrier and with us, with a prompt and an agent that answers on it. */
export async function openTelephone({ sandbox, apiUrl }: { sandbox: Sandbox; apiUrl: string }, business: Business, { texml = false, carrier = texml ? 'telnyx' : 'twilio', settings = {}, prompt = {} }: TelephoneWish = {}): Promise<Telephone> {
  const address = `+1500555${String(++numbers).padStart(4, '0')}`
  const carrierSettings = texml ? texmlSettings(numbers) : CARRIER_SETTINGS[carrier]
  const registration = texml ? { number: address, texml, connection_id: texmlSettings(numbers).connection_id } : { number: address }
  sandbox.carriers[carrier].register(registration)
  const made = await business.ok('POST', '/v1/phone-numbers', { type: 'voice', name: 'Telephone', address, credentials: CREDENTIALS[carrier], settings: { carrier, carrier_settings: carrierSettings, ...settings } })
  const url = `${apiUrl}/webhooks/voice/${made.id}`
  const addresses = carrier === 'twilio' ? { voice_url: url, status_url: url } : { webhook_url: url, ...(texml ? { status_url: url } : {}) }
  sandbox.carriers[carrier].register({ ...registration, ...addresses })
  const { id: promptId } = await business.ok('POST', '/v1/prompts', { name: 'Receptionist', content: { instructions: 'You are the receptionist of Harbour Bikes. We open at nine in the morning and repair every bicycle.', vendor: 'openai', model: 'gpt-5-mini', max_output_tokens: 200, ...prompt } })
  const agent = await business.ok('POST', '/v1/agents', { name: 'Receptionist', number_id: made.id, prompt_id: promptId })
  return { id: made.id, address, carrier, agentId: agent.id }
}
