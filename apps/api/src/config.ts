import type { Limits as EventLimits } from './events/limits.ts'
import type { Limits } from './webchat/limits.ts'

/** Plain values from env.ts; tests write them by hand. */
export type ApiConfig = {
  /** Where the outside reaches this process, without a slash at the end. */
  publicUrl: string
  /** Where links in mails lead: the dashboard. */
  appUrl: string
  /** Proxies whose X-Forwarded-For is believed: their addresses, all (true) or none (false). */
  trustProxy: boolean | string[]
  bodyLimitBytes: number
  /** `/metrics` asks for this as a bearer token. Undefined: it is open, for installations whose port only their own network reaches. */
  metricsToken?: string
  requestTimeoutMs: number
  /** Requests a minute; 0 turns a level off. A project's own figure replaces `project`. */
  rateLimits: { global: number; tenant: number; project: number; publicPerIp: number }
  /** Tries within 15 minutes, by one address against one account, by one address, and against one account from anywhere; sign-ups an hour by one address. */
  guessing: { perAccountAndIp: number; perIp: number; perAccount: number; signUpsPerIp: number }
  /** Origins that browsers may call the API from. */
  corsOrigins: string[]
  /** Where the voice processes answer, for `/v1/realtime`. Undefined: that answers 503. */
  voiceUrl?: string | undefined
  /** Limits of web chats that differ from the usual ones. */
  webchat?: Partial<Limits>
  /** The same for sockets of live events. */
  events?: Partial<EventLimits>
}
