import { createPrivateKey, createPublicKey, randomBytes, randomUUID, sign, type KeyObject } from 'node:crypto'
import { z } from 'zod'

/** PKCS #8 of an Ed25519 key up to its seed (RFC 8410 §7). The seed is no secret: it makes the sandbox's key the same every time. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')
const privateKeyOf = (seed: string): KeyObject => createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, Buffer.alloc(32, seed)]), format: 'der', type: 'pkcs8' })

const KEY = privateKeyOf('sandbox-telnyx-signing-key')
const WRONG_KEY = privateKeyOf('not-the-sandbox-key')

/** What Mission Control shows: the raw key, base64. */
export const TELNYX_PUBLIC_KEY = createPublicKey(KEY).export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64')
export const TELNYX_CONNECTION_ID = '1684641123236054244'
export const TELNYX_TEXML_CONNECTION_ID = '1684641123236054245'
export const TELNYX_ACCOUNT_SID = '19a75cea-02c6-4b9a-84fa-c9bc8341feb8'

/** Headers of a webhook: Ed25519 over `timestamp|body`. */
export function telnyxSignature(body: string, isWrong = false, atMs = Date.now()): Record<string, string> {
  const timestamp = String(Math.floor(atMs / 1_000))
  return { 'telnyx-timestamp': timestamp, 'telnyx-signature-ed25519': sign(null, Buffer.from(`${timestamp}|${body}`), isWrong ? WRONG_KEY : KEY).toString('base64') }
}

export const newCallControlId = (): string => `v3:${randomBytes(32).toString('base64url')}`

const webAddress = z.url({ protocol: /^https?$/ }).max(2_048)

export const TelnyxNumber = z.strictObject({
  number: z.string().regex(/^\+\d{5,18}$/, 'E.164'),
  connection_id: z.string().regex(/^\d{1,32}$/).optional(),
  /** Of the application that the number belongs to: the webhook, or for `texml` the address that is asked for documents. */
  webhook_url: webAddress.optional(),
  texml: z.boolean().default(false),
  /** `texml` only: where the application tells how calls that come in fare. */
  status_url: webAddress.optional(),
  /** What the callers' own phones speak; forwarded as it is where `transcodes` is off. */
  codec: z.enum(['PCMU', 'PCMA']).default('PCMU'),
  /** Whether `stream_codec` can be had. Telnyx falls back to the call's own codec when it cannot (docs, "stream_codec"). */
  transcodes: z.boolean().default(true),
  l16_byte_order: z.enum(['big', 'little']).default('big'),
})
export type TelnyxNumber = z.output<typeof TelnyxNumber>
export type TelnyxNumberInput = z.input<typeof TelnyxNumber>

/** `statusUrl` and the methods are those of TeXML. */
export type Application = { id: string; name: string; url: string; texml: boolean; statusUrl: string; voiceMethod: 'get' | 'post'; statusMethod: 'get' | 'post' }
export type OwnedNumber = { id: string; facts: TelnyxNumber; connectionId: string; createdAt: Date }

/** TeXML asks by GET unless it is told otherwise (docs, "TeXML instruction fetching"). */
const UNTOLD = { url: '', statusUrl: '', voiceMethod: 'get', statusMethod: 'get' } as const

/** One account: its applications and numbers. */
export class TelnyxAccount {
  readonly #applications = new Map<string, Application>([
    [TELNYX_CONNECTION_ID, { id: TELNYX_CONNECTION_ID, name: 'call-control', texml: false, ...UNTOLD }],
    [TELNYX_TEXML_CONNECTION_ID, { id: TELNYX_TEXML_CONNECTION_ID, name: 'texml', texml: true, ...UNTOLD }],
  ])
  readonly #numbers = new Map<string, OwnedNumber>()

  register(input: TelnyxNumberInput): OwnedNumber {
    const facts = TelnyxNumber.parse(input)
    const connectionId = facts.connection_id ?? (facts.texml ? TELNYX_TEXML_CONNECTION_ID : TELNYX_CONNECTION_ID)
    const application = this.#applications.get(connectionId)
    const addresses = { url: facts.webhook_url ?? application?.url ?? '', statusUrl: facts.status_url ?? application?.statusUrl ?? '', voiceMethod: 'post', statusMethod: 'post' } as const
    this.#applications.set(connectionId, { id: connectionId, name: application?.name ?? connectionId, texml: facts.texml, ...addresses })
    return this.#own(facts, connectionId)
  }

  buy(number: string, connectionId: string): OwnedNumber {
    return this.#own(TelnyxNumber.parse({ number }), connectionId)
  }

  assign(owned: OwnedNumber, connectionId: string): void {
    owned.connectionId = connectionId
  }

  release(owned: OwnedNumber): void {
    this.#numbers.delete(owned.facts.number)
  }

  number(number: string): OwnedNumber | undefined {
    return this.#numbers.get(number)
  }

  numberById(id: string): OwnedNumber | undefined {
    return [...this.#numbers.values()].find((owned) => owned.id === id)
  }

  numbers(): OwnedNumber[] {
    return [...this.#numbers.values()]
  }

  application(id: string): Application | undefined {
    return this.#applications.get(id)
  }

  change(application: Application): void {
    this.#applications.set(application.id, application)
  }

  #own(facts: TelnyxNumber, connectionId: string): OwnedNumber {
    const old = this.#numbers.get(facts.number)
    const owned: OwnedNumber = { id: old?.id ?? randomUUID(), facts, connectionId, createdAt: old?.createdAt ?? new Date() }
    this.#numbers.set(facts.number, owned)
    return owned
  }
}

/** `Bearer KEY`: any key is good unless it contains `invalid`. */
export const isAllowed = (authorization: string | undefined): boolean => /^Bearer \S+$/.test(authorization ?? '') && !/invalid/i.test(authorization ?? '')
