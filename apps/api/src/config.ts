/** Plain values from env.ts; tests write them by hand. */
export type ApiConfig = {
  /** Where the outside reaches this process, without a slash at the end. */
  publicUrl: string
  /** Proxies whose X-Forwarded-For is believed: their addresses, all (true) or none (false). */
  trustProxy: boolean | string[]
  bodyLimitBytes: number
  requestTimeoutMs: number
  /** Requests a minute; 0 turns a level off. A project's own figure replaces `project`. */
  rateLimits: { global: number; tenant: number; project: number; publicPerIp: number }
  /** Origins that browsers may call the API from. */
  corsOrigins: string[]
}
