import type { Id } from '@trunkline/core'
import type { Release } from '../../redis/lease.ts'
import type { Claimed } from '../../redis/ready.ts'

type Waiter = { give(numberId: Id): void; fail(): void }

/** The ready set and the leases as their scripts behave (db/src/redis/lua). `publish` may lose what it is given. */
export type Redis = ReturnType<typeof createRedis>
export function createRedis(nowMs: () => number, publish: (owner: string, numberId: Id, count: number) => void) {
  const ready = new Set<Id>()
  const delayed = new Map<Id, number>()
  const leases = new Map<Id, { owner: string; endsMs: number }>()
  const news = new Map<Id, number>()
  const waiters: Waiter[] = []
  const leased = (id: Id) => (leases.get(id)?.endsMs ?? -Infinity) > nowMs()

  function addReady(id: Id): void {
    const waiter = ready.has(id) ? undefined : waiters.shift()
    if (waiter) waiter.give(id)
    else ready.add(id)
  }

  function forget(id: Id): void {
    leases.delete(id)
    news.delete(id)
  }

  const count = (id: Id): number => {
    const next = (news.get(id) ?? 0) + 1
    news.set(id, next)
    return next
  }

  return {
    empty(): void {
      for (const all of [ready, delayed, leases, news]) all.clear()
    },
    cut(): void {
      for (const waiter of waiters.splice(0)) waiter.fail()
    },
    wake(id: Id): void {
      const lease = leases.get(id)
      if (lease && leased(id)) publish(lease.owner, id, count(id))
      else addReady(id)
    },
    wakeIdle(ids: readonly Id[]): void {
      for (const id of ids) if (!leased(id) && !delayed.has(id)) addReady(id)
    },
    take(waiter: Waiter): void {
      const [first] = ready
      if (first === undefined) return void waiters.push(waiter)
      ready.delete(first)
      waiter.give(first)
    },
    leave(waiter: Waiter): void {
      const at = waiters.indexOf(waiter)
      if (at >= 0) waiters.splice(at, 1)
    },
    claim(owner: string, leaseMs: number, max: number, taken: readonly Id[]): Claimed {
      for (const [id, due] of delayed) {
        if (due > nowMs()) continue
        delayed.delete(id)
        addReady(id)
      }
      const ended = [...leases].filter(([, lease]) => lease.endsMs <= nowMs()).map(([id]) => id)
      for (const id of ended) {
        forget(id)
        addReady(id)
      }
      const ids = [...taken, ...[...ready].slice(0, Math.max(0, max - taken.length))]
      for (const id of ids) ready.delete(id)
      let refused = 0
      const numberIds = ids.filter((id) => {
        if (leased(id)) {
          count(id)
          refused += 1
          return false
        }
        leases.set(id, { owner, endsMs: nowMs() + leaseMs })
        news.delete(id)
        delayed.delete(id)
        return true
      })
      return { numberIds, expired: ended.length, refused }
    },
    heartbeat(owner: string, leaseMs: number, ids: readonly Id[]): number[] {
      return ids.map((id) => {
        const lease = leases.get(id)
        if (lease && lease.owner !== owner) return -1
        leases.set(id, { owner, endsMs: nowMs() + leaseMs })
        ready.delete(id)
        return news.get(id) ?? 0
      })
    },
    release(owner: string, releases: readonly Release[]): number[] {
      return releases.map(({ numberId, seen, againInMs }) => {
        const lease = leases.get(numberId)
        const counted = news.get(numberId) ?? 0
        if (lease && lease.owner !== owner) return -1
        if (lease && seen >= 0 && counted !== seen) return counted
        forget(numberId)
        if (againInMs === 0) addReady(numberId)
        else if (againInMs !== null) delayed.set(numberId, nowMs() + againInMs)
        return 0
      })
    },
  }
}
