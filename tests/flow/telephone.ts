import { TELNYX_CONNECTION_ID, TELNYX_PUBLIC_KEY, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, type Sandbox } from '@trunkline/app-sandbox'
import type { CarrierId } from '@trunkline/core'
import type { Business } from './business.ts'

export type TelephoneWish = { carrier?: CarrierId; settings?: Record<string, unknown>; prompt?: Record<string, unknown> }
export type Telephone = { id: string; address: string; carrier: CarrierId; agentId: string }

const CREDENTIALS: Record<CarrierId, Record<string, string>> = {
  twilio: { account_sid: TWILIO_ACCOUNT_SID, auth_token: TWILIO_AUTH_TOKEN },
  telnyx: { api_key: 'KEYsandbox', public_key: TELNYX_PUBLIC_KEY },
}
const CARRIER_SETTINGS: Record<CarrierId, Record<string, unknown>> = { twilio: {}, telnyx: { connection_id: TELNYX_CONNECTION_ID } }

let numbers = 0

/** A number at the sandbox's carrier and with us, with a prompt and an agent that answers on it. */
export async function openTelephone({ sandbox, apiUrl }: { sandbox: Sandbox; apiUrl: string }, business: Business, { carrier = 'twilio', settings = {}, prompt = {} }: TelephoneWish = {}): Promise<Telephone> {
  const address = `+1500555${String(++numbers).padStart(4, '0')}`
  sandbox.carriers[carrier].register({ number: address })
  const made = await business.ok('POST', '/v1/phone-numbers', { type: 'voice', name: 'Telephone', address, credentials: CREDENTIALS[carrier], settings: { carrier, carrier_settings: CARRIER_SETTINGS[carrier], ...settings } })
  const url = `${apiUrl}/webhooks/voice/${made.id}`
  sandbox.carriers[carrier].register(carrier === 'twilio' ? { number: address, voice_url: url, status_url: url } : { number: address, webhook_url: url })
  const { id: promptId } = await business.ok('POST', '/v1/prompts', { name: 'Receptionist', content: { instructions: 'You are the receptionist of Harbour Bikes. We open at nine in the morning and repair every bicycle.', vendor: 'openai', model: 'gpt-5-mini', max_output_tokens: 200, ...prompt } })
  const agent = await business.ok('POST', '/v1/agents', { name: 'Receptionist', number_id: made.id, prompt_id: promptId })
  return { id: made.id, address, carrier, agentId: agent.id }
}
