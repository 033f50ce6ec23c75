/** One level of a rate limit, e.g. a tenant's. At most `limit` admissions in any window of `windowMs`. */
export type RateLevel = { name: 'global' | 'tenant' | 'project' | 'ip' | 'account'; key: string; limit: number; windowMs: number }

export type RateDecision = {
  allowed: boolean
  /** The level with the least left, for the headers. Null when there were no levels. */
  tightest: { name: RateLevel['name']; limit: number; remaining: number; resetMs: number } | null
  /** 0 when allowed. */
  retryAfterMs: number
}

export type Limiter = {
  /** Admits at every level or at none, in one round trip. Redis away: a smaller limit in this process. Never throws. */
  check(levels: RateLevel[], nowMs?: number): Promise<RateDecision>
}
