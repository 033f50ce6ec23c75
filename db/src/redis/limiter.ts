import type { Redis } from 'ioredis'
import { createBatcher } from '../queue/batcher.ts'

/** One level of a rate limit, e.g. a tenant's. At most `limit` admissions in any window of `windowMs`. */
export type RateLevel = { name: 'global' | 'tenant' | 'project' | 'ip' | 'account'; key: string; limit: number; windowMs: number }

export type RateDecision = {
  allowed: boolean
  /** The level with the least left (or the one that refused), for the headers. Null when there were no levels. */
  tightest: { name: RateLevel['name']; limit: number; remaining: number; resetMs: number } | null
  /** 0 when allowed. */
  retryAfterMs: number
}

export type Limiter = {
  /** Admits at every level or at none, in one round trip. Redis away: a smaller limit in this process. Never throws. */
  check(levels: RateLevel[], nowMs?: number): Promise<RateDecision>
  /** Forgets what was admitted at this level, e.g. failed tries after the right password. */
  reset(level: RateLevel): Promise<void>
}

export type LimiterOptions = {
  redis: Redis
  /** How many processes share a limit; each may use its part of it while Redis is away. */
  processes?: number
  onFallback?: () => void
}

// The exact log: a list of the times of what was admitted, at most `limit` long, so that a window can never hold more. Times
// are small integers in Redis' compact list encoding, about 10 bytes each. A pop of what has left the window is paid for by
// the push that put it there. Redis' own clock, made monotonic by the last entry: all processes share one time.
// One call decides many checks, one after the other: what it costs to call is shared by all that are asked for at the same moment.
// ARGV of each check: now or -1, number of levels, then limit and window of each; KEYS in the same order.
const CHECK = `
local t = redis.call('TIME')
local clock = t[1] * 1000 + math.floor(t[2] / 1000)
local function head(key, floor, now)
  local first = tonumber(redis.call('LINDEX', key, 0) or now)
  while first <= floor do
    local old = 0
    for _, at in ipairs(redis.call('LRANGE', key, 0, 127)) do
      if tonumber(at) > floor then break end
      old = old + 1
    end
    redis.call('LPOP', key, old)
    first = tonumber(redis.call('LINDEX', key, 0) or now)
  end
  return first
end
local out, k, a = {}, 1, 1
while a < #ARGV do
  local now, levels = tonumber(ARGV[a]), tonumber(ARGV[a + 1])
  if now < 0 then now = clock end
  for i = 0, levels - 1 do
    local last = tonumber(redis.call('LINDEX', KEYS[k + i], -1) or now)
    if last > now then now = last end
  end
  local at, wait, worst = #out, 0, 0
  for i = 0, levels - 1 do
    local key, limit, window = KEYS[k + i], tonumber(ARGV[a + 2 + i * 2]), tonumber(ARGV[a + 3 + i * 2])
    local first = head(key, now - window, now)
    local used = redis.call('LLEN', key)
    if used >= limit then
      local free = tonumber(redis.call('LINDEX', key, used - limit)) + window - now
      if free > wait then wait = free worst = i + 1 end
    end
    out[at + 3 + i * 2] = limit - used
    out[at + 4 + i * 2] = first + window - now
  end
  out[at + 1], out[at + 2] = worst, wait
  if worst == 0 then
    local text = string.format('%.0f', now)
    for i = 0, levels - 1 do
      redis.call('RPUSH', KEYS[k + i], text)
      redis.call('PEXPIRE', KEYS[k + i], ARGV[a + 3 + i * 2])
      out[at + 3 + i * 2] = out[at + 3 + i * 2] - 1
    end
  end
  k, a = k + levels, a + 2 + levels * 2
end
return out`

/** Checks of one call at most: a script holds the server while it runs. */
const CHECKS_MAX = 64

type Check = { levels: RateLevel[]; nowMs: number | undefined }
type Checker = Redis & { rateCheck(keys: number, ...args: (string | number)[]): Promise<number[]> }

