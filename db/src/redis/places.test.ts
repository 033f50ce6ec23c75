import { systemClock, type Clock } from '@trunkline/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { connectRedis, createPlaces, type Places, type Redis } from '../index.ts'

const LEASE_MS = 60_000
let redis: Redis
const corner = freshRedis()
beforeAll(async () => {
  redis = connectRedis(corner)
  await redis.connect()
})
afterAll(() => redis.disconnect())

/** A process whose timers the test rings. */
function process(on: Redis = redis): Places & { renew(): Promise<void> } {
  let ring = () => {}
  const clock: Clock = { ...systemClock, after: (_ms, work) => ((ring = work), () => {}) }
  const places = createPlaces({ redis: on, kind: 'test', clock, leaseMs: LEASE_MS })
  return { ...places, renew: async () => (ring(), void (await on.ping())) }
}

let tenants = 0
const tenant = () => `tenant-${tenants++}`
/** As if so much time had passed for what is taken. */
async function pass(tenantId: string, ms: number): Promise<void> {
  for (const name of await redis.zrange(`places:test:${tenantId}`, '0', '-1')) await redis.zincrby(`places:test:${tenantId}`, -ms, name)
}

describe('places of a tenant', () => {
  it('are as many as there are, over all processes, whoever asks at once', async () => {
    const [one, other, t] = [process(), process(), tenant()]
    const taken = await Promise.all(Array.from({ length: 20 }, (_, at) => (at % 2 ? one : other).take(t, `s${at}`, 7)))
    expect(taken.filter((place) => place !== null)).toHaveLength(7)
    expect(await one.take(tenant(), 's', 7)).not.toBeNull()
  })

  it('are free again when they are released, once', async () => {
    const [one, t] = [process(), tenant()]
    const first = await one.take(t, 'a', 1)
    expect(await one.take(t, 'b', 1)).toBeNull()
    await first!.release()
    await first!.release()
    expect(await one.take(t, 'b', 1)).not.toBeNull()
    await first!.release()
    expect(await one.take(t, 'c', 1)).toBeNull()
  })

  it('move with their name: the new holder keeps it when the old one lets go', async () => {
    const [one, other, t] = [process(), process(), tenant()]
    const before = await one.take(t, 'a', 1)
    const after = await other.take(t, 'a', 1)
    expect(after).not.toBeNull()
    await before!.release()
    expect(await one.take(t, 'b', 1)).toBeNull()
    await after!.release()
    expect(await one.take(t, 'b', 1)).not.toBeNull()
  })

  it('of a dead process end with their lease, and those of a living one do not', async () => {
    const [dead, living, t] = [process(), process(), tenant()]
    await dead.take(t, 'a', 2)
    await living.take(t, 'b', 2)
    await pass(t, LEASE_MS / 2)
    await living.renew()
    await pass(t, LEASE_MS / 2 + 1)
    expect(await living.take(t, 'c', 2)).not.toBeNull()
    expect(await living.take(t, 'd', 2)).toBeNull()
  })

  it('are counted again after Redis has forgotten them', async () => {
    const [one, other, t] = [process(), process(), tenant()]
    await one.take(t, 'a', 1)
    await redis.del(`places:test:${t}`, `places:test:${t}:holders`)
    await one.renew()
    expect(await other.take(t, 'b', 1)).toBeNull()
  })

  it('are counted by each process alone while Redis is away', async () => {
    const away = connectRedis({ ...corner, url: 'redis://127.0.0.1:1' })
    const [one, t] = [process(away), tenant()]
    const taken = await Promise.all([1, 2, 3].map((at) => one.take(t, `s${at}`, 2)))
    expect(taken.map((place) => place !== null)).toEqual([true, true, false])
    await taken[0]!.release()
    expect(await one.take(t, 's4', 2)).not.toBeNull()
    away.disconnect()
  })
})
