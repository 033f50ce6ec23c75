import { validateRequest, validateRequestWithBody } from 'twilio/lib/webhooks/webhooks.js'
import type { RawWebhook } from '@trunkline/core'
import type { CarrierConfig, SocketUpgrade } from '../carriers/contract.ts'
import { isForm, readForm, type Form } from '../carriers/form.ts'

/**
 * `X-Twilio-Signature`: HMAC-SHA1 with the account's token over the address as Twilio knows it, followed by the form's fields in
 * order (twilio.com/docs/usage/security#validating-requests). The SDK compares in constant time and tries the address with and
 * without its standard port, as proxies rewrite it.
 */
function tokens({ credentials }: CarrierConfig): string[] {
  return [credentials.auth_token, credentials.previous_auth_token].filter((token): token is string => typeof token === 'string' && token.length > 0)
}

/** The SDK throws for what is no address: that is a refusal like any other. */
function holds(check: () => boolean): boolean {
  try {
    return check()
  } catch {
    return false
  }
}

const SIGNATURE = /^[A-Za-z0-9+/]{27}=$/

function isSigned(header: string | undefined, config: CarrierConfig, check: (token: string, signature: string) => boolean): boolean {
  if (header === undefined || !SIGNATURE.test(header)) return false
  return tokens(config).some((token) => holds(() => check(token, header)))
}

export function verify(raw: RawWebhook, config: CarrierConfig, url: string): boolean {
  const header = raw.headers['x-twilio-signature']
  if (!Buffer.isBuffer(raw.body)) return false
  if (isForm(raw)) {
    const form = readForm(raw.body)
    return form !== null && isSigned(header, config, (token, signature) => validateRequest(token, signature, url, form))
  }
  // A body of another kind is signed by its digest in the address; without one nothing vouches for it.
  if (raw.body.length > 0) return isSigned(header, config, (token, signature) => validateRequestWithBody(token, signature, url, raw.body.toString('utf8')))
  return isSigned(header, config, (token, signature) => validateRequest(token, signature, url, NO_FIELDS))
}

const NO_FIELDS: Form = {}

export function verifySocket(upgrade: SocketUpgrade, config: CarrierConfig, url: string): boolean {
  return isSigned(upgrade.headers['x-twilio-signature'], config, (token, signature) => validateRequest(token, signature, url, NO_FIELDS))
}
