import { createHmac } from 'node:crypto'
import { AppError } from '@trunkline/core'
import type { RateLevel } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import type { ApiDeps } from './deps.ts'

const WINDOW_MS = 15 * 60_000
const HOUR_MS = 3_600_000

export const LOCK_MS = WINDOW_MS

/**
 * Counts a try before its password is looked at, whether the account exists or not: the answer tells nothing about it.
 * Three counts, so that neither one address trying many accounts nor many addresses trying one gets far, and so that a
 * stranger cannot lock an owner out cheaply: the narrow count is of both together.
 */
export async function countTry(deps: ApiDeps, request: FastifyRequest, email: string): Promise<void> {
  const decision = await deps.limiter.check(levelsOf(deps, request, email))
  if (!decision.allowed) throw new AppError('account_locked', { retryAfterMs: decision.retryAfterMs })
}

/** The right password: earlier slips are forgotten, but not those of this address against other accounts. */
export async function forgetTries(deps: ApiDeps, request: FastifyRequest, email: string): Promise<void> {
  await Promise.all(levelsOf(deps, request, email).filter((level) => level.name === 'account').map((level) => deps.limiter.reset(level)))
}

export async function countSignUp(deps: ApiDeps, request: FastifyRequest): Promise<void> {
  const decision = await deps.limiter.check([{ name: 'ip', key: `sign-up:${request.ip}`, limit: deps.config.guessing.signUpsPerIp, windowMs: HOUR_MS }])
  if (!decision.allowed) throw new AppError('rate_limited', { retryAfterMs: decision.retryAfterMs })
}

function levelsOf({ config, keyring }: ApiDeps, request: FastifyRequest, email: string): RateLevel[] {
  const { guessing } = config
  // Addresses of people are not readable in Redis.
  const account = createHmac('sha256', keyring.derive('log-in tries')).update(email.toLowerCase()).digest('hex').slice(0, 32)
  return [
    { name: 'account', key: `${account}:${request.ip}`, limit: guessing.perAccountAndIp, windowMs: WINDOW_MS },
    { name: 'ip', key: `log-in:${request.ip}`, limit: guessing.perIp, windowMs: WINDOW_MS },
    { name: 'account', key: account, limit: guessing.perAccount, windowMs: WINDOW_MS },
  ]
}
