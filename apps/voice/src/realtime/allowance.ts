import { cardAt, priceOf } from '@trunkline/billing'
import type { realtime } from '@trunkline/channels'
import type { Id, Micros } from '@trunkline/core'
import type { Limiter, RateLevel } from '@trunkline/db'
import type { Link } from '@trunkline/agents'
import type { Credit } from './purse.ts'

/** Requests a minute; 0: no limit. The same as the API's, whose windows these are: a response counts as a request of its tenant and project. */
export type RequestLimits = { tenant: number; project: number }
export type Admission = { allowed: boolean; /** 0 when allowed. */ retryAfterMs: number; /** Null: there is no limit. */ requests: realtime.RateLimit | null }

/** Who may ask for another response. Never throws: the limiter has an answer without Redis, too. */
export type Allowance = { take(): Promise<Admission> }

export type Whose = { tenantId: Id; projectId: Id | null; /** The project's own limit, where it has one. */ projectPerMinute: number | null }

const WINDOW_MS = 60_000

export function createAllowance(limiter: Limiter, { tenant, project }: RequestLimits, { tenantId, projectId, projectPerMinute }: Whose): Allowance {
  const all: RateLevel[] = [{ name: 'tenant', key: tenantId, limit: tenant, windowMs: WINDOW_MS }]
  if (projectId !== null) all.push({ name: 'project', key: projectId, limit: projectPerMinute ?? project, windowMs: WINDOW_MS })
  const levels = all.filter(({ limit }) => limit > 0)
  return {
    async take() {
      const { allowed, retryAfterMs, tightest } = await limiter.check(levels)
      const requests = tightest && { name: 'requests' as const, limit: tightest.limit, remaining: tightest.remaining, reset_seconds: tightest.resetMs / 1_000 }
      return { allowed, retryAfterMs, requests }
    },
  }
}

/**
 * What the credit pays for, in output tokens of the dearest model that may answer: `limit` before everything that is reserved now,
 * `remaining` after it, this response included. It does not come back with time (`reset_seconds` 0), but when reservations are settled.
 * Null: these tokens cost nothing, and nothing limits them.
 */
export function tokensOf({ availableMicros, heldMicros }: Credit, links: readonly Link[], atMs: number): realtime.RateLimit | null {
  const card = cardAt(atMs)
  const price = links.reduce((most, { vendor, model }) => larger(most, vendor.id === 'rules' ? 0n : priceOf(card, vendor.id, model).outputMicros), 0n)
  if (price === 0n) return null
  const tokens = (micros: Micros): number => Number((micros > 0n ? micros * MILLION : 0n) / price)
  return { name: 'tokens', limit: tokens(availableMicros + heldMicros), remaining: tokens(availableMicros), reset_seconds: 0 }
}

/** Prices are of so many tokens. */
const MILLION = 1_000_000n
const larger = (a: Micros, b: Micros): Micros => (a > b ? a : b)
