import { createHmac, randomBytes } from 'node:crypto'
import { z } from 'zod'

/** Credentials that are good from the start. */
export const TWILIO_ACCOUNT_SID = `AC${'0123456789abcdef'.repeat(2)}`
export const TWILIO_AUTH_TOKEN = 'sandbox-twilio-auth-token-0000001'

export const newSid = (prefix: 'CA' | 'PN' | 'MZ' | 'RE'): string => prefix + randomBytes(16).toString('hex')

const webAddress = z.url({ protocol: /^https?$/ }).max(2_048)

export const TwilioNumber = z.strictObject({
  number: z.string().regex(/^\+\d{5,18}$/, 'E.164'),
  account_sid: z.string().regex(/^AC[0-9a-f]{32}$/).default(TWILIO_ACCOUNT_SID),
  /** Of an account that is new. */
  auth_token: z.string().min(1).max(128).default(TWILIO_AUTH_TOKEN),
  voice_url: webAddress.optional(),
  /** Asked when `voice_url` fails. */
  voice_fallback_url: webAddress.optional(),
  status_url: webAddress.optional(),
})
export type TwilioNumberInput = z.input<typeof TwilioNumber>

export type OwnedNumber = { sid: string; number: string; accountSid: string; voiceUrl: string; fallbackUrl: string; statusUrl: string; createdAt: Date }

/** Accounts by their sid, and the numbers that they own. */
export class TwilioAccounts {
  readonly #tokens = new Map([[TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN]])
  readonly #numbers = new Map<string, OwnedNumber>()

  register(input: TwilioNumberInput): OwnedNumber {
    const parsed = TwilioNumber.parse(input)
    if (!this.#tokens.has(parsed.account_sid)) this.#tokens.set(parsed.account_sid, parsed.auth_token)
    return this.own(parsed.account_sid, parsed.number, { voiceUrl: parsed.voice_url, fallbackUrl: parsed.voice_fallback_url, statusUrl: parsed.status_url })
  }

  /** Buys, or changes what is known of a number. */
  own(accountSid: string, number: string, urls: { voiceUrl?: string; fallbackUrl?: string; statusUrl?: string }): OwnedNumber {
    const old = this.#numbers.get(number)
    const owned: OwnedNumber = {
      sid: old?.sid ?? newSid('PN'), number, accountSid, createdAt: old?.createdAt ?? new Date(),
      voiceUrl: urls.voiceUrl ?? old?.voiceUrl ?? '', fallbackUrl: urls.fallbackUrl ?? old?.fallbackUrl ?? '', statusUrl: urls.statusUrl ?? old?.statusUrl ?? '',
    }
    this.#numbers.set(number, owned)
    return owned
  }

  number(number: string): OwnedNumber | undefined {
    return this.#numbers.get(number)
  }

  numberBySid(sid: string): OwnedNumber | undefined {
    return [...this.#numbers.values()].find((owned) => owned.sid === sid)
  }

  numbers(accountSid?: string): OwnedNumber[] {
    return [...this.#numbers.values()].filter((owned) => accountSid === undefined || owned.accountSid === accountSid)
  }

  release(number: string): void {
    this.#numbers.delete(number)
  }

  token(accountSid: string): string | undefined {
    return this.#tokens.get(accountSid)
  }

  /** `Basic sid:token`, or an API key (any whose secret is not `invalid`), which must speak for the account of the path. */
  isAllowed(accountSid: string, authorization: string | undefined): boolean {
    const [user = '', ...rest] = Buffer.from((authorization ?? '').replace(/^Basic\s+/i, ''), 'base64').toString('utf8').split(':')
    const password = rest.join(':')
    const token = this.#tokens.get(accountSid)
    if (token === undefined || password === '') return false
    return user.startsWith('SK') ? !password.includes('invalid') : user === accountSid && password === token
  }
}

/** twilio.com/docs/usage/security: the address, then the fields in order of their names; written from that page, not from the SDK that is tested with it. */
export function twilioSignature(token: string, url: string, fields: Record<string, string> = {}): string {
  const signed = Object.keys(fields).sort().reduce((text, name) => text + name + fields[name]!, url)
  return createHmac('sha1', token).update(signed, 'utf8').digest('base64')
}
