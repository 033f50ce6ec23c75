import { z } from 'zod'

/** What happens on WhatsApp after a message of ours was accepted. */
export const StatusScript = z.union([
  z.literal(false),
  z.strictObject({
    /** In this order; repeats are allowed. */
    sequence: z.array(z.enum(['sent', 'delivered', 'read', 'played', 'failed'])).max(50).default(['sent', 'delivered', 'read']),
    /** Before each status. */
    delayMs: z.number().int().min(0).max(3_600_000).default(0),
    /** How often each status is told. */
    copies: z.number().int().min(1).max(100).default(1),
    /** Code of a `failed` status. */
    errorCode: z.number().int().default(131026),
  }),
])
export type StatusScript = z.output<typeof StatusScript>

const shared = {
  webhook_url: z.url({ protocol: /^https?$/ }).max(2048).optional(),
  /** Signs the webhooks. */
  app_secret: z.string().min(1).max(255).default('sandbox-app-secret'),
  verify_token: z.string().min(1).max(255).default('sandbox-verify-token'),
  access_token: z.string().min(1).max(1024).default('sandbox-access-token'),
  /** Refuses free-form messages when the customer has been silent longer than this; null: no window. Meta's is 86,400,000. */
  window_ms: z.number().int().min(1).nullable().default(null),
}

export const WhatsAppNumber = z.strictObject({
  phone_number_id: z.string().regex(/^\d{1,32}$/, 'digits, as Meta gives them'),
  display_phone_number: z.string().max(32).default('15550100000'),
  waba_id: z.string().max(64).default('102290129340398'),
  verified_name: z.string().max(255).default('Sandbox Business'),
  statuses: StatusScript.default({ sequence: ['sent', 'delivered', 'read'], delayMs: 0, copies: 1, errorCode: 131026 }),
  ...shared,
})
export type WhatsAppNumber = z.output<typeof WhatsAppNumber>

export const InstagramAccount = z.strictObject({
  ig_id: z.string().regex(/^\d{1,32}$/, 'digits, as Meta gives them'),
  username: z.string().max(64).default('sandbox.business'),
  name: z.string().max(255).default('Sandbox Business'),
  /** Tells our own messages back as `is_echo`. */
  echoes: z.boolean().default(true),
  /** Tells `messaging_seen` after each message of ours. */
  seen: z.boolean().default(true),
  ...shared,
})
export type InstagramAccount = z.output<typeof InstagramAccount>

/** What the sandbox's Meta knows: numbers, accounts, and when customers last wrote. */
export class MetaRegistry {
  readonly whatsapp = new Map<string, WhatsAppNumber>()
  readonly instagram = new Map<string, InstagramAccount>()
  readonly #lastInboundMs = new Map<string, number>()
  readonly #profiles = new Map<string, { name: string; username: string }>()

  /** A token is good when any registered number has it; Graph checks the token before the object. */
  knowsToken(token: string): boolean {
    for (const number of this.whatsapp.values()) if (number.access_token === token) return true
    for (const account of this.instagram.values()) if (account.access_token === token) return true
    return false
  }

  noteCustomer(number: string, customer: string): void {
    this.#lastInboundMs.set(`${number}/${customer}`, Date.now())
  }

  windowIsOpen(number: string, customer: string, windowMs: number | null): boolean {
    if (windowMs === null) return true
    return Date.now() - (this.#lastInboundMs.get(`${number}/${customer}`) ?? 0) <= windowMs
  }

  /** Names of Instagram customers, for profile look-ups. */
  nameCustomer(igsid: string, name: string, username: string): void {
    this.#profiles.set(igsid, { name, username })
    if (this.#profiles.size > 100_000) this.#profiles.delete(this.#profiles.keys().next().value!)
  }

  profile(igsid: string): { name: string; username: string } | undefined {
    return this.#profiles.get(igsid)
  }

  reset(): void {
    this.#profiles.clear()
    this.#lastInboundMs.clear()
  }
}

/** The bearer token of a request (header, or `access_token` in the query as Graph allows), or ''. */
export function tokenOf(request: { headers: { authorization?: string }; query: unknown }): string {
  const { authorization } = request.headers
  if (authorization?.startsWith('Bearer ')) return authorization.slice(7)
  const { access_token } = request.query as { access_token?: unknown }
  return typeof access_token === 'string' ? access_token : ''
}