/** After a failure Redis is not asked for so long: one that hangs must not hold every request for its deadline. */
const AWAY_MS = 1_000

const keyOf = (level: RateLevel) => `rate:${level.name}:${level.key}:${level.windowMs}`

export function createLimiter({ redis, processes = 2, onFallback }: LimiterOptions): Limiter {
  if (!('rateCheck' in redis)) redis.defineCommand('rateCheck', { lua: CHECK })
  const checker = redis as Checker
  const local = createLocalWindows()
  let awayUntilMs = 0
  const batcher = createBatcher<Check, number[]>({ run: askRedis, maxSize: CHECKS_MAX, maxInFlight: 2 })

  async function askRedis(checks: readonly Check[]): Promise<number[][]> {
    const keys = checks.flatMap(({ levels }) => levels.map(keyOf))
    const figures = checks.flatMap(({ levels, nowMs }) => [nowMs ?? -1, levels.length, ...levels.flatMap((level) => [level.limit, level.windowMs])])
    const answer = await checker.rateCheck(keys.length, ...keys, ...figures)
    let at = 0
    return checks.map(({ levels }) => answer.slice(at, (at += 2 + levels.length * 2)))
  }

  async function shared(levels: RateLevel[], nowMs: number | undefined): Promise<number[] | null> {
    if (Date.now() < awayUntilMs) return null
    return batcher.add({ levels, nowMs }).catch(() => {
      if (Date.now() >= awayUntilMs) onFallback?.()
      awayUntilMs = Date.now() + AWAY_MS
      return null
    })
  }
  return {
    async check(levels, nowMs) {
      if (levels.length === 0) return { allowed: true, tightest: null, retryAfterMs: 0 }
      const figures = await shared(levels, nowMs)
      if (figures !== null) return decide(levels, figures)
      const smaller = levels.map((level) => ({ ...level, limit: Math.max(1, Math.floor(level.limit / processes)) }))
      return decide(smaller, local.check(smaller, nowMs ?? Date.now()))
    },
    async reset(level) {
      local.reset(level)
      await redis.del(keyOf(level)).catch(() => {})
    },
  }
}

/** `[worst level from 1 or 0, wait in ms, then (remaining, reset) of each level]`, from Lua or from the process. */
function decide(levels: RateLevel[], [worst = 0, wait = 0, ...figures]: number[]): RateDecision {
  const states = levels.map((level, i) => ({ name: level.name, limit: level.limit, remaining: Math.max(0, figures[i * 2]!), resetMs: Math.max(0, figures[i * 2 + 1]!) }))
  const tightest = worst > 0 ? states[worst - 1]! : states.reduce((least, state) => (state.remaining < least.remaining ? state : least))
  return { allowed: worst === 0, tightest, retryAfterMs: worst === 0 ? 0 : Math.max(1, wait) }
}

/** The same rule in one process. Bounded: past `keysMax` the key that was used longest ago is forgotten. */
function createLocalWindows(keysMax = 10_000) {
  const logs = new Map<string, number[]>()
  const logOf = (level: RateLevel, nowMs: number): number[] => {
    const key = keyOf(level)
    const log = (logs.get(key) ?? []).filter((at) => at > nowMs - level.windowMs)
    logs.delete(key)
    if (logs.size >= keysMax) logs.delete(logs.keys().next().value!)
    logs.set(key, log)
    return log
  }
  return {
    reset: (level: RateLevel): boolean => logs.delete(keyOf(level)),
    check(levels: RateLevel[], nowMs: number): number[] {
      const open = levels.map((level) => logOf(level, nowMs))
      const waits = levels.map((level, i) => (open[i]!.length >= level.limit ? open[i]!.at(-level.limit)! + level.windowMs - nowMs : 0))
      const wait = Math.max(...waits)
      if (wait === 0) for (const log of open) log.push(nowMs)
      return [wait === 0 ? 0 : waits.indexOf(wait) + 1, wait, ...levels.flatMap((level, i) => [level.limit - open[i]!.length, (open[i]![0] ?? nowMs) + level.windowMs - nowMs])]
    },
  }
}
