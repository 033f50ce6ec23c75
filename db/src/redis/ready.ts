import type { Id } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { loadScript, runScript } from './script.ts'

// One hash tag, so that every script's keys live on one node of a cluster.
const TAG = '{queue}:'
/** The keys all queue scripts share, in their order: see lua/leases.lua. */
export const LEASE_KEYS = ['ready', 'delayed', 'leases', 'owners', 'news'].map((name) => TAG + name)
export const queueKey = (name: string): string => TAG + name
/** Channels are not keys: the client does not prefix them. */
export const channelPrefix = (redis: Redis): string => `${redis.options.keyPrefix ?? ''}${TAG}`

const scripts = {
  wake: loadScript('wake', 'slices', 'leases'),
  wakeIdle: loadScript('wake-idle', 'slices', 'leases'),
  claim: loadScript('claim', 'slices', 'leases'),
}
// A Lua call blocks the server while it runs: large sets go in slices.
const SLICE = 500

export type Claimed = { numberIds: Id[]; /** Leases that had ended without a release. */ expired: number; /** Numbers that another worker holds. */ refused: number }

/** The set of numbers that have work and no owner. Redis only wakes: every loss is made good by the sweeper. */
export type ReadySet = {
  /** Makes numbers ready; where one is leased, its owner is told. */
  wake(numberIds: readonly Id[]): Promise<void>
  /** Makes those ready that nobody owns. Answers how many really were idle. */
  wakeIdle(numberIds: readonly Id[]): Promise<number>
  /** Waits for one ready number. It is taken off the set: give it to `claim` at once. Needs a connection of its own. */
  take(timeoutMs: number): Promise<Id | null>
  claim(owner: string, leaseMs: number, max: number, taken: readonly Id[]): Promise<Claimed>
}

/** `blocking` is used by `take` alone and may be left out where nothing is taken. */
export function createReadySet(redis: Redis, blocking?: Redis): ReadySet {
  return {
    async wake(numberIds) {
      const channel = `${channelPrefix(redis)}owner:`
      for (const slice of slices(numberIds)) await runScript(redis, scripts.wake, LEASE_KEYS, [channel, ...slice])
    },
    async wakeIdle(numberIds) {
      let woken = 0
      for (const slice of slices(numberIds)) woken += await runScript<number>(redis, scripts.wakeIdle, LEASE_KEYS, slice)
      return woken
    },
    async take(timeoutMs) {
      const answer = await blocking?.bzpopmin(LEASE_KEYS[0]!, timeoutMs / 1000)
      return answer?.[1] ?? null
    },
    async claim(owner, leaseMs, max, taken) {
      const [numberIds, expired, refused] = await runScript<[Id[], number, number]>(redis, scripts.claim, LEASE_KEYS, [owner, leaseMs, max, ...taken])
      return { numberIds, expired, refused }
    },
  }
}

export function* slices<T>(all: readonly T[], size: number = SLICE): Generator<T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size)
}
