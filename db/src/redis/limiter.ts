import type { Redis } from 'ioredis'

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
const CHECK = `
local now = tonumber(ARGV[1])
if now < 0 then local t = redis.call('TIME') now = t[1] * 1000 + math.floor(t[2] / 1000) end
for i = 1, #KEYS do
  local last = tonumber(redis.call('LINDEX', KEYS[i], -1) or now)
  if last > now then now = last end
end
local function head(key, window)
  local first = tonumber(redis.call('LINDEX', key, 0) or now)
  while first <= now - window do
    local old = 0
    for _, at in ipairs(redis.call('LRANGE', key, 0, 127)) do
      if tonumber(at) > now - window then break end
      old = old + 1
    end
    redis.call('LPOP', key, old)
    first = tonumber(redis.call('LINDEX', key, 0) or now)
  end
  return first
end
local out, wait, worst = {}, 0, 0
for i = 1, #KEYS do
  local key, limit, window = KEYS[i], tonumber(ARGV[i * 2]), tonumber(ARGV[i * 2 + 1])
  local first = head(key, window)
  local used = redis.call('LLEN', key)
  if used >= limit then
    local free = tonumber(redis.call('LINDEX', key, used - limit)) + window - now
    if free > wait then wait = free worst = i end
  end
  out[i * 2 - 1] = limit - used
  out[i * 2] = first + window - now
end
if worst == 0 then
  local at = string.format('%.0f', now)
  for i = 1, #KEYS do
    redis.call('RPUSH', KEYS[i], at)
    redis.call('PEXPIRE', KEYS[i], ARGV[i * 2 + 1])
    out[i * 2 - 1] = out[i * 2 - 1] - 1
  end
end
return { worst, wait, unpack(out) }`

type Checker = Redis & { rateCheck(keys: number, ...args: (string | number)[]): Promise<number[]> }

/** After a failure Redis is not asked for so long: one that hangs must not hold every request for its deadline. */
const AWAY_MS = 1_000

const keyOf = (level: RateLevel) => `rate:${level.name}:${level.key}:${level.windowMs}`

export function createLimiter({ redis, processes = 2, onFallback }: LimiterOptions): Limiter {
  if (!('rateCheck' in redis)) redis.defineCommand('rateCheck', { lua: CHECK })
  const checker = redis as Checker
  const local = createLocalWindows()
  let awayUntilMs = 0

  async function shared(levels: RateLevel[], nowMs: number | undefined): Promise<number[] | null> {
    if (Date.now() < awayUntilMs) return null
    const figures = levels.flatMap((level) => [level.limit, level.windowMs])
    return checker.rateCheck(levels.length, ...levels.map(keyOf), nowMs ?? -1, ...figures).catch(() => {
      awayUntilMs = Date.now() + AWAY_MS
      onFallback?.()
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
