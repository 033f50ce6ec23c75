import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { connectRedis, createLimiter, type RateLevel, type Redis } from '../index.ts'

let connections: Redis[]
const corner = freshRedis()
beforeAll(async () => {
  connections = [connectRedis(corner), connectRedis(corner)]
  await Promise.all(connections.map((redis) => redis.connect()))
})
afterAll(() => {
  for (const redis of connections) redis.disconnect()
})

let keys = 0
const level = (limit: number, windowMs = 1_000, name: RateLevel['name'] = 'tenant'): RateLevel => ({ name, key: `k${++keys}`, limit, windowMs })

/** The most that any half-open window of `windowMs` holds. */
const fullest = (times: number[], windowMs: number) => Math.max(0, ...times.map((start) => times.filter((at) => at >= start && at < start + windowMs).length))

/** A Redis that nobody answers on. */
const awayLimiter = (processes: number) => {
  const redis = connectRedis({ url: 'redis://127.0.0.1:1', prefix: 't:' })
  return { limiter: createLimiter({ redis, processes }), redis }
}

describe('limiter', () => {
  it('never admits more than the limit in any window, and never refuses what fits (2,000 histories)', async () => {
    const limiter = createLimiter({ redis: connections[0]! })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 40 }), async (limit, gaps) => {
        const one = level(limit)
        let nowMs = 1_000_000
        const times = gaps.map((gap) => (nowMs += gap))
        const decisions = await Promise.all(times.map((at) => limiter.check([one], at)))
        const admitted: number[] = []
        for (const [i, { allowed, retryAfterMs }] of decisions.entries()) {
          const inWindow = admitted.filter((at) => at > times[i]! - 1_000)
          expect(allowed).toBe(inWindow.length < limit)
          if (allowed) admitted.push(times[i]!)
          else expect(retryAfterMs).toBe(inWindow[inWindow.length - limit]! + 1_000 - times[i]!)
        }
        expect(fullest(admitted, 1_000)).toBeLessThanOrEqual(limit)
      }),
      { numRuns: 2_000 },
    )
  })

  it('admits exactly the limit when two connections ask 400 times at once', async () => {
    const limiters = connections.map((redis) => createLimiter({ redis }))
    const one = level(100, 60_000)
    const decisions = await Promise.all(Array.from({ length: 400 }, (_, i) => limiters[i % 2]!.check([one])))
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(100)
  })

  it('takes from no level when one refuses, and names that one', async () => {
    const limiter = createLimiter({ redis: connections[0]! })
    const [global, tenant, project] = [level(100, 1_000, 'global'), level(50, 1_000), level(1, 1_000, 'project')]
    await limiter.check([global, tenant, project], 5_000)
    const refused = await limiter.check([global, tenant, project], 5_010)
    expect(refused).toMatchObject({ allowed: false, retryAfterMs: 990, tightest: { name: 'project', remaining: 0 } })
    const next = await limiter.check([global, tenant], 5_020)
    expect(next.tightest).toMatchObject({ name: 'tenant', remaining: 48 })
  })

  it('holds to a limit that was lowered in the middle of a window', async () => {
    const limiter = createLimiter({ redis: connections[0]! })
    const one = level(5)
    for (let at = 0; at < 5; at++) await limiter.check([one], 10_000 + at * 100)
    const lowered = { ...one, limit: 2 }
    expect(await limiter.check([lowered], 10_500)).toMatchObject({ allowed: false, retryAfterMs: 800 })
    expect((await limiter.check([lowered], 11_299)).allowed).toBe(false)
    expect((await limiter.check([lowered], 11_300)).allowed).toBe(true)
  })

  it('does not let a clock that jumps back open the window again', async () => {
    const limiter = createLimiter({ redis: connections[0]! })
    const one = level(2)
    await limiter.check([one], 20_000)
    await limiter.check([one], 20_000)
    expect((await limiter.check([one], 15_000)).allowed).toBe(false)
  })

  it('keeps a compact log: 5,000 entries in less than 80 kB, gone with the window', async () => {
    const [redis] = connections
    const limiter = createLimiter({ redis: redis! })
    const one = level(5_000, 60_000)
    for (let batch = 0; batch < 10; batch++) await Promise.all(Array.from({ length: 500 }, () => limiter.check([one])))
    const name = `rate:tenant:${one.key}:60000`
    expect(await redis!.llen(name)).toBe(5_000)
    expect(Number(await redis!.call('MEMORY', 'USAGE', `${corner.prefix}${name}`))).toBeLessThan(80_000)
    expect(await redis!.pttl(name)).toBeGreaterThan(0)
  })

  it('forgets on reset', async () => {
    const limiter = createLimiter({ redis: connections[0]! })
    const one = level(1)
    await limiter.check([one], 1)
    await limiter.reset(one)
    expect((await limiter.check([one], 2)).allowed).toBe(true)
  })

  it("limits in the process while Redis is away, to this process's part", async () => {
    const { limiter, redis } = awayLimiter(2)
    const one = level(10)
    const decisions = await Promise.all(Array.from({ length: 20 }, () => limiter.check([one], 1_000)))
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(5)
    expect((await limiter.check([one], 2_000)).allowed).toBe(true)
    redis.disconnect()
  })

  it('keeps the same promise in the process (500 histories)', async () => {
    const { limiter, redis } = awayLimiter(1)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 40 }), async (limit, gaps) => {
        const one = level(limit)
        let nowMs = 1_000_000
        const admitted: number[] = []
        for (const gap of gaps) if ((await limiter.check([one], (nowMs += gap))).allowed) admitted.push(nowMs)
        expect(fullest(admitted, 1_000)).toBeLessThanOrEqual(limit)
      }),
      { numRuns: 500 },
    )
    redis.disconnect()
  })
})
